//! Whether a bucket is good for a sync, and whether one of WAL-E is enough to restore from.

use std::net::SocketAddr;

use backup_tests::faults::{Asked, Fault, Proxy};

use crate::scene::Scene;

#[test]
fn keys_and_a_bucket_are_good_and_nothing_of_it_stays() {
    let Some(mut scene) = Scene::new("good") else { return };
    scene.ok("home", &["mb", "s3://good"]);
    let words = scene.ok("home", &["check"]);
    assert!(words.contains("ok") && words.contains("1 buckets"), "{words}");
    let words = scene.ok("home", &["check", "s3://good/in/here"]);
    for what in ["list", "put", "clocks", "if-none-match", "range", "copy", "multipart", "delete"] {
        assert!(words.lines().any(|line| line.starts_with(&format!("ok  {what} "))), "{what}: {words}");
    }
    assert_eq!(scene.ok("home", &["ls", "-r", "s3://good"]), "");
    let words = scene.ok("home", &["check", "--read-only", "s3://good"]);
    assert!(words.contains("list") && !words.contains("put"), "{words}");
    let json = scene.ok("home", &["--json", "check", "s3://good"]);
    assert!(json.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok_and(|line| line["ok"] == true)));

    // Each thing that does not work is named, and what a sync needs makes it fail.
    let address: SocketAddr = scene.rgw.url().trim_start_matches("http://").parse().expect("an address");
    let proxy = Proxy::start(address);
    let text = std::fs::read_to_string(&scene.config).expect("a file");
    scene.config = scene.path("s3cfg");
    let through = proxy.url().trim_start_matches("http://").to_owned();
    std::fs::write(&scene.config, text.replace(&address.to_string(), &through) + "max_retries = 0\n").expect("written");
    proxy.spoil(Asked::Put, 0, 99, Fault::Answer(403, "AccessDenied"));
    let words = scene.fails(1, &["check", "s3://good"], "not good for every sync: put");
    assert!(words.contains("no  put ") && words.contains("these keys may not do that"), "{words}");
    proxy.heal();
    proxy.spoil(Asked::Listing, 0, 99, Fault::Answer(403, "RequestTimeTooSkewed"));
    let words = scene.fails(1, &["check", "s3://good"], "clock");
    assert!(words.contains("s apart"), "{words}");
    proxy.heal();
    // What a sync can do without is told, and no failure.
    for (asked, skip, fault, what) in
        [(Asked::Put, 1, Fault::Answer(403, "AccessDenied"), "if-none-match"), (Asked::Get, 0, Fault::Flip(0), "range")]
    {
        proxy.spoil(asked, skip, 1, fault);
        let words = scene.ok("home", &["check", "s3://good"]);
        assert!(words.contains(&format!("no  {what} ")) && words.matches("no  ").count() == 1, "{words}");
        proxy.heal();
    }
    proxy.spoil(Asked::Complete, 0, 1, Fault::Answer(403, "AccessDenied"));
    let words = scene.fails(1, &["check", "s3://good"], "not good for every sync: multipart");
    assert!(words.contains("no  multipart "), "{words}");
    let gateway = scene.gateway(&scene.keys);
    assert_eq!(scene.block(gateway.uploads("good", "")).expect("listed"), [], "what was begun is given up");
    assert_eq!(scene.ok("home", &["ls", "-r", "s3://good"]), "");
}

/// A bucket as WAL-E fills it: a base backup from segment 2 to 3, and segments until 6.
pub(crate) fn wal_e(scene: &Scene, bucket: &str) {
    scene.ok("home", &["mb", &format!("s3://{bucket}")]);
    let base = "home/db/basebackups_005/base_000000010000000000000002_00000040";
    scene.write(&format!("{base}/tar_partitions/part_00000000.tar.lzo"), "part 0");
    scene.write(&format!("{base}/tar_partitions/part_00000001.tar.lzo"), "part 1");
    scene.write(&format!("{base}/extended_version.txt"), "PostgreSQL 9.3");
    let stop = r#"{"wal_segment_backup_stop": "000000010000000000000003", "wal_segment_offset_backup_stop": "00000128"}"#;
    scene.write(&format!("{base}_backup_stop_sentinel.json"), stop);
    scene.write("home/db/basebackups_005/base_000000010000000000000005_00000040/tar_partitions/part_00000000.tar.lzo", "new");
    for nth in 1..=6 {
        scene.write(&format!("home/db/wal_005/00000001000000000000000{nth}.lzo"), "wal");
    }
    scene.write("home/db/wal_005/000000010000000000000002.00000040.backup.lzo", "label");
    scene.ok("home", &["sync", "db/", &format!("s3://{bucket}")]);
}

