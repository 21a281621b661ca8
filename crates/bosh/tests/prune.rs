//! Archives go by rules, and the last one that is whole never does.

use std::fs;
use std::path::{Path, PathBuf};

use backup_bosh::archive::{Contents, Draft, Judged, Manifest, judged, manifest_of, remove};
use backup_core::{Context, Keep, Kind, Reason, Result};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

const OURS: &str = "vcap@director";

fn day(number: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * number)
}

/// Makes the archive of a director that was whole on that day.
async fn archive(folder: &Path, director: &str, number: i64) -> PathBuf {
    let cache = folder.join("cache/dbs");
    fs::create_dir_all(&cache).expect("made");
    fs::write(cache.join("dump"), format!("of day {number}")).expect("written");
    let contents = Contents::new(folder.join("cache"), vec!["dbs".into()], Vec::new()).expect("names");
    let path = folder.join(format!("{number:02}.tar"));
    let part = "archive".parse().expect("a name");
    let draft = Draft::write(&Context::default(), &contents, &path, &part).await.expect("written");
    let manifest = Manifest { finished: day(number), ..Manifest::new("a test", director, day(number)) };
    draft.commit(manifest).await.expect("committed");
    path
}

async fn folder_of(days: &[i64]) -> (TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut paths = Vec::new();
    for number in days {
        paths.push(archive(folder.path(), OURS, *number).await);
    }
    (folder, paths)
}

async fn judge(folder: &Path, keep: Keep) -> Result<Vec<Judged>> {
    judged(&Context::default(), folder, OURS, &keep, day(100), &TimeZone::UTC).await
}

/// Which stay, by their places.
async fn kept(folder: &Path, keep: Keep) -> Vec<bool> {
    judge(folder, keep).await.expect("judged").into_iter().map(|judged| judged.keep).collect()
}

/// Changes a byte in the middle, and neither size nor time.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("written");
}

#[tokio::test]
async fn what_no_rule_keeps_goes_with_its_manifest_and_nothing_else() {
    let (folder, paths) = folder_of(&[1, 2, 3]).await;
    assert_eq!(kept(folder.path(), Keep::default()).await, [true; 3], "without a rule all stay");
    let [first, others] = [&paths[0], &paths[1]];
    let theirs = archive(folder.path(), "vcap@another", 4).await;
    let without = archive(folder.path(), OURS, 5).await;
    fs::remove_file(manifest_of(&without)).expect("removed");
    let judged = judge(folder.path(), Keep { last: 2, ..Keep::default() }).await.expect("judged");
    assert!(judged[2].reasons.contains(&Reason::NewestVerified), "{judged:?}");
    let goes: Vec<&PathBuf> = judged.iter().filter(|judged| !judged.keep).map(|judged| &judged.path).collect();
    assert_eq!((judged.len(), goes), (3, vec![first]), "neither those of others nor those without a manifest");
    remove(first).expect("removed");
    assert!(!first.exists() && !manifest_of(first).exists());
    for stays in [others, &paths[2], &theirs, &without] {
        assert!(stays.exists(), "{}", stays.display());
    }
    assert!(remove(first).is_err(), "it is gone");
}

#[tokio::test]
async fn a_damaged_archive_takes_the_place_of_no_other() {
    let (folder, paths) = folder_of(&[1, 2, 3, 4]).await;
    let newest = || Keep { last: 1, ..Keep::default() };
    assert_eq!(kept(folder.path(), newest()).await, [false, false, false, true]);
    // One that is cut is known by its size, also where it is not read.
    let whole = fs::read(&paths[1]).expect("read");
    fs::write(&paths[1], &whole[1..]).expect("cut");
    assert_eq!(kept(folder.path(), Keep { last: 3, ..Keep::default() }).await, [true; 4], "three that are whole");
    fs::write(&paths[1], whole).expect("as it was");
    damage(&paths[3]);
    fs::write(&paths[2], "").expect("cut");
    assert_eq!(kept(folder.path(), newest()).await, [false, true, false, true]);
    paths[..2].iter().for_each(|path| damage(path));
    assert_eq!(kept(folder.path(), newest()).await, [true; 4], "while nothing is whole all of it stays");
}

#[tokio::test]
async fn nothing_is_judged_while_a_manifest_cannot_be_read() {
    let (folder, paths) = folder_of(&[1, 2]).await;
    fs::write(manifest_of(&paths[0]), "{}").expect("written");
    let error = judge(folder.path(), Keep { last: 1, ..Keep::default() }).await.expect_err("damaged");
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(error.chain().contains(&manifest_of(&paths[0]).display().to_string()), "{}", error.chain());
}
