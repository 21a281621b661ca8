//! The commands of README: the main job and the way back by hand are run, what is installed from where exists.

use std::path::Path;
use std::process::Command;

use backup_tests::{Major, Rgw, S3Keys, Server, judge};
use serde_json::Value;

use crate::{blocks, file, has, load_sample, run, shell};

/// A command with the lines that follow it in the page.
struct Shown {
    command: String,
    output: Vec<String>,
}

/// The console block of `page` that has `word` in it.
fn console(page: &str, word: &str) -> Vec<Shown> {
    let block = blocks(page, "console").into_iter().find(|block| block.contains(word)).expect(word);
    let mut all: Vec<Shown> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), all.last_mut()) {
            (Some(command), _) => all.push(Shown { command: command.to_owned(), output: Vec::new() }),
            (None, Some(last)) if last.command.ends_with('|') => last.command = format!("{}\n{line}", last.command),
            (None, Some(last)) => last.output.push(line.to_owned()),
            (None, None) => panic!("{page} begins a block with {line:?}"),
        }
    }
    all
}

/// A line without what differs from run to run: IDs and sizes.
fn without_figures(line: &str) -> String {
    line.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}

/// Runs the block of README that has `word`, of which `exports` makes the variables what they are here, and compares the servers. The ID
/// of the backup.
fn main_job(word: &str, exports: impl Fn(&str) -> String, folder: &Path, [source, restored]: [&Server; 2]) -> String {
    let (mut exported, mut id) = (String::new(), String::new());
    for Shown { command, output } in console("README.md", word) {
        if command.starts_with("export ") {
            exported = format!("{}\n", exports(&command));
            continue;
        }
        let server = if command.contains(" restore ") { restored } else { source };
        let said = run(shell(&(exported.clone() + &command), folder, server));
        if command.split(" #").next().is_some_and(|bare| bare.trim_end().ends_with(" backup")) {
            said.trim().clone_into(&mut id);
        }
        if !output.is_empty() {
            let [shown, said] = [output.join("\n"), said.trim_end().to_owned()].map(|text| without_figures(&text));
            assert_eq!(shown, said, "{command}");
        }
    }
    judge::assert_same(source, restored);
    id
}

#[test]
fn the_main_job_on_a_bucket() {
    let start = || Server::start(Major::V17);
    let (Some(source), Some(restored), Some(rgw)) = (start(), start(), Rgw::start()) else { return };
    let keys = rgw.user("readme");
    let Some(mut s3cmd) = rgw.s3cmd(&keys) else { return };
    assert!(s3cmd.args(["mb", "s3://backups"]).output().expect("s3cmd runs").status.success());
    load_sample(&source);
    let folder = tempfile::tempdir().expect("a folder");
    let S3Keys { access_key, secret_key } = &keys;
    let here = |shown: &str| {
        let keys = [("KEY_ID=…", access_key), ("ACCESS_KEY=…", secret_key)];
        let text = keys.iter().fold(shown.replace("https://s3.example.org", &rgw.url()), |text, (shown, key)| {
            text.replace(shown, &format!("{}{key}", shown.trim_end_matches('…')))
        });
        assert!(!text.contains('…') && text.contains(&rgw.url()), "{text}");
        text
    };
    let id = main_job("s3://backups", here, folder.path(), [&source, &restored]);
    let listed = rgw.s3cmd(&keys).expect("as before").args(["ls", "-r", "s3://backups"]).output().expect("s3cmd runs");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(!id.is_empty() && listed.contains(&format!("s3://backups/nightly/pg/{id}/manifest.json")), "{listed}");
}

#[test]
fn the_main_job_and_the_way_back_by_hand() {
    let start = || Server::start(Major::V17);
    let (Some(source), Some(restored), Some(by_hand)) = (start(), start(), start()) else { return };
    if !has(&["zstd", "sha256sum"], "run ci/install") {
        return;
    }
    load_sample(&source);
    let folder = tempfile::tempdir().expect("a folder");
    let exports = |shown: &str| shown.replace("/backups", "\"$PWD/backups\"");
    let id = main_job("pg-backup restore", exports, folder.path(), [&source, &restored]);

    let backup = folder.path().join("backups/shop").join(id);
    for Shown { command, .. } in console("README.md", "SHA256SUMS") {
        run(shell(&command, &backup, &by_hand));
    }
    judge::assert_same(&source, &by_hand);
}

#[test]
fn the_page_of_the_package_shows_the_same() {
    let commands = |page| -> Vec<String> {
        let all = console(page, "pg-backup restore").into_iter();
        let bare = all.map(|shown| shown.command.split(" #").next().unwrap_or_default().trim().to_owned());
        bare.filter(|command| !command.starts_with("export ")).collect()
    };
    let main = commands("README.md");
    for command in commands("bins/pg-backup/README.md") {
        assert!(main.contains(&command), "README.md does not have {command:?}, which a test would run");
    }
}

#[test]
fn what_is_installed_is_there() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--locked", "--offline"])
        .current_dir(file(""))
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let root = metadata["workspace_root"].as_str().expect("a path");
    let kinds = |found: &Value| -> Vec<String> {
        let targets = found["targets"].as_array().expect("targets").iter();
        targets
            .flat_map(|target| target["kind"].as_array().expect("kinds"))
            .map(|kind| kind.as_str().expect("text").to_owned())
            .collect()
    };
    let by_path = |path: &str| packages.iter().find(|one| one["manifest_path"] == format!("{root}/{path}/Cargo.toml"));
    let mut seen = 0;
    for Shown { command, .. } in console("README.md", "cargo install") {
        let words: Vec<&str> = command.split(" #").next().unwrap_or_default().split_whitespace().collect();
        let at = words.iter().position(|word| *word == "--path").expect("a path");
        let found = by_path(words[at + 1].trim_start_matches("../backup/"))
            .unwrap_or_else(|| panic!("{command}: there is no such package"));
        let kind = if words[1] == "install" { "bin" } else { "lib" };
        assert!(kinds(found).iter().any(|one| one == kind), "{command}: it has no {kind}");
        seen += 1;
    }
    assert_eq!(seen, 2);
    for name in ["pg-backup", "backup-pg", "backup-core"] {
        assert!(packages.iter().any(|one| one["name"] == name), "README speaks of {name}");
    }
}
