//! The invariants of `ARCHITECTURE.md`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace is there")
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).args(["--locked", "--offline"]).current_dir(root()).output();
    let output = output.expect("cargo runs");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

struct Package {
    name: String,
    folder: PathBuf,
    manifest: String,
    /// Names of what it depends on, for tests alone not among them.
    needs: BTreeSet<String>,
    metadata: Value,
}

impl Package {
    fn is_in(&self, room: &str) -> bool {
        self.folder.starts_with(root().join(room))
    }
}

fn packages() -> Vec<Package> {
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--format-version=1", "--no-deps"])).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let package = |package: &Value| {
        let path = PathBuf::from(text(&package["manifest_path"]));
        let needs = package["dependencies"].as_array().expect("dependencies").iter();
        let needs = needs.filter(|one| one["kind"] != "dev").map(|one| text(&one["name"])).collect();
        let manifest = std::fs::read_to_string(&path).expect("a Cargo.toml");
        let folder = path.parent().expect("a folder").to_owned();
        Package { name: text(&package["name"]), folder, manifest, needs, metadata: package.clone() }
    };
    packages.iter().map(package).collect()
}

/// What a crate of ours may know of the others; a program that is not named here, nothing.
fn may_know(package: &Package) -> &'static [&'static str] {
    match package.name.as_str() {
        "backup-tests" => &["backup-core", "backup-pg"],
        "xtask" => &["backup-core", "backup-mongo", "backup-pg", "backup-tests"],
        "pg-backup" => {
            &["backup-core", "backup-ceph", "backup-cli", "backup-host", "backup-kube", "backup-pg", "backup-service"]
        }
        "ceph-backup" => &["backup-core", "backup-ceph", "backup-cli"],
        "bosh-backup" => &["backup-core", "backup-bosh", "backup-cli", "backup-host", "backup-pg"],
        "mongo-healer" => &["backup-core", "backup-ceph", "backup-cli", "backup-mongo"],
        "backup-bosh" | "backup-volume" => &["backup-core", "backup-host"],
        name if package.is_in("crates") && name != "backup-core" => &["backup-core"],
        _ => &[],
    }
}

#[test]
fn arrows_point_down_only() {
    let packages = packages();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    for package in &packages {
        let known = package.needs.iter().map(String::as_str).filter(|need| ours.contains(need));
        let wrong: Vec<&str> = known.filter(|need| !may_know(package).contains(need)).collect();
        assert!(wrong.is_empty(), "{} must not know {wrong:?}", package.name);
    }
}

#[test]
fn the_core_and_the_backends_have_no_command_line_in_their_tree() {
    let strangers = ["clap", "indicatif", "tracing-subscriber", "anyhow", "openssl", "native-tls"];
    for package in packages().iter().filter(|package| package.is_in("crates") && package.name != "backup-cli") {
        let tree = cargo(&["tree", "--package", &package.name, "--edges=normal", "--prefix=none", "--format={lib}"]);
        let tree: BTreeSet<&str> = tree.lines().map(str::trim).collect();
        assert!(tree.len() > 10, "cargo tree says nothing of {}", package.name);
        let mut wrong = strangers.map(|name| name.replace('-', "_")).to_vec();
        if package.name == "backup-core" {
            wrong.extend(["tokio_postgres", "rustls"].map(str::to_owned));
        }
        wrong.retain(|name| tree.contains(name.as_str()));
        assert!(wrong.is_empty(), "{} must do without {wrong:?}", package.name);
    }
}

#[test]
fn every_crate_takes_its_dependencies_and_lints_from_the_workspace() {
    for package in packages() {
        let (name, manifest) = (&package.name, &package.manifest);
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name} has lints of its own");
        let mut within = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                within = line.contains("dependencies");
            } else if within && line.contains('=') {
                // A path without a version is for tests: what is published has none.
                assert!(line.contains("workspace = true") || line.contains("path = "), "{name}: {line}");
            }
        }
    }
}

#[test]
fn what_is_published_says_what_it_is() {
    for package in packages().iter().filter(|package| package.is_in("crates") || package.is_in("bins")) {
        let name = &package.name;
        for field in ["description", "license", "repository", "readme", "rust_version"] {
            assert!(package.metadata[field].is_string(), "{name} has no {field}");
        }
        for field in ["keywords", "categories"] {
            assert!(package.metadata[field].as_array().is_some_and(|list| !list.is_empty()), "{name} has no {field}");
        }
        let readme = std::fs::read_to_string(package.folder.join("README.md")).expect("a README");
        assert!(readme.starts_with(&format!("# {name}\n")) && readme.len() > 400, "the README of {name} says too little");
    }
}

#[test]
fn what_is_published_has_no_test_that_needs_the_harness() {
    for package in packages().iter().filter(|package| package.is_in("crates") || package.is_in("bins")) {
        let listed = cargo(&["package", "--list", "--allow-dirty", "--package", &package.name]);
        for file in listed.lines().filter(|file| file.ends_with(".rs")) {
            let text = std::fs::read_to_string(package.folder.join(file)).expect("text");
            assert!(!text.contains("backup_tests"), "{} would publish {file}, which cannot compile there", package.name);
        }
    }
}

/// Files under `folder` whose names end in `end`.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir().expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if name.ends_with(end) {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_file_says_in_its_first_line_which_question_it_answers() {
    let files = files(&root(), ".rs");
    assert!(files.len() > 100);
    for file in files {
        let text = std::fs::read_to_string(&file).expect("text");
        assert!(text.starts_with("//! "), "{} does not", file.display());
    }
}

#[test]
fn libraries_do_not_end_the_process_and_set_no_signal_handler() {
    for room in ["crates/backup-core/src", "crates/pg/src"] {
        for file in files(&root().join(room), ".rs") {
            let text = std::fs::read_to_string(&file).expect("text");
            let mut words = vec!["process::exit", "process::abort", "tokio::signal", "signal_hook"];
            if room.contains("core") {
                words.extend(["env::var", "env::args"]);
            }
            for word in words {
                assert!(!text.contains(word), "{}: {word}", file.display());
            }
        }
    }
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut seen = 0;
    for page in files(&root(), ".md") {
        let text = std::fs::read_to_string(&page).expect("text");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            if link.starts_with("http") {
                continue;
            }
            seen += 1;
            let (path, heading) = link.split_once('#').map_or((link, None), |(path, heading)| (path, Some(heading)));
            let target = if path.is_empty() { page.clone() } else { page.parent().expect("a folder").join(path) };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            if let Some(heading) = heading {
                let text = std::fs::read_to_string(&target).expect("text");
                assert!(text.lines().any(|line| anchor(line) == heading), "{}: {link} has no such heading", page.display());
            }
        }
    }
    assert!(seen > 5, "there are links");
}

/// What a heading is linked by: its words in small letters with hyphens between them.
fn anchor(line: &str) -> String {
    let words = line.strip_prefix('#').unwrap_or_default().trim_start_matches('#').trim();
    let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn decisions_are_numbered_without_a_gap() {
    let mut pages = files(&root().join("docs/decisions"), ".md");
    pages.sort();
    for (number, page) in (1..).zip(&pages) {
        let name = page.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(name.starts_with(&format!("{number:04}-")), "{name} should be number {number}");
        let text = std::fs::read_to_string(page).expect("text");
        assert!(text.starts_with(&format!("# {number}. ")), "the title of {name} has another number");
    }
    assert!(pages.len() >= 10);
}
