//! s3cmd and ours take each other's copies for what they are, by the same header.

use std::process::Command;
use std::time::UNIX_EPOCH;

use backup_tests::bytes;

use crate::scene::Scene;

fn said(command: &mut Command, arguments: &[&str]) -> String {
    let output = command.args(arguments).output().expect("s3cmd runs");
    let words = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "s3cmd {arguments:?}: {words}");
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn what_s3cmd_has_copied_is_there_for_ours_and_the_reverse() {
    let Some(scene) = Scene::new("s3cmd").await else { return };
    let s3cmd = |arguments: &[&str]| Some(said(&mut scene.rgw.s3cmd(&scene.keys)?, arguments));
    // One of them in parts, which is 15 MiB with s3cmd; `odd` in parts whose size no guess finds.
    scene.write("home/wal_005/1.lzo", "one");
    scene.write("home/wal_005/empty", "");
    scene.write("home/a b+ä/x", "x");
    scene.write("home/large", bytes((16 << 20) + 5, 1));
    let home = format!("{}home/", scene.folder());
    let (bucket, other) = (format!("s3://{}/", scene.bucket), format!("s3://{}/", scene.other));

    // s3cmd up: ours has nothing to do on any way.
    if s3cmd(&["sync", &home, &bucket]).is_none() {
        return;
    }
    let summary = scene.sync(&home, &bucket).await.expect("synced");
    assert_eq!((summary.same, summary.copied), (4, 0), "up again");
    let ours = format!("{}ours/", scene.folder());
    let summary = scene.sync(&bucket, &ours).await.expect("synced");
    assert_eq!((summary.copied, summary.unverified), (4, 0), "down");
    let words = s3cmd(&["sync", "--dry-run", &bucket, &ours]).expect("s3cmd is there");
    assert!(!words.contains("download:"), "{words}");

    // The times of the files are those that they had, to the second.
    let modified = |path: &str| {
        let time = scene.root.path().join(path).metadata().expect("a file").modified().expect("a time");
        time.duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
    };
    assert_eq!(modified("ours/large"), modified("home/large"));

    // Ours up: s3cmd has nothing to do.
    assert_eq!(scene.sync(&home, &other).await.expect("synced").copied, 4);
    let words = s3cmd(&["sync", "--dry-run", &home, &other]).expect("s3cmd is there");
    assert!(!words.contains("upload:"), "{words}");
    let theirs = format!("{}theirs/", scene.folder());
    std::fs::create_dir(&theirs).expect("a folder");
    s3cmd(&["sync", &other, &theirs]);
    assert_eq!(modified("theirs/large"), modified("home/large"), "s3cmd reads the header of ours");
    let summary = scene.sync(&other, &theirs).await.expect("synced");
    assert_eq!((summary.same, summary.copied), (4, 0), "s3cmd down, and ours without a record");
    // What s3cmd has written is not ours to delete.
    for key in ["large", "wal_005/1.lzo"] {
        scene.remove(&scene.other, key).await;
    }
    let summary = scene.sync(&other, &theirs).await.expect("synced");
    assert_eq!((summary.deleted, summary.foreign), (0, 2));
}
