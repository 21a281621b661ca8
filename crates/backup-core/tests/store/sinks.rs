//! The contract of sinks, and what a directory must hold beside it.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use backup_core::testing::sink_contract;
use backup_core::*;

use crate::plain;

fn key(text: &str) -> Key {
    text.parse().expect("a key")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Everything there is under `path`, hidden files too.
fn everything(path: &Path) -> Vec<String> {
    let out = Command::new("find").arg(path).arg("-mindepth").arg("1").output().expect("find runs");
    let below = |line: &str| line.strip_prefix(path.to_str().expect("text")).expect("it is below").to_owned();
    String::from_utf8(out.stdout).expect("text").lines().map(below).collect()
}

#[tokio::test]
async fn memory_holds_the_contract() {
    sink_contract(&Memory::default()).await;
}

#[tokio::test]
async fn a_directory_holds_the_contract_and_leaves_nothing() {
    let folder = folder();
    sink_contract(&Directory::new(folder.path().join("made/with/the/first"))).await;
    assert_eq!(everything(&folder.path().join("made/with/the/first")), [""; 0]);
}

#[tokio::test]
async fn only_the_owner_may_read_what_is_stored() {
    let folder = folder();
    let root = folder.path().join("root");
    Directory::new(&root).put(&key("a/b"), body::from_bytes("x")).await.expect("stored");
    for (path, mode) in [("", 0o700), ("a", 0o700), ("a/b", 0o600)] {
        let metadata = root.join(path).metadata().expect("it is there");
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{path:?}");
    }
}

#[tokio::test]
async fn links_lead_nowhere() {
    let (outside, folder) = (folder(), folder());
    std::fs::write(outside.path().join("secret"), "x").expect("written");
    symlink(outside.path(), folder.path().join("job")).expect("linked");
    symlink(outside.path().join("secret"), folder.path().join("file")).expect("linked");
    let sink = Directory::new(folder.path());
    let error = sink.put(&key("job/x"), body::from_bytes("x")).await.expect_err("a link is not followed");
    assert_eq!(error.kind(), Kind::Failed, "{error:?}");
    assert!(sink.get(&key("job/secret"), None).await.is_err());
    assert!(sink.get(&key("file"), None).await.is_err());
    sink.delete(&key("job/secret")).await.expect_err("nor is it here");
    for place in ["job", "job/deeper"] {
        let listed: Result<Vec<_>> = futures_util::TryStreamExt::try_collect(sink.list(&key(place), Depth::One)).await;
        let error = listed.expect_err("what is behind a link is not nothing");
        assert!(error.chain().contains("job is a symbolic link"), "{error:?}");
    }
    let all: Vec<_> = futures_util::TryStreamExt::try_collect(sink.list(&Key::root(), Depth::All)).await.expect("listed");
    assert_eq!(all, [] as [Entry; 0]);
    assert_eq!(everything(outside.path()).len(), 1, "something outside was changed");
    let error = sink.put(&key("file"), body::from_bytes("x")).await.expect_err("a link is replaced by nothing");
    assert_eq!(error.kind(), Kind::AlreadyExists);
}

#[tokio::test]
async fn a_file_in_the_place_of_the_directory_is_not_empty() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let sink = Directory::new(file.path());
    let listed: Result<Vec<_>> = futures_util::TryStreamExt::try_collect(sink.list(&Key::root(), Depth::All)).await;
    assert!(listed.expect_err("it is a file").chain().contains("is no folder"));
    let error = plain(sink).records(&"pg".parse().expect("a name")).await.expect_err("it is a file");
    assert_eq!(error.kind(), Kind::Failed, "{error:?}");
}

/// A body that removes a folder before it ends.
fn removing(folder: std::path::PathBuf) -> Body {
    body::piped(|writer| async move {
        std::fs::remove_dir_all(folder)?;
        drop(writer);
        Ok(())
    })
}

#[tokio::test]
async fn a_folder_that_goes_away_while_something_is_stored_is_a_failure() {
    let folder = folder();
    let put = Directory::new(folder.path()).put(&key("a/b"), removing(folder.path().join("a"))).await;
    let error = put.expect_err("its folder is gone");
    assert_eq!(error.kind(), Kind::Failed, "{error:?}");
    assert!(error.to_string().starts_with("failed to store a/b"), "{error:?}");
}

#[tokio::test]
async fn a_sweep_takes_what_dead_runs_left_and_nothing_else() {
    let folder = folder();
    let sink = Directory::new(folder.path());
    sink.put(&key("job/1/whole"), body::from_bytes("x")).await.expect("stored");
    let left = folder.path().join("job/1/.0123456789abcdef.partial");
    std::fs::write(&left, "half").expect("written");
    std::fs::write(folder.path().join("job/1/.other"), "not ours").expect("written");
    std::fs::create_dir_all(folder.path().join("job/2/empty")).expect("made");

    let (writer, reader) = tokio::io::duplex(16);
    let place = key("job/1/alive");
    let mut alive = sink.put(&place, Box::pin(reader));
    while everything(folder.path()).len() < 8 {
        assert!(futures_util::poll!(&mut alive).is_pending());
        tokio::task::yield_now().await;
    }
    sink.sweep(&key("job"), Duration::from_secs(3600)).await.expect("swept");
    assert!(left.exists(), "it is not old enough");
    sink.sweep(&key("job"), Duration::ZERO).await.expect("swept");
    assert!(!left.exists() && !folder.path().join("job/2").exists());
    assert!(folder.path().join("job/1/.other").exists());
    drop(writer);
    alive.await.expect("one that is being written is not swept");
    assert_eq!(everything(folder.path()).len(), 5);
}

#[tokio::test]
async fn a_full_disk_is_told_with_a_hint_and_leaves_nothing() {
    let folder = folder();
    // A namespace of its own, which ends with its holder, which a wait ends. It takes no root; in a chroot there is none, and
    // root has one of mounts alone.
    let mut probe = Command::new("unshare");
    probe.args(["--map-root-user", "--mount", "true"]).stderr(Stdio::null());
    let namespace: &[&str] = match probe.status().is_ok_and(|status| status.success()) {
        true => &["--map-root-user", "--mount"],
        false => &["--mount", "--propagation", "unchanged"],
    };
    let mount = "mount -t tmpfs -o size=256k none \"$1\" && echo ready; cat >/dev/null; umount \"$1\" 2>/dev/null";
    let mut holder = Command::new("unshare")
        .args(namespace)
        .args(["sh", "-c", mount, "sh"])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare of util-linux runs");
    let mut said = String::new();
    let _ = BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut said);
    if said.trim() != "ready" {
        holder.wait().expect("it ends");
        assert!(std::env::var_os("REQUIRE_SERVICES").is_none(), "a small file system cannot be mounted in a namespace");
        println!("skipped: a small file system cannot be mounted in a namespace");
        return;
    }
    let disk = Path::new("/proc").join(holder.id().to_string()).join("root");
    let disk = disk.join(folder.path().strip_prefix("/").expect("a whole path"));
    let full = Directory::new(&disk).put(&key("a/b"), body::from_bytes(vec![7; 1 << 20])).await;
    let left = everything(&disk);
    holder.wait().expect("it ends");
    let error = full.expect_err("it does not fit");
    assert_eq!((error.kind(), error.hint().is_some()), (Kind::Failed, true), "{error:?}");
    assert!(error.chain().contains("No space left"), "{error:?}");
    assert!(left.iter().all(|path| !path.contains("b") && !path.contains("partial")), "{left:?}");
}
