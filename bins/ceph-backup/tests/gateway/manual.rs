//! The manual: its commands are run, its options are those of the program.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::scene::{Scene, ceph_backup, told};

fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).expect(path)
}

/// Words that begin with two hyphens.
fn options(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| word.starts_with("--"));
    // `--configure` is s3cmd's, and `--s3-…` stands for many.
    let words = words.filter(|word| word.ends_with(char::is_alphanumeric) && *word != "--configure");
    words.map(str::to_owned).collect()
}

/// What the program says of itself.
fn page() -> String {
    let (code, page) = told(&ceph_backup().arg("man").output().expect("it runs"));
    assert_eq!(code, 0, "{page}");
    // Without what changes the font.
    ["\\fB", "\\fI", "\\fR"].iter().fold(page, |page, font| page.replace(font, " ")).replace('\\', "")
}

#[test]
fn every_command_and_option_is_in_the_manual_and_no_other() {
    let (manual, page) = (text("docs/ceph-backup.md"), page());
    let (ours, mut theirs) = (options(&manual), options(&page));
    theirs.retain(|option| !["--help", "--version"].contains(&option.as_str()));
    assert!(theirs.len() > 30, "{theirs:?}");
    assert_eq!(theirs.difference(&ours).collect::<Vec<_>>(), Vec::<&String>::new(), "not in the manual");
    let strange = ours.difference(&theirs).filter(|option| *option != "--help").collect::<Vec<_>>();
    assert_eq!(strange, Vec::<&String>::new(), "not in the program");
    let commands = page.lines().filter_map(|line| line.trim_start().strip_prefix("ceph-backup ")?.split(' ').next());
    let commands: BTreeSet<&str> = commands.filter(|command| command.starts_with(char::is_alphabetic)).collect();
    assert!(commands.contains("sync") && commands.contains("man"), "{commands:?}\n{page}");
    for command in commands {
        assert!(manual.contains(&format!("ceph-backup {command}")), "{command} is not in the manual");
    }
}

#[test]
fn the_exit_codes_are_those_of_all_programs() {
    let rows = |path| -> Vec<String> {
        let is_code =
            |line: &&str| line.strip_prefix("| ").and_then(|rest| rest.split(' ').next()?.parse::<u8>().ok()).is_some();
        // Those of s3cmd have a column more.
        let is_code = |line: &&str| is_code(line) && line.matches(" | ").count() == 1;
        text(path).lines().filter(is_code).map(str::to_owned).collect()
    };
    let ours = rows("docs/ceph-backup.md");
    assert_eq!((ours.len(), &ours), (11, &rows("README.md")));
    let page = page();
    for row in ours {
        let (code, means) = row.trim_matches(['|', ' ']).split_once(" | ").expect("two columns");
        assert!(page.contains(&format!("{code:<4} {means}")), "the manual page does not say {row}");
    }
}

#[test]
fn every_command_of_the_manual_does_what_it_says() {
    let Some(scene) = Scene::new("manual$manual") else { return };
    for path in ["basebackups_005/base_1/part_00000000.tar.lzo", "wal_005/000000010000000000000001.lzo"] {
        scene.write(path, path);
    }
    for path in ["wal_005/000000010000000000000002.lzo", "wal_005/000000010000000000000003.lzo"] {
        scene.write(path, path);
    }
    let mut script = String::from("set -ex\n");
    for block in text("docs/ceph-backup.md").split("\n```sh\n").skip(1) {
        script.push_str(block.split("\n```").next().expect("a block"));
        script.push('\n');
    }
    let program = Path::new(env!("CARGO_BIN_EXE_ceph-backup")).parent().expect("a folder");
    let mut shell = Command::new("sh");
    for (name, value) in scene.command("", &[]).get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let path = std::env::var("PATH").expect("a PATH");
    shell.env("PATH", format!("{}:{path}", program.display())).args(["-c", &script]).current_dir(scene.folder.path());
    let (code, words) = told(&shell.output().expect("sh runs"));
    assert_eq!(code, 0, "{words}");
    for said in ["4 copied", "4 were there, 0 copied", "1 deleted", "s3://copy"] {
        assert!(words.contains(said), "{said} is not in {words}");
    }
    assert_eq!(scene.files("home").len(), 4);
    assert!(scene.files("").contains_key("ceph-backup.1"));
}
