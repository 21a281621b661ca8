//! Dumps cross over: what ours stored PyMongo restores, and what PyMongo dumped ours heals. It stands in for mongodump and mongorestore.

use std::path::Path;
use std::process::Command;

use backup_tests::{Mongod, mongo_corpus, pymongo};
use bson::{Bson, Document, doc};

use crate::{dumped, mongo_healer, plain, told};

const DATABASE: &str = mongo_corpus::DATABASE;

/// What the server says that the database holds: a digest for each collection, and the names of all.
async fn hash(server: &Mongod) -> (Document, Vec<String>, Vec<u8>) {
    let database = server.client().database(DATABASE);
    let said = database.run_command(doc! { "dbHash": 1 }).await.expect("its hash");
    let collections = said.get_document("collections").expect("collections").clone();
    assert!(collections.len() > 10 && collections.values().all(|digest| matches!(digest, Bson::String(_))), "{said}");
    let mut names = database.list_collection_names().await.expect("names");
    names.sort();
    // What is capped has no digest there.
    (collections, names, plain(server, DATABASE, "capped").await)
}

/// Keys of the indexes of a collection.
async fn indexes(server: &Mongod, name: &str) -> Vec<Document> {
    let said = server.client().database(DATABASE).run_command(doc! { "listIndexes": name }).await.expect("listed");
    let batch = said.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch")).expect("a batch");
    batch.iter().filter_map(Bson::as_document).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pymongo_restores_what_ours_stored_and_ours_heals_what_pymongo_dumped() {
    let (Some(source), Some(target)) = (Mongod::start().await, Mongod::start().await) else { return };
    let run = |arguments: &[&str]| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/mongodump.py");
        pymongo().map(|mut python| told(&python.arg(script).args(arguments).output().expect("it runs")))
    };
    mongo_corpus::load(&source.client()).await;
    let expected = hash(&source).await;
    let scratch = tempfile::tempdir().expect("a folder");
    let (sink, state) = (scratch.path().join("sink"), scratch.path().join("state"));
    let ours = |arguments: &[&str]| told(&mongo_healer(&state).args(arguments).output().expect("it runs"));
    let (code, out, err) = ours(&["backup", &sink.to_string_lossy(), &source.host(), DATABASE]);
    assert_eq!(code, 0, "{err}");
    let backup = sink.join(DATABASE).join(out.trim());
    dumped(&backup);

    let folder = backup.join("dump").join(DATABASE);
    let Some((code, out, err)) = run(&["restore", &folder.to_string_lossy(), &target.port().to_string()]) else { return };
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(hash(&target).await, expected);
    assert_eq!(indexes(&target, "indexed").await, indexes(&source, "indexed").await);

    let work = scratch.path().join("dump");
    let (code, out, err) = run(&["dump", &work.to_string_lossy(), &source.port().to_string(), DATABASE]).expect("it was there");
    assert_eq!(code, 0, "{out}{err}");
    let archives = scratch.path().join("archives");
    std::fs::create_dir(&archives).expect("a folder");
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(archives.join("2026-11-18-10-00-00-mongodb-dump.tar.gz")).arg("-C").arg(scratch.path()).arg("dump");
    assert!(tar.status().expect("tar runs").success());
    target.client().database(DATABASE).drop().await.expect("dropped");
    let (code, out, err) = ours(&["heal", "--all", &archives.to_string_lossy(), &target.host(), DATABASE]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(hash(&target).await, expected);
    assert_eq!(indexes(&target, "indexed").await, indexes(&source, "indexed").await);
}
