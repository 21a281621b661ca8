//! The manual, and the page for who comes from microbosh-simple-backup: their commands are run, their options are the program's.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::scene::Scene;

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)).expect(name)
}

/// The blocks of a page that begin with `sh`, as one script.
fn script(page: &str) -> String {
    let blocks = page.split("\n```sh\n").skip(1).map(|block| block.split("\n```").next().expect("a block"));
    let blocks: Vec<&str> = blocks.collect();
    assert!(blocks.len() > 2);
    format!("set -ex\n{}\n", blocks.join("\n"))
}

/// Words that begin with two hyphens, but for those of other programs.
fn options(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| word.starts_with("--"));
    let others = ["--clean", "--create", "--delete", "--include-from", "--help", "--version"];
    words.filter(|word| word.ends_with(char::is_alphanumeric) && !others.contains(word)).map(str::to_owned).collect()
}

#[test]
fn every_command_and_option_is_in_the_manual_and_no_other() {
    let output = Command::new(env!("CARGO_BIN_EXE_bosh-backup")).arg("man").output().expect("it runs");
    let told = String::from_utf8(output.stdout).expect("text");
    // Without what changes the font.
    let told = ["\\fB", "\\fI", "\\fR"].iter().fold(told, |page, font| page.replace(font, " ")).replace('\\', "");
    let (ours, theirs) = (options(&page("bosh-backup.md")), options(&told));
    assert!(theirs.len() > 10, "{theirs:?}");
    assert_eq!(ours, theirs);
    let commands = told.lines().filter_map(|line| line.trim_start().strip_prefix("bosh-backup ")?.split(' ').next());
    let commands: BTreeSet<&str> = commands.filter(|command| command.starts_with(char::is_alphabetic)).collect();
    assert!(commands.contains("backup") && commands.contains("man"), "{commands:?}");
    for command in commands {
        let is_there = |line: &str| line.starts_with("bosh-backup ") && line.split(' ').any(|word| word == command);
        assert!(page("bosh-backup.md").lines().any(is_there), "{command} is not in the manual");
    }
}

#[test]
fn every_command_of_the_manual_and_of_the_page_for_microbosh_does_what_it_says() {
    let Some(scene) = Scene::start() else { return };
    let conf = fs::read_to_string(scene.at("director.conf")).expect("read");
    fs::write(scene.at("bosh-deployments.yml"), "---\ninstances:\n- :id: 1\n  :vm_cid: vm-1\n").expect("written");
    // One run with a stop is enough.
    fs::write(scene.at("micro.conf"), conf.replace("offline", "online")).expect("written");
    let run = |script: &str| {
        let program = scene.program(&[]);
        let mut shell = Command::new("sh");
        shell.env_clear().args(["-c", script]).current_dir(scene.at(""));
        shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let ours = Path::new(env!("CARGO_BIN_EXE_bosh-backup")).parent().expect("a folder").display().to_string();
        let path = program.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value).expect("a PATH");
        let output = shell.env("PATH", format!("{ours}:{}", path.display())).output().expect("sh runs");
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(output.status.success(), "{out}\n{err}");
        out
    };
    let said = run(&script(&page("bosh-backup.md")).replace("archive.tar.zst", "out/*.gz"));
    assert!(said.contains("services were down for") && said.contains("nothing was left stopped"), "{said}");
    assert!(scene.at("bosh-backup.1").exists());
    let text = page("from/microbosh-simple-backup.md");
    run(&script(&text).replace("bosh.tgz", "\"$(ls out/*.gz | tail -n 1)\""));
    assert!(scene.at("vcap/store/postgres/PG_VERSION").exists() && scene.at("_date.control").exists());
    assert_eq!(scene.up(), ["agent", "director", "nats", "postgres"]);
    assert_eq!(scene.traces(), "");
}
