//! The commands of README: run in order, by somebody who has nothing but the keys.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::check::wal_e;
use crate::scene::{Scene, told};
use crate::terminal::answered;

const README: &str = include_str!("../../../../README.md");

/// The commands of the block that has `word`, without what is said of them.
fn commands(word: &str) -> Vec<&'static str> {
    let block = README.split("\n```console\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let block = block.into_iter().find(|block| block.contains(word)).expect(word);
    block.lines().filter_map(|line| line.strip_prefix("$ ")?.split(" #").next()).map(str::trim_end).collect()
}

#[test]
fn every_command_of_readme_does_what_it_says() {
    let Some(scene) = Scene::new("readme$readme") else { return };
    wal_e(&scene, "db_wal");
    let program = Path::new(env!("CARGO_BIN_EXE_ceph-backup")).parent().expect("a folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").expect("a PATH"));
    let command = |script: &str| {
        // Nothing tells it of the server but the home, where there is nothing yet.
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", script]).env_clear().env("PATH", &path).env("LC_ALL", "C.UTF-8").env("TERM", "dumb");
        shell.env("HOME", scene.folder.path()).env("STATE_DIRECTORY", scene.path("state-of-readme"));
        std::fs::create_dir_all(scene.path("backup")).expect("a folder");
        shell.current_dir(scene.path("backup")).stdin(Stdio::null());
        shell
    };
    let host = scene.rgw.url().trim_start_matches("http://").to_owned();
    let answers = [
        ("Access Key: ", scene.keys.access_key.as_str()),
        ("Secret Key: ", &scene.keys.secret_key),
        ("Default Region [US]: ", ""),
        ("[s3.amazonaws.com]: ", &host),
        ("]: ", ""),
        ("HTTPS protocol [Yes]: ", "No"),
        ("with these settings? [Y/n]: ", ""),
        ("to go on: ", "yes"),
    ];
    let mut words = String::new();
    for shown in commands("ceph-backup configure") {
        let (code, said) = match shown {
            "ceph-backup configure" => answered(&command(shown), &answers),
            _ => told(&command(shown).output().expect("sh runs")),
        };
        assert_eq!(code, 0, "{shown}: {said}");
        words.push_str(&said);
    }
    for said in ["enough to restore up to 000000010000000000000006", "12 copied", "7 copied", "ok  put ", "7 objects"] {
        assert!(words.contains(said), "{said} is not in {words}");
    }
    assert!(words.contains("s3://copy/wal_005/000000010000000000000006.lzo"), "{words}");
    assert_eq!(scene.files("backup"), scene.files("home/db"));
    assert_eq!(std::fs::read(scene.path(".s3cfg")).map(|text| text.is_empty()).ok(), Some(false));
}

#[test]
fn readme_has_every_command_that_the_program_has_for_buckets() {
    let (code, help) = told(&crate::scene::ceph_backup().arg("--help").output().expect("it runs"));
    assert_eq!(code, 0, "{help}");
    let commands = commands("ceph-backup configure");
    let verbs = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1).take_while(|line| !line.is_empty());
    // What is said of them goes on in lines that are indented further.
    let verbs = verbs.filter_map(|line| line.strip_prefix("  ").filter(|line| line.starts_with(char::is_alphabetic)));
    let verbs: Vec<&str> = verbs.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(verbs.contains(&"sync"), "{help}");
    for verb in verbs.iter().filter(|verb| !["completions", "man", "help"].contains(verb)) {
        assert!(commands.iter().any(|command| command.split(' ').nth(1) == Some(verb)), "README does not show {verb}");
    }
}
