//! From bucket to folder, from folder to bucket, from bucket to bucket.

use std::time::Duration;

use backup_ceph::sync::Options;
use backup_ceph::{Destination, New, Transfer};
use backup_core::body;
use backup_tests::{SmallDisk, bytes};
use tokio_util::task::TaskTracker;

use crate::scene::{Contents, Scene, files, map, without_own};

/// Keys that are strange, and where each lies as a file.
const STRANGE: [(&str, &str); 14] = [
    ("../up", "%=%2E./up"),
    ("../../etc/passwd", "%=%2E./%=%2E./etc/passwd"),
    ("/leading", "%=/leading"),
    ("//two", "%=/%=/two"),
    ("a//b", "a/%=/b"),
    ("a/../b", "a/%=%2E./b"),
    ("a/./b", "a/%=%2E/b"),
    ("tab\tand\nline", "%=tab%09and%0Aline"),
    ("bell\u{7}", "%=bell%07"),
    ("a b+c%20d%2F", "a b+c%20d%2F"),
    ("?q=1&x#y", "?q=1&x#y"),
    ("quote'\"<&>;\\back", "quote'\"<&>;\\back"),
    ("umlaut-äöü-漢字-😀", "umlaut-äöü-漢字-😀"),
    ("%=", "%=%25="),
];

