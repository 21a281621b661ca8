//! What `mongodump --oplog` wrote comes back as it was at the end, whatever form it has.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use backup_core::{Context, Kind, Recorder, Repository, Result, body};
use backup_mongo::restore::{RestoreOptions, Run, Selection, restore, restore_archive};
use backup_mongo::{dump_archive, dump_at, dump_tar};
use backup_tests::Mongod;
use mongodb::bson::Document;

use crate::breaks::leftovers;
use crate::meanwhile::{Meanwhile, Taken};
use crate::replay::{ALL, fill, sum, write};
use crate::scene::{hash, patient};

/// The database, under another name.
fn bank_as(name: &str) -> Selection {
    Selection { database: Some("bank".into()), as_database: Some(name.into()), ..Selection::default() }
}

/// Restores the dump at `path` under another name.
async fn load(server: &Mongod, path: &Path, name: &str, replay: bool) -> Result<backup_core::Restored> {
    let run = Run::new();
    let dump = dump_at(path).await?;
    let options = RestoreOptions { replay, ..RestoreOptions::default() };
    restore(&Context::default(), &patient(&server.host(), &run), &run, &*dump, &bank_as(name), &options).await
}

/// A list of views has the name of the database in it.
fn plain(mut hashes: Document) -> Document {
    hashes.remove("system.views");
    hashes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_with_an_oplog_comes_back_as_it_was_at_the_end() {
    let Some(server) = Mongod::replica_set().await else { return };
    let source = server.client();
    fill(&source).await;
    let taken =
        Taken::of(&server, None, Meanwhile(source.clone(), |client| Box::pin(async move { write(&client).await }))).await;
    let before = plain(hash(&source.database("bank")).await);
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let stored: Arc<dyn backup_core::Stored> = taken.repo.open(&taken.job, taken.newest().await).await.expect("opened");
    for (name, made) in [("archive", dump_archive(stored.clone())), ("dump.tar.gz", dump_tar(stored))] {
        let bytes = body::to_vec(made.expect("a body"), 1 << 30).await.expect("whole");
        std::fs::write(at(name), bytes).expect("written");
    }
    let script = "tar -xzf dump.tar.gz && test -e dump/oplog.bson && cp -r dump gzipped && gzip -1r gzipped && cp -r dump cut
        truncate -s -1 cut/oplog.bson && cp -r dump twice && gzip -1k twice/oplog.bson";
    let made = Command::new("sh").args(["-ec", script]).current_dir(folder.path()).output().expect("sh runs");
    assert!(made.status.success(), "{made:?}");

    for (number, form) in ["dump", "gzipped", "archive", "dump.tar.gz"].into_iter().enumerate() {
        let name = format!("as{number}");
        let restored = load(&server, &at(form), &name, true).await.unwrap_or_else(|error| panic!("{form}: {error:?}"));
        assert!(restored.counts["entries of the oplog"] > 20, "{form}: {restored:?}");
        let loaded = source.database(&name);
        assert_eq!((sum(&loaded).await, plain(hash(&loaded).await)), (ALL, before.clone()), "{form}");
        loaded.drop().await.expect("dropped");
    }
    // As it was read, money is there twice.
    load(&server, &at("dump"), "read", false).await.expect("restored");
    assert_eq!(sum(&source.database("read")).await, ALL + 200);
    for form in ["cut", "twice"] {
        assert_eq!(load(&server, &at(form), "none", true).await.expect_err(form).kind(), Kind::Damaged, "{form}");
    }
    // Out of a pipe the oplog comes when all is filled, by what was read once: it is left out, and told.
    for replay in [true, false] {
        let (run, told) = (Run::new(), Arc::new(Recorder::default()));
        let cx = Context { monitor: told.clone(), ..Context::default() };
        let archive = Box::pin(tokio::fs::File::open(at("archive")).await.expect("opened"));
        let name = format!("piped{replay}");
        let options = RestoreOptions { replay, ..RestoreOptions::default() };
        let client = patient(&server.host(), &run);
        restore_archive(&cx, &client, &run, archive, &bank_as(&name), &options).await.expect("restored");
        assert_eq!(sum(&source.database(&name)).await, ALL + 200);
        assert_eq!(told.story().iter().any(|line| line.contains("the oplog is left out")), replay, "{:?}", told.story());
    }
    assert_eq!(leftovers(&source.database("none")).await, Vec::<String>::new());
}
