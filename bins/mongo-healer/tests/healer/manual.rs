//! The manual: its commands are run, its options are those of the program.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use backup_tests::{Mongod, Rgw, S3Keys, mongo_corpus};

use crate::{mongo_healer, run, told};

fn manual() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/mongo-healer.md");
    std::fs::read_to_string(page).expect("the manual")
}

/// Words that begin with two hyphens, but for those of mongorestore.
fn options(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| word.starts_with("--"));
    let others = ["--oplog", "--oplogReplay", "--archive", "--gzip", "--help", "--version"];
    words.filter(|word| word.ends_with(char::is_alphanumeric) && !others.contains(word)).map(str::to_owned).collect()
}

#[test]
fn every_command_and_option_is_in_the_manual_and_no_other() {
    let scratch = tempfile::tempdir().expect("a folder");
    let (code, page, err) = run(scratch.path(), &["man"]);
    assert_eq!(code, 0, "{err}");
    // Without what changes the font.
    let page = ["\\fB", "\\fI", "\\fR"].iter().fold(page, |page, font| page.replace(font, " ")).replace('\\', "");
    let (ours, theirs) = (options(&manual()), options(&page));
    assert!(theirs.len() > 30, "{theirs:?}");
    assert_eq!(ours, theirs);
    let commands = page.lines().filter_map(|line| line.trim_start().strip_prefix("mongo-healer ")?.split(' ').next());
    let commands: BTreeSet<&str> = commands.filter(|command| command.starts_with(char::is_alphabetic)).collect();
    assert!(commands.contains("backup") && commands.contains("man"), "{commands:?}");
    for command in commands {
        let is_there = |line: &str| line.starts_with("mongo-healer ") && line.split(' ').any(|word| word == command);
        assert!(manual().lines().any(is_there), "{command} is not in the manual");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_manual_does_what_it_says() {
    let Some(rgw) = Rgw::shared() else { return };
    let Some(server) = Mongod::start().await else { return };
    let Some(other) = Mongod::start().await else { return };
    mongo_corpus::load(&server.client()).await;
    let scratch = tempfile::tempdir().expect("a folder");
    let keys = rgw.user("manual");
    let Some(mut s3cmd) = rgw.s3cmd(&keys) else { return };
    assert!(s3cmd.args(["mb", "s3://manual"]).status().expect("s3cmd runs").success());
    let mut script = String::from("set -ex\n");
    for block in manual().split("\n```sh\n").skip(1) {
        script.push_str(block.split("\n```").next().expect("a block"));
        script.push('\n');
    }
    // The server, the bucket, the folder and the database are those of the test; the first backup goes to the folder too.
    let folder = scratch.path().join("sink").to_string_lossy().into_owned();
    let script = script.replace("localhost", &server.host()).replace("127.0.0.1:27018", &server.host());
    let script = script.replace("s3://mybucket", "s3://manual").replace("/backups", &folder).replace(" database", " corpus");
    let script = script.replace(" repositories users", " types big").replace("--collection users", "--collection big");
    let Some(mongod) = Mongod::program() else { return };
    let script = script.replace("scratch.example", &other.host()).replace("/usr/bin/mongod", &mongod.to_string_lossy());
    let script = script.replacen(
        &format!("mongo-healer backup {folder}"),
        &format!("mongo-healer backup {folder} {} corpus\nmongo-healer backup {folder}", server.host()),
        1,
    );
    let program = Path::new(env!("CARGO_BIN_EXE_mongo-healer")).parent().expect("a folder");
    let mut shell = Command::new("sh");
    for (name, value) in mongo_healer(scratch.path()).get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let S3Keys { access_key, secret_key } = &keys;
    shell.env("AWS_ENDPOINT_URL", rgw.url()).env("AWS_ACCESS_KEY_ID", access_key).env("AWS_SECRET_ACCESS_KEY", secret_key);
    let path = std::env::var("PATH").expect("a PATH");
    shell.env("PATH", format!("{}:{path}", program.display())).args(["-c", &script]).current_dir(scratch.path());
    let (code, out, err) = told(&shell.output().expect("sh runs"));
    assert_eq!(code, 0, "{out}\n{err}");
    assert!(out.contains("verified") && out.contains("pinned") && scratch.path().join("mongo-healer.1").exists(), "{out}");
}
