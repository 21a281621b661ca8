//! `docs/from/tsuru.md`: its commands save a database, heal it, and leave archives that the scripts' own tools open.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use backup_tests::{Mongod, Rgw};
use bson::{Document, doc};

use crate::{mongo_healer, plain, told};

const PAGE: &str = include_str!("../../../../docs/from/tsuru.md");

/// The blocks that are run, each with the word behind `sh`.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let fenced = PAGE.split("\n```sh").skip(1);
    fenced.map(|rest| rest.split_once("\n```").expect("it ends").0.split_once('\n').expect("a line")).collect()
}

async fn fill(server: &Mongod) {
    let database = server.client().database("database");
    for (name, count) in [("repositories", 300), ("users", 20), ("apps", 5)] {
        let documents = (0..count).map(|n| doc! { "_id": n, "name": format!("{name} {n}") });
        database.collection::<Document>(name).insert_many(documents).await.expect("stored");
    }
    let index = doc! { "createIndexes": "users", "indexes": [{ "key": { "name": 1 }, "name": "by name", "unique": true }] };
    database.run_command(index).await.expect("made");
}

/// What there is of the three.
async fn held(server: &Mongod) -> BTreeMap<&'static str, Vec<u8>> {
    let mut held = BTreeMap::new();
    for name in ["repositories", "users", "apps"] {
        held.insert(name, plain(server, "database", name).await);
    }
    held
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_leads_from_the_scripts_and_back() {
    let Some(rgw) = Rgw::shared() else { return };
    let Some(server) = Mongod::start().await else { return };
    let keys = rgw.user("tsuru");
    let Some(mut s3cmd) = rgw.s3cmd(&keys) else { return };
    assert!(s3cmd.args(["mb", "s3://tsuru"]).status().expect("s3cmd runs").success());
    fill(&server).await;
    let before = held(&server).await;

    let scratch = tempfile::tempdir().expect("a folder");
    std::fs::copy(rgw.s3cfg(&keys), scratch.path().join(".s3cfg")).expect("copied");
    let folder = |program: &Path| program.parent().expect("a folder").display().to_string();
    let (ours, theirs) = (Path::new(env!("CARGO_BIN_EXE_mongo-healer")), Path::new(s3cmd.get_program()));
    let path = format!("{}:{}:{}", folder(ours), folder(theirs), std::env::var("PATH").expect("a PATH"));
    let run = |script: &str| {
        let script = script.replace("s3://mybucket", "s3://tsuru").replace("localhost", &server.host());
        let mut shell = Command::new("sh");
        for (name, value) in mongo_healer(scratch.path()).get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.env("PATH", &path).args(["-ec", &script]).current_dir(scratch.path()).stdin(Stdio::null());
        told(&shell.output().expect("sh runs"))
    };
    let database = server.client().database("database");
    let mut healed = 0;
    for (word, block) in blocks() {
        if word.trim() == "heal" {
            // Its own exits first: nothing lost, then what is lost.
            assert_eq!(run(block).0, 0);
            for name in ["repositories", "users"] {
                database.collection::<Document>(name).drop().await.expect("dropped");
            }
            assert_eq!(run(&block.replace(" heal ", " heal --dry-run ")).0, 7);
            assert_eq!(run(&block.replace(" users", " users never-there")).0, 7);
            healed += 1;
            assert_eq!(held(&server).await, before, "the others were healed");
            database.collection::<Document>("users").drop().await.expect("dropped");
        }
        let (code, out, err) = run(block);
        assert_eq!(code, 0, "{block}: {out}\n{err}");
        assert_eq!(held(&server).await, before, "{block}");
    }
    assert_eq!((healed, blocks().len()), (1, 6));
    let indexes = database.collection::<Document>("users").list_index_names().await.expect("indexes");
    assert_eq!(indexes, ["_id_", "by name"]);
    // What the way back has unpacked.
    for (name, documents) in &before {
        let file = scratch.path().join(format!("dump/database/{name}.bson"));
        assert_eq!(&std::fs::read(file).expect("unpacked"), documents);
    }

    // The archive alone, as the script left it, heals too.
    let (code, _, err) = run("for o in $(s3cmd ls -r s3://tsuru/database/ | awk '{ print $4 }'); do s3cmd del \"$o\"; done");
    assert_eq!(code, 0, "{err}");
    database.collection::<Document>("users").drop().await.expect("dropped");
    let heal = "mongo-healer heal s3://mybucket localhost database repositories users";
    assert_eq!(run(heal).0, 0);
    assert_eq!(held(&server).await, before);
    // The exits of the page's tables: no backups, wrong arguments, a server that is away.
    let (code, _, _) =
        run("s3cmd del --recursive --force s3://mybucket; mongo-healer heal s3://mybucket localhost database gone");
    assert_eq!(code, 3);
    assert_eq!(run("mongo-healer heal s3://mybucket").0, 2);
    assert_eq!(run("mongo-healer backup s3://mybucket localhost database --nonsense").0, 2);
    server.crash();
    let url = format!("'mongodb://{}/?directConnection=true&serverSelectionTimeoutMS=300'", server.host());
    assert_eq!(run(&heal.replace("localhost", &url)).0, 8);
    assert_eq!(run(&format!("mongo-healer backup s3://mybucket {url} database")).0, 1);
}