#[tokio::test(flavor = "multi_thread")]
async fn strange_keys_come_into_a_folder_stay_in_it_and_go_back() {
    let Some(scene) = Scene::new("strange").await else { return };
    let long = format!("{}x", "0123456/".repeat(127)) + &"y".repeat(7);
    assert_eq!(long.len(), 1024);
    let mut keys: Vec<(&str, &str)> = STRANGE.to_vec();
    keys.push((&long, &long));
    for (key, _) in &keys {
        scene.put(&scene.bucket, key, *key).await;
    }
    let from = format!("s3://{}", scene.bucket);
    let summary = scene.sync(&from, &scene.folder()).await.expect("synced");
    assert_eq!((summary.copied, summary.unverified), (keys.len() as u64, 0));
    let expected: Contents = keys.iter().map(|(key, path)| ((*path).to_owned(), key.as_bytes().to_vec())).collect();
    assert_eq!(scene.files(), expected);
    assert_eq!(scene.sync(&from, &scene.folder()).await.expect("synced").same, keys.len() as u64);

    let summary = scene.sync(&scene.folder(), &format!("s3://{}", scene.other)).await.expect("synced");
    assert_eq!(summary.copied, keys.len() as u64);
    assert_eq!(scene.objects(&scene.other).await, scene.objects(&scene.bucket).await);

    for (key, _) in &keys[..3] {
        scene.remove(&scene.bucket, key).await;
    }
    assert_eq!(scene.sync(&from, &scene.folder()).await.expect("synced").deleted, 3);
    assert_eq!(scene.files().len(), keys.len() - 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_file_can_be_called_is_refused_by_name_and_the_rest_comes() {
    let Some(scene) = Scene::new("collide").await else { return };
    let long = "x".repeat(1024);
    for key in ["a", "a/b", "c", "d/e", &long] {
        scene.put(&scene.bucket, key, key).await;
    }
    scene.sync(&format!("s3://{}", scene.bucket), &scene.folder()).await.expect_err("two of them cannot be there");
    let mut files = scene.files();
    assert!(files.remove("a").is_some() != files.remove("a/b").is_some());
    assert_eq!(files, map(&[("c", "c"), ("d/e", "d/e")]));
    let story = scene.story();
    assert!(story.contains("failed to copy \\\"a") && story.contains(&long), "{story}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_goes_to_the_trash_on_each_way_and_what_is_of_others_stays() {
    let Some(scene) = Scene::new("removed").await else { return };
    let (bucket, other) = (format!("s3://{}", scene.bucket), format!("s3://{}/in/", scene.other));
    for path in ["all/1", "all/2", "all/3", "all/4", "all/5", "all/6"] {
        scene.write(path, path);
    }
    let (home, copy) = (format!("{}all/", scene.folder()), format!("{}copy/", scene.folder()));
    // From folder to bucket, from there to another, and from that to a folder.
    let ways = [(home.as_str(), bucket.as_str()), (&bucket, &other), (&other, &copy)];
    for (from, to) in ways {
        assert_eq!(scene.sync(from, to).await.expect("synced").copied, 6, "{from} {to}");
    }
    scene.put(&scene.bucket, "theirs", "theirs").await;
    scene.put(&scene.other, "in/theirs", "theirs").await;
    scene.write("copy/theirs", "theirs");
    // Changed at each destination since.
    scene.put(&scene.bucket, "2", "changed").await;
    scene.write("copy/2", "changed");
    for path in ["all/1", "all/2"] {
        std::fs::remove_file(scene.root.path().join(path)).expect("removed");
    }
    let summary = scene.sync(&home, &bucket).await.expect("synced");
    assert_eq!((summary.deleted, summary.foreign, summary.copied), (1, 2, 0));
    let names = |contents: Contents| contents.into_keys().collect::<Vec<_>>();
    assert_eq!(names(scene.objects(&scene.bucket).await), ["2", "3", "4", "5", "6", "theirs"]);
    let trash = scene.under(&scene.bucket, ".ceph-backup/trash/").await;
    assert!(trash.len() == 1 && trash.iter().all(|(key, content)| key.ends_with("/1") && content == b"all/1"), "{trash:?}");

    scene.remove(&scene.bucket, "2").await;
    scene.remove(&scene.bucket, "theirs").await;
    let summary = scene.sync(&bucket, &other).await.expect("synced");
    assert_eq!((summary.deleted, summary.foreign), (2, 1));
    let trash = scene.under(&scene.other, "in/.ceph-backup/trash/").await;
    assert_eq!(trash.len(), 2, "{trash:?}");
    let summary = scene.sync(&other, &copy).await.expect("synced");
    assert_eq!((summary.deleted, summary.foreign, summary.copied), (1, 1, 0));
    assert_eq!(names(without_own(files(&scene.root.path().join("copy")))), ["2", "3", "4", "5", "6", "theirs"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_many_parts_are_known_again_by_their_etags() {
    let Some(scene) = Scene::new("multipart").await else { return };
    let content = bytes((13 << 20) + 7, 1);
    for (key, part_size) in [("five", 5 << 20), ("eight", 8 << 20), ("odd", (5 << 20) + 4321)] {
        let destination = Destination {
            gateway: scene.server.gateway.clone(),
            bucket: scene.bucket.clone(),
            key: key.to_owned(),
            new: New::default(),
            transfer: Transfer { part_size, width: 2 },
            tasks: TaskTracker::new(),
        };
        destination.put(body::from_bytes(content.clone())).await.expect("stored");
    }
    let from = format!("s3://{}", scene.bucket);
    let summary = scene.sync(&from, &scene.folder()).await.expect("synced");
    assert_eq!((summary.copied, summary.unverified), (3, 1), "parts of an odd size tell nothing");
    assert!(scene.files().values().all(|file| *file == content));
    // Without a record the ETags alone tell.
    std::fs::remove_dir_all(scene.root.path().join(".ceph-backup")).expect("removed");
    let summary = scene.sync(&from, &scene.folder()).await.expect("synced");
    assert_eq!((summary.same, summary.copied), (2, 1));
    // Up again in parts, and down: this time the header of s3cmd tells of all.
    let other = format!("s3://{}", scene.other);
    let (from, to) = (scene.folder(), tempfile::tempdir().expect("a folder"));
    assert_eq!(scene.sync(&from, &other).await.expect("synced").copied, 3);
    let head = scene.server.gateway.head(&scene.other, "odd").await.expect("there");
    assert!(head.etag.ends_with("-3"), "{}", head.etag);
    let summary = scene.sync(&other, &format!("{}/", to.path().display())).await.expect("synced");
    assert_eq!((summary.copied, summary.unverified), (3, 0));
    assert!(without_own(files(to.path())).values().all(|file| *file == content));
    assert_eq!(scene.server.gateway.uploads(&scene.other, "").await.expect("listed"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_it_and_leaves_no_file_that_is_not_whole() {
    let Some(scene) = Scene::new("full").await else { return };
    let Some(disk) = SmallDisk::of("3m") else { return };
    for nth in 0..8 {
        scene.put(&scene.bucket, &format!("k{nth}"), bytes(700_000, nth)).await;
    }
    let to = format!("{}/to/", disk.path().display());
    let error = scene.sync(&format!("s3://{}", scene.bucket), &to).await.expect_err("full");
    assert!(error.hint().is_some_and(|hint| hint.contains("space")), "{error:?}");
    let there = without_own(files(&disk.path().join("to")));
    assert!((1..8).contains(&there.len()), "{}", there.len());
    let expected = scene.objects(&scene.bucket).await;
    assert!(there.iter().all(|(name, content)| expected.get(name) == Some(content)));
    // With room it goes on.
    for nth in 2..8 {
        scene.remove(&scene.bucket, &format!("k{nth}")).await;
        let _ = std::fs::remove_file(disk.path().join(format!("to/k{nth}")));
    }
    scene.sync(&format!("s3://{}", scene.bucket), &to).await.expect("there is room");
    assert_eq!(without_own(files(&disk.path().join("to"))), scene.objects(&scene.bucket).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_change_meanwhile_are_whole_as_one_of_what_they_were() {
    let Some(scene) = Scene::new("changing").await else { return };
    let versions: Vec<Vec<u8>> = (0..4).map(|seed| bytes(3 << 20, seed)).collect();
    for key in ["a", "b", "c"] {
        scene.put(&scene.bucket, key, versions[0].clone()).await;
    }
    let stop = tokio_util::sync::CancellationToken::new();
    let (gateway, bucket, contents, ending) =
        (scene.server.gateway.clone(), scene.bucket.clone(), versions.clone(), stop.clone());
    let changing = tokio::spawn(async move {
        for content in contents.iter().cycle() {
            for key in ["a", "b", "c"] {
                gateway.put(&bucket, key, content.clone().into(), &New::default()).await.expect("put");
            }
            if ending.is_cancelled() {
                return;
            }
        }
    });
    let mut failed = 0;
    for _ in 0..5 {
        let options = Options { rate: Some(20 << 20), ..scene.options() };
        let done = scene.with(&scene.server, &format!("s3://{}", scene.bucket), &scene.folder(), options).await;
        failed += u32::from(done.is_err());
        assert!(scene.files().values().all(|file| versions.contains(file)), "a mixture: {failed}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    changing.await.expect("it changed them");
    scene.sync(&format!("s3://{}", scene.bucket), &scene.folder()).await.expect("quiet");
    assert_eq!(scene.files(), scene.objects(&scene.bucket).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_it_is_read_is_no_object_that_was_never_a_file() {
    let Some(scene) = Scene::new("torn").await else { return };
    let size = 4 << 20;
    let versions: Vec<Vec<u8>> = (0..3).map(|nth| vec![nth; size]).collect();
    let to = format!("s3://{}", scene.bucket);
    for round in 0..6 {
        scene.write("f", &versions[round % 3]);
        let path = scene.root.path().join("f");
        let next = versions[(round + 1) % 3].clone();
        let changing = tokio::task::spawn_blocking(move || {
            std::thread::sleep(Duration::from_millis(7 * round as u64));
            // In place, in two halves.
            let file = std::fs::File::options().write(true).open(path).expect("a file");
            std::os::unix::fs::FileExt::write_all_at(&file, &next[..size / 2], 0).expect("written");
            std::thread::sleep(Duration::from_millis(5));
            std::os::unix::fs::FileExt::write_all_at(&file, &next[size / 2..], size as u64 / 2).expect("written");
        });
        let done = scene.sync(&scene.folder(), &to).await;
        changing.await.expect("changed");
        if done.is_ok() {
            let objects = scene.objects(&scene.bucket).await;
            // Half and half is what the file was for a moment; other mixtures it never was.
            let half = |content: &[u8]| content.iter().all(|byte| *byte == content[0]);
            let object = &objects["f"];
            assert!(half(&object[..size / 2]) && half(&object[size / 2..]), "round {round}");
        }
        scene.sync(&scene.folder(), &to).await.expect("quiet");
        assert_eq!(scene.objects(&scene.bucket).await, scene.files());
    }
}