#[test]
fn a_bucket_of_wal_e_is_enough_to_restore_from_or_says_what_is_missing() {
    let Some(scene) = Scene::new("wal-e") else { return };
    wal_e(&scene, "wal-e");
    let check = ["check", "--wal-e", "s3://wal-e"];
    let words = scene.ok("home", &check);
    assert!(words.contains("enough to restore up to 000000010000000000000006"), "{words}");
    assert!(words.contains("base_000000010000000000000002_00000040") && words.contains("the newest of 1"), "{words}");
    let without = |name: &str| {
        scene.ok("home", &["sync", "--delete-removed", "--yes", "db/", "s3://wal-e"]);
        let path = scene.path("home/db").join(name);
        let content = std::fs::read(&path).expect(name);
        std::fs::remove_file(&path).expect("removed");
        scene.ok("home", &["sync", "--delete-removed", "--yes", "db/", "s3://wal-e"]);
        std::fs::write(&path, content).expect("back");
    };
    without("wal_005/000000010000000000000005.lzo");
    let words = scene.fails(4, &check, "1 things are missing");
    assert!(words.contains("no  missing        000000010000000000000005"), "{words}");
    assert!(words.contains("up to 000000010000000000000004 and no further"), "{words}");
    without("wal_005/000000010000000000000003.lzo");
    let words = scene.fails(4, &check, "things are missing");
    assert!(words.contains("itself needs") && words.contains("not enough to restore"), "{words}");
    without("basebackups_005/base_000000010000000000000002_00000040/tar_partitions/part_00000000.tar.lzo");
    assert!(scene.fails(4, &check, "things are missing").contains("part_00000000.tar.lzo"));
    scene.ok("home", &["sync", "--delete-removed", "--yes", "db/", "s3://wal-e"]);
    scene.ok("home", &check);

    // What is empty is neither a segment nor a part.
    for (path, content) in [
        ("wal_005/000000010000000000000005.lzo", "wal"),
        ("basebackups_005/base_000000010000000000000002_00000040/tar_partitions/part_00000000.tar.lzo", "part 0"),
    ] {
        scene.write(&format!("home/db/{path}"), "");
        scene.ok("home", &["sync", "db/", "s3://wal-e"]);
        let name = path.rsplit_once('/').expect("a folder").1.trim_end_matches(".lzo");
        assert!(scene.fails(4, &check, "1 things are missing").contains(name), "{path}");
        scene.write(&format!("home/db/{path}"), content);
    }
    scene.ok("home", &["sync", "db/", "s3://wal-e"]);
    scene.ok("home", &check);

    // LATEST is what was stored last; where another base backup begins later, that is told.
    let sentinel = |nth: u32| format!("basebackups_005/base_00000001000000000000000{nth}_00000040_backup_stop_sentinel.json");
    let store = |nth: u32| {
        let stop = format!(r#"{{ "wal_segment_backup_stop": "00000001000000000000000{}" }}"#, nth + 1);
        scene.write(&format!("home/db/{}", sentinel(nth)), &stop);
        scene.ok("home", &["sync", "db/", "s3://wal-e"]);
        scene.ok("home", &check)
    };
    let words = store(5);
    assert!(words.contains("base_000000010000000000000005_00000040 of") && words.contains("newest of 2"), "{words}");
    assert!(!words.contains("begins later"), "{words}");
    let words = store(2);
    assert!(words.contains("base_000000010000000000000002_00000040 of") && words.contains("newest of 2"), "{words}");
    assert!(words.contains("another begins later, at 000000010000000000000005"), "{words}");
    std::fs::remove_file(scene.path("home/db").join(sentinel(5))).expect("removed");
    scene.ok("home", &["sync", "--delete-removed", "--yes", "db/", "s3://wal-e"]);

    // A cluster that went on to another timeline.
    scene.write("home/db/wal_005/000000020000000000000006.lzo", "wal");
    scene.ok("home", &["sync", "db/", "s3://wal-e"]);
    assert!(scene.fails(4, &check, "missing").contains("00000002.history"));
    scene.write("home/db/wal_005/00000002.history.lzo", "history");
    scene.ok("home", &["sync", "db/", "s3://wal-e"]);
    assert!(scene.ok("home", &check).contains("up to 000000020000000000000006"));

    // A sentinel that says nothing, and a base backup that was not finished.
    let sentinel = sentinel(2);
    for bad in ["", "{}", r#"{"wal_segment_backup_stop": "000000010000000000000001"}"#, "[\u{1b}"] {
        scene.write(&format!("home/db/{sentinel}"), bad);
        scene.ok("home", &["sync", "db/", "s3://wal-e"]);
        scene.fails(4, &check, "sentinel");
    }
    std::fs::remove_file(scene.path("home/db").join(&sentinel)).expect("removed");
    scene.ok("home", &["sync", "--delete-removed", "--yes", "db/", "s3://wal-e"]);
    scene.fails(3, &check, "no base backup");
    scene.fails(3, &["check", "--wal-e", "s3://none-of-that"], "no bucket");
}
