//! The stored format: every version of it is read, and the commands of `docs/format.md` open it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use backup_core::testing::FakeSource;
use backup_core::*;

use crate::{plain, take_one};

/// The versions whose samples the tests of this file open.
const TESTED: [&str; 1] = ["v1.json"];

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/manifest")
}

#[test]
fn all_format_versions_are_tested() {
    let files = samples().read_dir().expect("the samples are there");
    let mut names: Vec<_> = files.map(|file| file.expect("a sample").file_name().into_string().expect("text")).collect();
    names.sort();
    assert_eq!(names, TESTED, "a version has no test");
    assert_eq!(TESTED.len(), manifest::FORMAT as usize, "a version has no sample");
}

#[test]
fn the_sample_of_version_1_is_read_and_written_as_it_is() {
    let bytes = std::fs::read(samples().join("v1.json")).expect("the sample");
    let manifest = Manifest::from_bytes(&bytes).expect("read");
    assert_eq!((manifest.format, manifest.job.as_str()), (1, "pg-app"));
    assert_eq!(manifest.id.to_string(), "20261120T101500Z");
    assert_eq!(manifest.origin.identity, "7301234567890123456");
    assert_eq!(manifest.needs.len(), 1);
    assert_eq!(manifest.parts[1].name.as_str(), "db/shop/data/public.\"a\nb\"");
    assert_eq!(manifest.parts[1].files.len(), 2);
    assert_eq!(manifest.parts[1].facts["rows"], 3);
    assert_eq!(manifest.files.len(), 3);
    assert_eq!(String::from_utf8(manifest.to_bytes().expect("written")), String::from_utf8(bytes));
}

/// The fenced block of `docs/format.md` that begins with this line.
fn commands(fence: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format.md");
    let page = std::fs::read_to_string(page).expect("docs/format.md");
    let start = format!("\n```{fence}\n");
    let block = page.split_once(&start).expect("docs/format.md has the block").1;
    block.split_once("\n```").expect("it ends").0.to_owned()
}

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdin(Stdio::null()).output().is_ok();
    if !found {
        assert!(std::env::var_os("REQUIRE_SERVICES").is_none(), "{program} is not on the PATH");
        println!("skipped: {program} is not on the PATH");
    }
    found
}

/// A backup in a directory, and the commands of the page run in its folder.
struct ByHand {
    folder: tempfile::TempDir,
    backup: PathBuf,
    source: FakeSource,
}

impl ByHand {
    async fn new(seal: Seal) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let repo = Plain { seal, ..plain(Directory::new(folder.path().join("sink"))) };
        let source = FakeSource::with_parts(4);
        let manifest = take_one(&repo, &source).await.expect("taken");
        let backup = folder.path().join("sink/pg-app").join(manifest.id.to_string());
        // What reaches psql is what is compared here; the tests with servers run the real one.
        let psql = folder.path().join("psql");
        std::fs::write(&psql, "#!/bin/sh\nexec cat\n").expect("written");
        let made = Command::new("chmod").arg("+x").arg(&psql).status().expect("chmod runs");
        assert!(made.success());
        Self { folder, backup, source }
    }

    fn run(&self, commands: &str, input: &str) -> Result<Vec<u8>, String> {
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").expect("a PATH"));
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", commands]).current_dir(&self.backup).env("PATH", path).env("LC_ALL", "C");
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a shell");
        let written = shell.stdin.take().expect("stdin is piped").write_all(input.as_bytes());
        let out = shell.wait_with_output().expect("it ends");
        written.map_err(|error| error.to_string())?;
        if out.status.success() { Ok(out.stdout) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
    }

    fn plain(&self) -> Vec<u8> {
        self.source.parts.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect()
    }

    fn opens(&self, fence: &str) {
        assert!(self.run(&commands(fence), "").expect("it opens") == self.plain(), "{fence}: not what was backed up");
    }

    fn checks(&self) {
        let said = self.run(&commands("sh sums"), "").expect("the sums are right");
        let said = String::from_utf8(said).expect("text");
        assert_eq!(said.lines().filter(|line| line.ends_with(": OK")).count(), self.listed());
    }

    fn listed(&self) -> usize {
        std::fs::read_to_string(self.backup.join("SHA256SUMS")).expect("the sums").lines().count()
    }
}

#[tokio::test]
async fn a_backup_opens_by_hand_in_each_compression() {
    for (compression, fence, program) in [
        (Compression::default(), "sh zstd", "zstd"),
        (Compression::Gzip(6), "sh gzip", "gzip"),
        (Compression::None, "sh none", "cat"),
    ] {
        let backup = ByHand::new(Seal { compression, ..Seal::default() }).await;
        backup.checks();
        assert_eq!(backup.listed(), 4);
        if has(program) {
            backup.opens(fence);
        }
        if has("jq") {
            let shown = String::from_utf8(backup.run(&commands("sh jq"), "").expect("shown")).expect("text");
            assert!(shown.starts_with("parts/00000.sql") && shown.contains("37000 bytes  part 1"), "{shown}");
        }
    }
}

#[tokio::test]
async fn the_manifest_is_checked_by_hand() {
    let backup = ByHand::new(Seal::default()).await;
    let check = &commands("sh manifest");
    backup.run(check, "").expect("it is what was written");
    let path = backup.backup.join("manifest.json");
    let changed = std::fs::read_to_string(&path).expect("read").replace("\"fake\"", "\"real\"");
    std::fs::write(&path, changed).expect("written");
    backup.run(check, "").expect_err("it was changed");
}

#[tokio::test]
async fn an_encrypted_backup_opens_by_hand() {
    if !has("age") || !has("zstd") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key.txt");
    let made = Command::new("age-keygen").arg("-o").arg(&file).output().expect("age-keygen runs");
    assert!(made.status.success());
    let text = std::fs::read_to_string(&file).expect("the identity");
    let identities = Identity::parse_file(&text).expect("an identity");
    let backup = ByHand::new(Seal { recipients: vec![identities[0].recipient()], ..Seal::default() }).await;
    std::fs::copy(&file, backup.backup.join("key.txt")).expect("copied");
    backup.checks();
    assert_eq!(backup.listed(), 5, "the details are checked too");
    backup.opens("sh age");
    if has("jq") {
        let shown = String::from_utf8(backup.run(&commands("sh age jq"), "").expect("shown")).expect("text");
        assert!(shown.contains("37000 bytes  part 1"), "{shown}");
    }
    let manifest = std::fs::read_to_string(backup.backup.join("manifest.json")).expect("the manifest");
    assert!(!manifest.contains("part 1") && !manifest.contains("37000"), "the manifest tells what is inside");
}

#[tokio::test]
async fn a_passphrase_opens_by_hand() {
    if !has("age") || !has("zstd") || !has("script") {
        return;
    }
    let passphrase = Some(Passphrase::new("correct horse").expect("a passphrase"));
    let backup = ByHand::new(Seal { passphrase, ..Seal::default() }).await;
    backup.checks();
    // age asks the terminal; script is one.
    let command = format!("script -qec '{}' /dev/null", commands("sh passphrase"));
    backup.run(&command, "correct horse\n").expect("it opens");
    backup.opens("sh age");
}
