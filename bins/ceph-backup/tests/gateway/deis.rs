//! The commands of the Deis document, beside the real s3cmd.

use crate::scene::Scene;

#[test]
fn the_commands_of_the_deis_document_and_a_change_over_from_s3cmd_and_back() {
    let Some(scene) = Scene::new("deis") else { return };
    for (path, content) in
        [("basebackups_005/base_1/part_0.tar.lzo", "base"), ("wal_005/1.lzo", "one"), ("wal_005/2.lzo", "two")]
    {
        scene.write(&format!("home/{path}"), content);
    }
    scene.write("home/wal_005/large", &"0123456789abcdef".repeat(1_200_000));
    scene.ok("home", &["mb", "s3://db_wal"]);
    // Half of it by each.
    scene.ok("home", &["sync", "basebackups_005", "s3://db_wal"]);
    let Some(_) = scene.s3cmd("home", &["sync", "wal_005", "s3://db_wal"]) else { return };
    assert!(scene.ok("home", &["ls", "s3://db_wal"]).contains("DIR  s3://db_wal/wal_005/"));
    assert!(scene.ok("home", &["du", "s3://db_wal"]).contains("4 objects"));

    let words = scene.ok("ours", &["sync", "s3://db_wal", "."]);
    assert!(words.contains("4 copied"), "{words}");
    assert_eq!(scene.files("ours"), scene.files("home"));
    let words = scene.ok("ours", &["sync", "s3://db_wal", "."]);
    assert!(words.contains("4 were there, 0 copied"), "a sync to . copies nothing twice: {words}");
    let modified = |path: &str| scene.path(path).metadata().expect("a file").modified().expect("a time");
    let seconds = |time: std::time::SystemTime| time.duration_since(std::time::UNIX_EPOCH).expect("since 1970").as_secs();
    for path in ["wal_005/1.lzo", "basebackups_005/base_1/part_0.tar.lzo"] {
        let (home, ours) = (modified(&format!("home/{path}")), modified(&format!("ours/{path}")));
        assert_eq!(seconds(home), seconds(ours), "{path}: the header of s3cmd");
    }
    // What s3cmd has fetched is known, without a record and also where it was stored in parts.
    std::fs::create_dir(scene.path("theirs")).expect("a folder");
    scene.s3cmd("theirs", &["sync", "s3://db_wal/", "./"]);
    let words = scene.ok("theirs", &["sync", "s3://db_wal", "."]);
    assert!(words.contains("4 were there, 0 copied"), "{words}");
    // And the reverse.
    let words = scene.s3cmd("ours", &["sync", "--dry-run", "s3://db_wal/", "./"]).expect("s3cmd");
    assert!(!words.contains("download:"), "{words}");
    let words = scene.s3cmd("home", &["sync", "--dry-run", "basebackups_005", "s3://db_wal/"]).expect("s3cmd");
    assert!(!words.contains("upload:"), "{words}");
}
