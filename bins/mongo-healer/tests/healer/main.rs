//! The program against a real server: what lies in the sink afterwards opens with stock tools and is what the server holds.

mod at_once;
mod faults;
mod from_tsuru;
mod healing;
mod loading;
mod manual;
mod memory;
mod proving;
mod pymongo;
mod srv;
mod tls;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use backup_tests::{Mongod, MongodSetup, Rgw, S3Keys, hearing, mongo_corpus};
use bson::{Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt;

/// The program, with nothing of the caller's environment that it heeds, and a state folder of its own.
fn mongo_healer(state: &Path) -> Command {
    let mut command = hearing(env!("CARGO_BIN_EXE_mongo-healer"));
    for (name, _) in std::env::vars_os() {
        if ["BACKUP_", "AWS_"].iter().any(|ours| name.to_string_lossy().starts_with(ours)) {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C.UTF-8").env("BACKUP_STATE", state).env("HOME", state).stdin(Stdio::null());
    command
}

/// Exit code, results and words.
fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn run(state: &Path, arguments: &[&str]) -> (i32, String, String) {
    told(&mongo_healer(state).args(arguments).output().expect("it runs"))
}

fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}

/// The folder of mongodump that a backup is, made with the commands of docs/format.md alone.
fn dumped(backup: &Path) -> BTreeMap<String, Vec<u8>> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format.md")).expect("the page");
    let block = page.split("\n```sh mongodump\n").nth(1).and_then(|rest| rest.split("\n```").next()).expect("the block");
    let sums = "sha256sum --check --strict --quiet SHA256SUMS";
    let ran = Command::new("sh").args(["-ec", &format!("{sums}\n{block}")]).current_dir(backup).output().expect("sh runs");
    assert_eq!(told(&ran).0, 0, "{ran:?}");
    let mut files = BTreeMap::new();
    let mut folders = vec![backup.join("dump")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(backup.join("dump")).expect("inside").to_string_lossy().into_owned();
                files.insert(name, std::fs::read(&path).expect("a file"));
            }
        }
    }
    files
}

