//! How a file becomes an object: what is sent, what is noted of it, and what is told if it is not what it was.

use std::fs::{File, FileTimes, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use super::*;
use crate::s3::Gateway;
use crate::s3::etag::{hex, md5};

/// What goes in three parts, the last of them a short one, in bytes.
const SIZE: usize = 11 << 20;

#[tokio::test]
async fn what_is_noted_of_a_file_is_what_it_has() {
    let scene = Scene::new();
    scene.write("f/k", "content");
    let path = scene.root.path().join("f/k");
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let file = File::options().write(true).open(&path).expect("a file");
    file.set_permissions(Permissions::from_mode(0o640)).expect("set");
    // Nobody but root can give files away.
    let is_given = std::os::unix::fs::chown(&path, Some(1234), Some(2345)).is_ok();
    file.set_times(FileTimes::new().set_accessed(at(1_100_000_000)).set_modified(at(1_200_000_000))).expect("set");
    let found = path.metadata().expect("a file");
    assert!(!is_given || (found.uid(), found.gid()) == (1234, 2345));
    assert_eq!(scene.sync(&format!("{}f/", scene.folder()), "s3://a").await.expect("synced").copied, 1);
    let (ctime, gid, uid, md5) = (found.ctime(), found.gid(), found.uid(), hex(md5(b"content")));
    // 33184 is a regular file with 640.
    let attrs = format!("atime:1100000000/ctime:{ctime}/gid:{gid}/md5:{md5}/mode:33184/mtime:1200000000/uid:{uid}");
    let metadata = scene.fake.new_of("a", "k").metadata;
    assert_eq!(metadata.iter().find(|(name, _)| name == "s3cmd-attrs").expect("the header").1, attrs);
}

#[tokio::test]
async fn parts_make_an_object_in_their_order_whichever_is_there_first() {
    let scene = Scene::new();
    let content = numbered(0, SIZE);
    scene.write("f/k", &content);
    // Servers take none that are smaller than 5 MiB.
    let options = Options { jobs: 8, part_size: 1 << 20, ..scene.options() };
    let synced = scene.only(&format!("{}f/", scene.folder()), "s3://a", options).await.expect("synced");
    assert_eq!((synced.summary.copied, synced.summary.failed), (1, 0));
    assert!(scene.fake.contents("a")["k"] == content);
    assert_eq!(scene.fake.requests().iter().filter(|request| *request == "part k").count(), 3);
}

#[tokio::test]
async fn an_object_that_is_made_while_parts_are_sent_stays() {
    let scene = Scene::new();
    scene.write("f/k", &numbered(0, SIZE));
    let from = format!("{}f/", scene.folder());
    // Before the first part nothing is begun for its sake, and after the last nothing is left of what was.
    for (request, begun) in [("head k", 0), ("part k", 1)] {
        scene.fake.remove("b", "k");
        scene.fake.requests();
        let fake = scene.fake.clone();
        scene.fake.meanwhile(request, move || fake.set("b", "k", "theirs"));
        let summary = scene.sync(&from, "s3://b").await.expect("it goes on");
        assert_eq!((summary.copied, summary.failed), (0, 1), "{request}");
        assert_eq!(scene.fake.contents("b"), map(&[("k", "theirs")]), "{request}");
        assert_eq!(scene.fake.requests().iter().filter(|request| *request == "begin k").count(), begun, "{request}");
        assert_eq!(scene.fake.uploads("b", "").await.expect("listed"), []);
    }
}

#[tokio::test]
async fn what_has_other_bytes_than_its_size_says_is_no_object() {
    let scene = Scene::new();
    // Files of the kernel have no bytes, and when they are read they have some.
    let from = "/proc/sys/kernel/random/";
    let files = Path::new(from).read_dir().expect("a folder").count() as u64;
    let summary = scene.sync(from, "s3://b").await.expect("it goes on");
    assert_eq!((summary.copied, summary.failed), (0, files));
    assert_eq!(scene.fake.contents("b"), map(&[]));
}

#[tokio::test]
async fn what_is_recorded_is_the_file_that_was_sent_and_not_the_one_that_was_listed() {
    let scene = Scene::new();
    scene.write("f/k", "the first");
    let from = format!("{}f/", scene.folder());
    scene.sync(&from, "s3://b").await.expect("synced");
    // An ETag that does not tell lets the object be asked for, between the listing and the reading.
    scene.write("f/k", "the other");
    scene.fake.set_etag("b", "k", "strange");
    let path = scene.root.path().join("f/k");
    scene.fake.meanwhile("head k", move || std::fs::write(path, "a third, and longer").expect("written"));
    let summary = scene.sync(&from, "s3://b").await.expect("synced");
    assert_eq!((summary.copied, summary.failed), (1, 0));
    assert_eq!(scene.fake.contents("b")["k"], "a third, and longer");
    scene.fake.requests();
    assert_eq!(scene.sync(&from, "s3://b").await.expect("synced").same, 1);
    assert_eq!(scene.fake.requests(), ["list "], "its record tells");
    scene.write("f/other", "other");
    std::fs::remove_file(scene.root.path().join("f/k")).expect("removed");
    assert_eq!(scene.sync(&from, "s3://b").await.expect("synced").deleted, 1);
}

#[tokio::test]
async fn small_and_large_files_go_no_faster_than_they_may_up_and_down() {
    let scene = Scene::new();
    let from = format!("{}f/", scene.folder());
    let copy = scene.root.path().join("copy");
    let to = format!("{}/", copy.display());
    for (name, size) in [("small", 100_000), ("large", 6_000_000)] {
        scene.write(&format!("f/{name}"), &numbered(0, size));
        let options = || Options { rate: Some(2 * size as u64), ..scene.options() };
        for (from, to) in [(from.as_str(), "s3://a"), ("s3://a", &to)] {
            let begun = std::time::Instant::now();
            assert_eq!(scene.only(from, to, options()).await.expect("synced").summary.copied, 1, "{name} to {to}");
            assert!(begun.elapsed() >= Duration::from_millis(450), "{name} to {to}: {:?}", begun.elapsed());
        }
    }
}
