//! Listings and objects that a proxy spoils on their way.

use backup_tests::answers;
use backup_tests::faults::{Asked, Fault, Proxy};

use crate::scene::Scene;

#[test]
fn a_listing_that_lies_deletes_nothing() {
    let Some(mut scene) = Scene::new("lies") else { return };
    scene.ok("home", &["mb", "s3://lies"]);
    for nth in 0..20 {
        scene.write(&format!("home/all/{nth:02}"), &format!("content {nth}"));
    }
    scene.ok("home", &["sync", "all/", "s3://lies"]);
    let proxy = Proxy::start(scene.rgw.url().trim_start_matches("http://").parse().expect("an address"));
    let text = std::fs::read_to_string(&scene.config).expect("a file");
    scene.config = scene.path("s3cfg");
    let text = text.replace(scene.rgw.url().trim_start_matches("http://"), proxy.url().trim_start_matches("http://"));
    std::fs::write(&scene.config, format!("{text}max_retries = 1\nsocket_timeout = 2\n")).expect("written");
    scene.ok("to", &["sync", "s3://lies", "."]);
    let whole = scene.files("to");
    assert_eq!(whole.len(), 20);
    for fault in [
        Fault::Answer(500, "InternalError"),
        Fault::Answer(503, "SlowDown"),
        Fault::Answer(403, "RequestTimeTooSkewed"),
        Fault::Answer(404, "NoSuchBucket"),
        Fault::Reset,
        Fault::Hang,
        Fault::Cut(300),
        Fault::Short(300),
        Fault::End(15),
        Fault::End(0),
    ] {
        proxy.spoil(Asked::Listing, 0, 99, fault.clone());
        let (code, words) = scene.run("to", &["sync", "--delete-removed", "--yes", "s3://lies", "."]);
        assert!(code != 0 && words.contains("error: "), "{fault:?}: {words}");
        assert_eq!(scene.files("to"), whole, "{fault:?}: {words}");
        proxy.heal();
    }
    for fault in [Fault::Cut(0), Fault::Short(0), Fault::Flip(4), Fault::Answer(403, "AccessDenied")] {
        scene.ok("other", &["sync", "s3://lies", "."]);
        std::fs::remove_file(scene.path("other/07")).expect("removed");
        proxy.spoil(Asked::Get, 0, 99, fault.clone());
        let (code, words) = scene.run("other", &["sync", "--delete-removed", "s3://lies", "."]);
        assert!(code == 1 && words.contains("\"07\""), "{fault:?}: {words}");
        assert!(!scene.path("other/07").exists(), "{fault:?}: {words}");
        proxy.heal();
    }
    // What breaks off later goes on from there.
    for fault in [Fault::Cut(4), Fault::Short(4)] {
        scene.ok("other", &["sync", "s3://lies", "."]);
        std::fs::remove_file(scene.path("other/07")).expect("removed");
        proxy.spoil(Asked::Get, 0, 99, fault.clone());
        scene.ok("other", &["sync", "s3://lies", "."]);
        proxy.heal();
        assert_eq!(scene.files("other"), whole, "{fault:?}");
    }
}

#[test]
fn a_listing_that_does_not_lead_on_comes_to_an_end() {
    let Some(mut scene) = Scene::new("endless") else { return };
    // One that never ended would end here, otherwise: two keys that come in turns, wherever they are looked for.
    let pages = (0..9).map(|nth| {
        let folder = if nth < 6 { "" } else { "basebackups_005/" };
        let page = format!(
            "<ListBucketResult><Contents><Key>{folder}{0}</Key><Size>1</Size></Contents><IsTruncated>true</IsTruncated>\
             <NextContinuationToken>{0}</NextContinuationToken></ListBucketResult>",
            nth % 3 % 2
        );
        ("200 OK", page)
    });
    let (address, serving) = answers(&pages.collect::<Vec<_>>());
    scene.says(&format!("host_base = {address}\nhost_bucket = {address}\nmax_retries = 0\n"));
    for command in [&["ls", "s3://endless"][..], &["du", "s3://endless"], &["check", "--wal-e", "s3://endless"]] {
        scene.fails(4, command, "does not lead on");
    }
    assert_eq!(serving.join().expect("three pages each").len(), 9);
}