async fn plain(server: &Mongod, database: &str, name: &str) -> Vec<u8> {
    let cursor = server.client().database(database).collection::<RawDocumentBuf>(name).find(doc! {}).await.expect("a cursor");
    let documents: Vec<RawDocumentBuf> = cursor.try_collect().await.expect("documents");
    documents.iter().flat_map(|document| document.as_bytes()).copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_opens_with_stock_tools_as_the_folder_of_mongodump() {
    let Some(server) = Mongod::start().await else { return };
    mongo_corpus::load(&server.client()).await;
    let scratch = tempfile::tempdir().expect("a folder");
    let (state, sink) = (scratch.path().join("state"), scratch.path().join("sink"));
    let to = sink.to_string_lossy().into_owned();
    let (code, out, err) = run(&state, &["backup", &to, &server.host(), "corpus", "--verify"]);
    assert_eq!(code, 0, "{err}");
    let id = out.lines().last().expect("an ID").to_owned();

    let files = dumped(&sink.join("corpus").join(&id));
    for name in ["types", "big", "large", "capped", "clustered", "validated", "indexed", "empty", "dots.in.name"] {
        assert!(files[&format!("corpus/{name}.bson")] == plain(&server, "corpus", name).await, "{name} differs");
    }
    assert_eq!(files["corpus/a%2Fb%5Cc.bson"], plain(&server, "corpus", "a/b\\c").await);
    assert_eq!(files["corpus/system.buckets.weather.bson"], plain(&server, "corpus", "system.buckets.weather").await);
    assert_eq!(files.keys().filter(|name| !name.starts_with("corpus/")).count(), 0, "the other database is not in it");

    let (code, out, err) = run(&state, &["--to", &to, "--job", "corpus", "list"]);
    assert!(code == 0 && out.contains(&id) && out.contains("verified"), "{out}{err}");
    for command in ["show latest", "verify latest", "pin latest", "unpin latest", "prune --keep-last 1"] {
        let arguments: Vec<&str> = ["--to", &to, "--job", "corpus"].into_iter().chain(words(command)).collect();
        let (code, out, err) = run(&state, &arguments);
        assert_eq!(code, 0, "{command}: {out}{err}");
    }
    // Another deployment under the same job is another source.
    let Some(other) = Mongod::start().await else { return };
    other.client().database("corpus").collection::<Document>("users").insert_one(doc! { "_id": 1 }).await.expect("stored");
    let (code, _, err) = run(&state, &["backup", &to, &other.host(), "corpus"]);
    assert!(code == 2 && err.contains("another source"), "{code} {err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_replica_set_behind_a_password_goes_into_a_bucket() {
    let Some(rgw) = Rgw::shared() else { return };
    let setup = MongodSetup { replica_set: true, password: Some("it's s3cret".to_owned()), ..MongodSetup::default() };
    let Some(server) = Mongod::start_with(&setup).await else { return };
    mongo_corpus::load(&server.client()).await;
    let keys = rgw.user("mongo");
    let Some(mut s3cmd) = rgw.s3cmd(&keys) else { return };
    assert!(s3cmd.args(["mb", "s3://mybucket"]).status().expect("s3cmd runs").success());
    let scratch = tempfile::tempdir().expect("a folder");
    let password = scratch.path().join("password");
    std::fs::write(&password, "it's s3cret\n").expect("written");
    let S3Keys { access_key, secret_key } = &keys;
    let command = |arguments: &[&str]| {
        let mut command = mongo_healer(scratch.path());
        command
            .env("AWS_ENDPOINT_URL", rgw.url())
            .env("AWS_ACCESS_KEY_ID", access_key)
            .env("AWS_SECRET_ACCESS_KEY", secret_key);
        command.env("BACKUP_PASSWORD_FILE", &password).env("BACKUP_USERNAME", "root").args(arguments);
        told(&command.output().expect("it runs"))
    };
    for sink in ["s3://mybucket", "s3://mybucket/some/where", "s3://mybucket/some/where/"] {
        let (code, out, err) = command(&["backup", sink, &server.host()]);
        assert_eq!(code, 0, "{sink}: {err}");
        let id = out.lines().last().expect("an ID").to_owned();
        let (code, out, err) = command(&["--to", sink, "verify", &id]);
        assert_eq!(code, 0, "{out}{err}");
        let (_, out, _) = command(&["--to", sink, "--json", "show", &id]);
        for part in ["oplog.bson", "admin/system.users.bson", "corpus/types.bson", "corpus-other/types.bson"] {
            assert!(out.contains(part), "{part} is not in {out}");
        }
    }
    // With and without its slash a prefix is the same.
    let (_, out, _) = command(&["--to", "s3://mybucket/some/where", "list"]);
    assert_eq!(out.lines().count(), 2, "{out}");
    // Of one database its share of the oplog comes too, unless it is left out.
    for (option, has_oplog) in [("--verify", true), ("--no-oplog", false)] {
        let (code, _, err) = command(&["backup", "s3://mybucket", &server.host(), "corpus-other", option]);
        assert!(code == 0 && !err.contains("no one instant"), "{err}");
        let (_, out, _) = command(&["--to", "s3://mybucket", "--job", "corpus-other", "--json", "show", "latest"]);
        assert!(out.contains("corpus-other/types.bson") && out.contains("oplog.bson") == has_oplog, "{option}: {out}");
    }
    let (code, _, err) = command(&["backup", "s3://mybucket", &format!("mongodb://root:x@{}", server.host()), "corpus"]);
    assert!(code == 2 && err.contains("--password-file"), "{err}");
    let mut wrong = mongo_healer(scratch.path());
    let wrong = wrong.env("BACKUP_PASSWORD", "wr0ng").env("BACKUP_USERNAME", "root");
    let refused = wrong.args(["backup", &scratch.path().join("sink").to_string_lossy(), &server.host(), "corpus"]).output();
    let (code, _, err) = told(&refused.expect("it runs"));
    assert!(code == 1 && err.contains("login") && !err.contains("wr0ng"), "{code} {err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_backup_bash_holds_the_folder_of_mongodump() {
    let Some(server) = Mongod::start().await else { return };
    mongo_corpus::load(&server.client()).await;
    let scratch = tempfile::tempdir().expect("a folder");
    let (state, sink) = (scratch.path().join("state"), scratch.path().join("sink"));
    for to in [format!("{}/prefix", sink.display()), format!("{}/prefix/", sink.display())] {
        let (code, out, err) = run(&state, &["backup", "--tar", &to, &server.host(), "corpus"]);
        assert_eq!(code, 0, "{out}{err}");
    }
    let tars: Vec<PathBuf> = under(&sink).into_iter().filter(|path| path.to_string_lossy().ends_with(".tar.gz")).collect();
    assert_eq!(tars.len(), 2, "{tars:?}");
    for tar in &tars {
        let name = tar.file_name().expect("a name").to_string_lossy().into_owned();
        let pattern: String = name.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        assert_eq!(pattern, "9999-99-99-99-99-99-mongodb-dump.tar.gz");
        assert_eq!(tar.parent(), Some(sink.join("prefix").as_path()));
    }
    let listed = Command::new("tar").arg("-tzf").arg(&tars[0]).output().expect("tar runs");
    assert!(told(&listed).1.starts_with("dump/\ndump/corpus/\n"), "{listed:?}");
    let unpacked = Command::new("tar").arg("-xzf").arg(&tars[0]).current_dir(scratch.path()).output().expect("tar runs");
    assert!(unpacked.status.success() && unpacked.stderr.is_empty(), "{unpacked:?}");
    let backup = under(&sink).into_iter().find(|path| path.ends_with("manifest.json")).expect("a backup");
    let expected = dumped(backup.parent().expect("its folder"));
    let files = under(&scratch.path().join("dump"));
    assert_eq!(files.len(), expected.len());
    for file in files {
        let name = file.strip_prefix(scratch.path().join("dump")).expect("inside").to_string_lossy().into_owned();
        assert!(std::fs::read(&file).expect("a file") == expected[&name], "{name} differs");
    }
}

/// All that lies in a folder, as paths.
fn under(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir().into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(under(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_in_the_middle_leaves_nothing_that_is_listed() {
    let Some(server) = Mongod::start().await else { return };
    let documents = server.client().database("app").collection::<Document>("big");
    for batch in 0..4 {
        let many = (0..20).map(|n| doc! { "_id": batch * 20 + n, "bytes": "x".repeat(2 << 20) });
        documents.insert_many(many).await.expect("stored");
    }
    let scratch = tempfile::tempdir().expect("a folder");
    let (state, sink) = (scratch.path().join("state"), scratch.path().join("sink"));
    let to = sink.to_string_lossy().into_owned();
    let mut command = mongo_healer(&state);
    command.args(["backup", &to, &server.host(), "app", "--compress", "none", "--jobs", "1"]);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    // Some of the documents are on the disk, as a file that has no name of its own yet.
    let began = || under(&sink).iter().any(|file| file.metadata().is_ok_and(|meta| meta.len() > 8 << 20));
    while !began() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    server.crash();
    let (code, out, err) = told(&running.wait_with_output().expect("it ends"));
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("app.big") && err.lines().count() < 5, "{err}");
    let (_, out, _) = run(&state, &["--to", &to, "--job", "app", "list"]);
    assert!(out.contains("  failed ") && !out.contains("  backup "), "{out}");
    assert!(!under(&sink).iter().any(|file| file.ends_with("manifest.json")), "nothing is listed");

    server.start_again();
    let (code, out, err) = run(&state, &["backup", &to, &server.host(), "app"]);
    assert_eq!(code, 0, "{err}");
    assert!(!out.is_empty());
}
