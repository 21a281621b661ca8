//! What mongodump writes is loaded, and what it would write is made: as a folder, as an archive, compressed or not.

use std::path::Path;
use std::process::{Command, Stdio};

use backup_tests::{Mongod, MongodSetup, mongo_corpus};
use bson::{Bson, Document, doc};

use crate::healing::hash;
use crate::{dumped, run, told};

fn shell(folder: &Path, script: &str) {
    let ran = Command::new("sh").args(["-ec", script]).current_dir(folder).stdin(Stdio::null()).output().expect("sh runs");
    assert_eq!(told(&ran).0, 0, "{script}: {ran:?}");
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A list of views has the name of the database in it.
fn plain(hashes: Vec<(String, Bson)>) -> Vec<(String, Bson)> {
    hashes.into_iter().filter(|(name, _)| name != "system.views").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_and_an_archive_compressed_or_not_and_the_object_of_backup_bash() {
    let Some(server) = Mongod::start().await else { return };
    mongo_corpus::load(&server.client()).await;
    let scratch = tempfile::tempdir().expect("a folder");
    let (state, sink) = (scratch.path().join("state"), scratch.path().join("sink"));
    let (code, out, err) = run(&state, &["backup", "--tar", &text(&sink), &server.host(), "corpus"]);
    assert_eq!(code, 0, "{err}");
    let backup = sink.join("corpus").join(out.trim());
    let before = plain(hash(&server, "corpus").await);

    dumped(&backup);
    let archive = crate::mongo_healer(&state).args(["--to", &text(&sink), "--job", "corpus", "archive", "latest"]).output();
    let archive = archive.expect("it runs");
    assert!(archive.status.success() && archive.stdout.len() > 100_000, "{}", told(&archive).2);
    std::fs::write(scratch.path().join("all.archive"), &archive.stdout).expect("written");
    let script = "cp -r \"$BACKUP\"/dump plain && cp -r plain gzipped && gzip -r gzipped && gzip -k all.archive
        cp sink/*-mongodb-dump.tar.gz tar.gz";
    shell(scratch.path(), &script.replace("$BACKUP", &text(&backup)));
    assert!(scratch.path().join("gzipped/corpus/a%2Fb%5Cc.bson.gz").exists());
    for dump in ["plain", "gzipped", "all.archive", "all.archive.gz", "tar.gz"] {
        let name = dump.replace('.', "-");
        let words = ["load", &text(&scratch.path().join(dump)), &server.host(), "--database", "corpus", "--as", &name];
        let (code, out, err) = run(&state, &words);
        assert!(code == 0 && out.starts_with("loaded ") && out.contains(" documents)"), "{dump}: {code} {out}{err}");
        assert_eq!(plain(hash(&server, &name).await), before, "{dump}");
        let (code, _, err) = run(&state, &words);
        assert!(code == 1 && err.contains("there is a collection"), "{dump}: {code} {err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_comes_through_a_pipe_compressed_or_not() {
    let Some(server) = Mongod::start().await else { return };
    mongo_corpus::load(&server.client()).await;
    let scratch = tempfile::tempdir().expect("a folder");
    let (state, sink, host) = (scratch.path().join("state"), text(&scratch.path().join("sink")), server.host());
    assert_eq!(run(&state, &["backup", &sink, &host, "corpus"]).0, 0);
    let before = plain(hash(&server, "corpus").await);
    // What the first writes, changed on the way, the second reads.
    let through = |filter: &str, name: &str| {
        let ours = env!("CARGO_BIN_EXE_mongo-healer");
        let script = format!(
            "\"$0\" --to \"$1\" --job corpus archive latest | {filter} | \"$0\" load - \"$2\" --database corpus --as \"$3\""
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script, ours, &sink, &host, name]).env("BACKUP_STATE", &state).stdin(Stdio::null());
        told(&command.output().expect("sh runs"))
    };
    for (filter, name) in [("cat", "plain"), ("gzip -1", "gzipped")] {
        let (code, out, err) = through(filter, name);
        assert!(code == 0 && out.starts_with("loaded "), "{filter}: {code} {out}{err}");
        assert_eq!(plain(hash(&server, name).await), before, "{filter}");
        let (code, _, err) = through(filter, name);
        assert!(code == 1 && err.contains("there is a collection"), "{filter}: {code} {err}");
    }
    for (filter, says) in [("head -c 90000", "breaks off"), ("gzip -1 | head -c 20000", "gzip breaks off"), ("true", "")] {
        let (code, out, err) = through(filter, "cut");
        assert!(code == 4 && out.is_empty() && err.contains(says), "{filter}: {code} {out}{err}");
    }
    let names = server.client().list_database_names().await.expect("names");
    let left = server.client().database("cut").list_collection_names().await.expect("names");
    assert!(left.iter().all(|name| name == "system.views"), "{names:?} {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_roles_of_a_dump_come_when_they_are_asked_for() {
    let setup = MongodSetup { password: Some("s0urce".to_owned()), ..MongodSetup::default() };
    let (Some(server), Some(other)) = (Mongod::start_with(&setup).await, Mongod::start().await) else { return };
    let app = server.client().database("app");
    app.collection::<Document>("things").insert_one(doc! { "_id": 1 }).await.expect("stored");
    app.run_command(doc! { "createRole": "keeper", "privileges": [], "roles": ["read"] }).await.expect("a role");
    app.run_command(doc! { "createUser": "ann", "pwd": "hers", "roles": ["keeper"] }).await.expect("a user");
    let scratch = tempfile::tempdir().expect("a folder");
    let (state, sink) = (scratch.path().join("state"), text(&scratch.path().join("sink")));
    let mut backup = crate::mongo_healer(&state);
    backup.env("BACKUP_USERNAME", "root").env("BACKUP_PASSWORD", "s0urce").args(["backup", &sink, &server.host()]);
    let (code, out, err) = told(&backup.output().expect("it runs"));
    assert_eq!(code, 0, "{err}");
    let backup = Path::new(&sink).join("mongo").join(out.trim());
    dumped(&backup);
    let archive = scratch.path().join("all.archive");
    let file = std::fs::File::create(&archive).expect("a file");
    let written = crate::mongo_healer(&state).args(["--to", &sink, "archive", "latest"]).stdout(file).status();
    assert!(written.expect("it runs").success());

    let there = async || {
        let of = |name: &str| other.client().database("admin").collection::<Document>(name);
        let count = async |name| of(name).count_documents(doc! {}).await.expect("counted");
        (count("system.users").await, count("system.roles").await)
    };
    let host = other.host();
    let from = |dump: &Path, more: &[&str]| run(&state, &[&["load", &text(dump), &host, "--database", "app"], more].concat());
    for dump in [backup.join("dump"), archive.clone()] {
        let dropped = async || other.client().database("app").drop().await.expect("dropped");
        assert_eq!(from(&dump, &[]).0, 0);
        assert_eq!(there().await, (0, 0), "nobody asked for them");
        dropped().await;
        let (code, out, err) = from(&dump, &["--users"]);
        assert!(code == 0 && out.contains("1 users") && out.contains("1 roles"), "{dump:?}: {code} {out}{err}");
        assert_eq!(there().await, (1, 1), "{dump:?}");
        for command in ["dropAllUsersFromDatabase", "dropAllRolesFromDatabase"] {
            other.client().database("app").run_command(doc! { command: 1 }).await.expect("dropped");
        }
        dropped().await;
    }
    let mut piped = crate::mongo_healer(&state);
    let file = std::fs::File::open(&archive).expect("a file");
    let (code, out, err) = told(&piped.args(["load", "-", &host, "--users"]).stdin(file).output().expect("it runs"));
    assert!(code == 2 && out.is_empty() && err.contains("pipe") && err.contains("in a file"), "{code} {out}{err}");
    assert_eq!(there().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_whole_or_no_dump_is_told_before_anything_is_written() {
    let Some(server) = Mongod::start().await else { return };
    let scratch = tempfile::tempdir().expect("a folder");
    let state = scratch.path().join("state");
    let one = bson::doc! { "_id": 1, "text": "x".repeat(100) }.to_vec().expect("bytes");
    let at = |path: &str, bytes: &[u8]| {
        let path = scratch.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("written");
    };
    at("cut/app/good.bson", &one);
    at("cut/app/users.bson", &one[..one.len() - 1]);
    at("gzip/app/users.bson.gz", &one);
    at("json/app/users.bson", &one);
    at("json/app/users.metadata.json", b"{");
    at("twice/app/users.bson", &one);
    at("twice/app/users.bson.gz", &one);
    at("name/a.b/users.bson", &one);
    at("text", b"no dump");
    std::fs::create_dir_all(scratch.path().join("pipe/app")).expect("a folder");
    shell(scratch.path(), "mkfifo pipe/app/users.bson && mkdir empty");
    for (dump, expected, says) in [
        ("cut", 4, "app/users.bson: it breaks off"),
        ("gzip", 4, "app/users.bson.gz is no gzip"),
        ("json", 4, "app/users.metadata.json"),
        ("twice", 4, ""),
        ("name", 4, ""),
        ("pipe", 4, "no file"),
        ("text", 4, "text"),
        ("empty", 3, "no DATABASE/COLLECTION.bson"),
        ("none", 3, "there is no"),
    ] {
        let (code, out, err) = run(&state, &["load", &text(&scratch.path().join(dump)), &server.host()]);
        assert!(code == expected && out.is_empty() && err.contains(says), "{dump}: {code} {out}{err}");
    }
    let names = server.client().list_database_names().await.expect("names");
    assert!(!names.contains(&"app".to_owned()), "{names:?}");
}
