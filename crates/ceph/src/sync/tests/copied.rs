//! What a sync copies, from where to where.

use std::os::unix::fs::MetadataExt;

use backup_core::Kind;

use super::*;
use crate::s3::{Headers, New};

#[tokio::test]
async fn a_bucket_comes_into_a_folder_and_the_second_time_nothing_is_asked_but_the_listing() {
    let scene = Scene::new();
    for (key, content) in [("wal_005/1.lzo", "one"), ("wal_005/2.lzo", "two"), ("base/", ""), ("z", "last"), ("../up", "no")] {
        scene.fake.set("a", key, content);
    }
    let dot = scene.root.path().to_str().expect("text");
    let summary = scene.sync("s3://a", dot).await.expect("synced");
    assert_eq!((summary.copied, summary.same, summary.failed), (5, 0, 0));
    let expected = map(&[("wal_005/1.lzo", "one"), ("wal_005/2.lzo", "two"), ("z", "last"), ("%=%2E./up", "no")]);
    assert_eq!(scene.files(), expected);
    assert!(scene.root.path().join("base").is_dir());
    scene.fake.requests();
    let summary = scene.sync("s3://a", dot).await.expect("synced");
    assert_eq!((summary.copied, summary.same), (0, 5));
    assert_eq!(scene.fake.requests(), ["list ", "list "]);
    // As by s3cmd, and without a record.
    std::fs::remove_dir_all(scene.root.path().join(".ceph-backup")).expect("removed");
    let summary = scene.sync("s3://a", dot).await.expect("synced");
    assert_eq!((summary.copied, summary.same), (0, 5));
    assert_eq!(scene.fake.requests(), ["list ", "list "], "the MD5 of the files tells");
}

#[tokio::test]
async fn the_record_of_a_sync_with_nothing_to_do_is_not_written_anew() {
    let scene = Scene::new();
    scene.fake.set("a", "one", "1");
    scene.fake.set("a", "two", "2");
    let record = || {
        let own =
            scene.root.path().join(".ceph-backup").read_dir().expect("a folder").map(|entry| entry.expect("an entry").path());
        let record = own.into_iter().find(|path| path.extension().is_some_and(|end| end == "record")).expect("a record");
        let found = record.metadata().expect("a file");
        (found.ino(), found.modified().expect("a time"), std::fs::read_to_string(record).expect("text"))
    };
    scene.sync("s3://a", &scene.folder()).await.expect("synced");
    let before = record();
    assert_eq!(scene.sync("s3://a", &scene.folder()).await.expect("synced").same, 2);
    assert_eq!(record(), before);
    // What is not there any more is not in it either.
    scene.fake.remove("a", "two");
    assert_eq!(scene.sync("s3://a", &scene.folder()).await.expect("synced").deleted, 1);
    scene.sync("s3://a", &scene.folder()).await.expect("synced");
    assert!(record().2.contains("one") && !record().2.contains("two"));
}

#[tokio::test]
async fn a_file_of_somebody_else_is_kept_when_it_is_replaced() {
    let scene = Scene::new();
    scene.write("k", "theirs");
    scene.fake.set("a", "k", "ours");
    scene.sync("s3://a", &scene.folder()).await.expect("synced");
    assert_eq!(scene.files(), map(&[("k", "ours")]));
    assert_eq!(scene.trash().into_values().collect::<Vec<_>>(), ["theirs"]);
}

#[tokio::test]
async fn an_object_of_somebody_else_is_kept_when_it_is_replaced() {
    let scene = Scene::new();
    scene.fake.set("a", "k", "ours");
    scene.write("f/k", "ours");
    let folder = format!("{}f/", scene.folder());
    // By the server itself, and through this machine.
    for (from, to) in [("s3://a", "copied/"), (folder.as_str(), "stored/")] {
        scene.fake.set("b", &format!("{to}k"), "theirs");
        scene.sync(from, &format!("s3://b/{to}")).await.expect("synced");
        let mut left = scene.fake.contents("b");
        left.retain(|key, _| key.starts_with(to));
        assert_eq!(left.remove(&format!("{to}k")).as_deref(), Some("ours"));
        assert!(left.keys().all(|key| key.starts_with(&format!("{to}.ceph-backup/trash/"))), "{left:?}");
        assert_eq!(left.into_values().collect::<Vec<_>>(), ["theirs"], "{from}");
        // What a sync has put aside is neither an object nor somebody else's.
        let summary = scene.sync(from, &format!("s3://b/{to}")).await.expect("synced");
        assert_eq!((summary.same, summary.foreign), (1, 0), "{from}");
        let summary = scene.sync(&format!("s3://b/{to}"), &format!("{}{to}", scene.folder())).await.expect("synced");
        assert_eq!(summary.source, 1, "{from}");
    }
}

#[tokio::test]
async fn a_folder_goes_into_a_bucket_with_what_s3cmd_notes_and_back() {
    let scene = Scene::new();
    for (path, content) in [("wal_005/1", "one"), ("wal_005/sub/2", "two"), ("wal_0050", "other")] {
        scene.write(path, content);
    }
    let from = format!("{}wal_005", scene.folder());
    let summary = scene.sync(&from, "s3://a/to/").await.expect("synced");
    assert_eq!((summary.copied, summary.failed), (2, 0));
    assert_eq!(scene.fake.contents("a"), map(&[("to/wal_005/1", "one"), ("to/wal_005/sub/2", "two")]));
    let new = scene.fake.new_of("a", "to/wal_005/1");
    let (name, attrs) = &new.metadata[0];
    assert!(name == "s3cmd-attrs" && attrs.contains("md5:f97c5d29941bfb1b2fdab0874906ab82/mode:33"), "{attrs}");
    scene.fake.requests();
    assert_eq!(scene.sync(&from, "s3://a/to/").await.expect("synced").same, 2);
    assert_eq!(scene.fake.requests(), ["list to/wal_005/"]);
    // It goes, and what somebody else put there stays.
    scene.fake.set("a", "to/wal_005/theirs", "theirs");
    std::fs::remove_file(scene.root.path().join("wal_005/1")).expect("removed");
    let summary = scene.sync(&from, "s3://a/to/").await.expect("synced");
    assert_eq!((summary.deleted, summary.foreign), (1, 1));
    let mut left = scene.fake.contents("a");
    let trash: Vec<String> = left.keys().filter(|key| key.starts_with("to/.ceph-backup/trash/")).cloned().collect();
    assert!(trash.len() == 1 && trash[0].ends_with("/wal_005/1"), "{trash:?}");
    left.retain(|key, _| !trash.contains(key));
    assert_eq!(left, map(&[("to/wal_005/sub/2", "two"), ("to/wal_005/theirs", "theirs")]));
}

#[tokio::test]
async fn a_large_object_moves_in_as_many_pieces_at_once_as_there_are_jobs_for() {
    for (jobs, objects, at_once, size) in [(1, 1, 1, 10), (2, 1, 2, 18), (8, 1, 4, 34), (3, 3, 3, 10)] {
        let content = numbered(0, size << 20);
        let scene = Scene::new();
        for nth in 0..objects {
            scene.fake.set("a", &nth.to_string(), &content);
        }
        let options = || Options { jobs, ..scene.options() };
        // Who has the jobs is a matter of time: two meet for certain, and more than there is room for never do.
        let meet = at_once.min(2);
        let is_so = |most: usize| (meet..=at_once).contains(&most);
        scene.fake.meet(meet);
        scene.only("s3://a", &scene.folder(), options()).await.expect("synced");
        let most = scene.fake.most_under_way();
        assert!(is_so(most), "down, {jobs} jobs: {most}");
        let up = Arc::new(Fake::default());
        up.meet(meet);
        up.set("b", "other", "");
        let server = Some(Server { gateway: up.clone(), endpoint: "http://up".to_owned() });
        let route = Route::new(&scene.folder(), "s3://b").expect("a route");
        let synced = sync(&scene.cx, &route, None, server, options()).await.expect("synced");
        assert_eq!(synced.summary.copied, objects);
        let most = up.most_under_way();
        assert!(is_so(most), "up, {jobs} jobs: {most}");
        assert!(up.contents("b")["0"] == content);
    }
}

#[tokio::test]
async fn what_came_with_nothing_that_tells_its_content_is_counted() {
    let scene = Scene::new();
    scene.fake.set("a", "known", "known");
    scene.fake.set("a", "unknown", "unknown");
    scene.fake.set_etag("a", "unknown", "strange");
    let summary = scene.sync("s3://a", &scene.folder()).await.expect("synced");
    assert_eq!((summary.copied, summary.unverified), (2, 1));
}

#[tokio::test]
async fn a_bucket_comes_into_a_bucket_with_all_that_is_known_of_its_objects() {
    let scene = Scene::new();
    scene.fake.set("a", "p/1", "one");
    scene.fake.set("a", "p/2", "two");
    let summary = scene.sync("s3://a/p/", "s3://b/q/").await.expect("synced");
    assert_eq!(summary.copied, 2);
    assert_eq!(scene.fake.contents("b"), map(&[("q/1", "one"), ("q/2", "two")]));
    assert_eq!(scene.sync("s3://a/p/", "s3://b/q/").await.expect("synced").same, 2);
    scene.fake.remove("a", "p/1");
    assert_eq!(scene.sync("s3://a/p/", "s3://b/q/").await.expect("synced").deleted, 1);
    let error = scene.sync("s3://a", "s3://a/copy/").await.expect_err("it would never end");
    assert_eq!(error.kind(), Kind::Usage);
}

#[tokio::test]
async fn a_copy_is_known_again_by_the_etag_that_its_server_gave_it() {
    let scene = Scene::new();
    scene.fake.set("a", "k", "content");
    scene.fake.set_etag("a", "k", "strange-2");
    // It is looked for before it is copied, and looked at afterwards.
    let (fake, again) = (scene.fake.clone(), scene.fake.clone());
    scene.fake.meanwhile("head q/k", move || fake.meanwhile("head q/k", move || again.set_etag("b", "q/k", "strange-1")));
    assert_eq!(scene.sync("s3://a", "s3://b/q/").await.expect("synced").copied, 1);
    let summary = scene.sync("s3://a", "s3://b/q/").await.expect("synced");
    assert_eq!((summary.same, summary.copied), (1, 0));
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let scene = Scene::new();
    scene.fake.set("a", "k", "k");
    let to = format!("{}none/", scene.folder());
    let options = Options { dry_run: true, ..scene.options() };
    let synced = scene.only("s3://a", &to, options).await.expect("synced");
    assert_eq!(synced.summary.copied, 1);
    assert!(!scene.root.path().join("none").exists());
    scene.sync("s3://a", &scene.folder()).await.expect("synced");
    scene.fake.remove("a", "k");
    let synced = scene.only("s3://a", &scene.folder(), Options { dry_run: true, ..scene.options() }).await.expect("synced");
    assert_eq!(synced.delete().await.expect("told").deleted, 1);
    assert_eq!(scene.files(), map(&[("k", "k")]));
}

#[tokio::test]
async fn names_that_collide_on_disk_are_refused_by_name() {
    let scene = Scene::new();
    for key in ["a", "a/b", "c", "d/e"] {
        scene.fake.set("a", key, key);
    }
    let long = "x".repeat(300);
    scene.fake.set("a", &long, "long");
    let summary = scene.sync("s3://a", &scene.folder()).await.expect("it goes on");
    assert_eq!((summary.failed, summary.copied), (2, 3));
    // Whichever of the two came first.
    let mut files = scene.files();
    assert!(files.remove("a").is_some() != files.remove("a/b").is_some());
    assert_eq!(files, map(&[("c", "c"), ("d/e", "d/e")]));
    let story = scene.story.story().join("\n");
    assert!(story.contains("failed to copy \\\"a") && story.contains(&long), "{story}");
}

#[tokio::test]
async fn the_key_that_was_named_is_meant_alone_if_it_is_there() {
    let scene = Scene::new();
    ["p/a", "p/a/b", "p/ab"].iter().for_each(|key| scene.fake.set("a", key, key));
    assert_eq!(scene.sync("s3://a/p/a", &scene.folder()).await.expect("synced").copied, 1);
    assert_eq!(scene.files(), map(&[("a", "p/a")]));
    scene.fake.remove("a", "p/a");
    scene.fake.remove("a", "p/a/b");
    assert_eq!(scene.sync("s3://a/p/a", &scene.folder()).await.expect("synced").copied, 1);
    assert_eq!(scene.files()["ab"], "p/ab", "without it every key that begins so");
}

#[tokio::test]
async fn what_is_said_of_an_object_goes_with_it_from_bucket_to_bucket() {
    let scene = Scene::new();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let new = New {
        content_type: Some("a/b".to_owned()),
        headers: Headers { content_encoding: Some("gzip".to_owned()), ..Headers::default() },
        storage_class: Some("COLD".to_owned()),
        metadata: vec![pair("of", "registry")],
        ..New::default()
    };
    scene.fake.set_new("a", "k", new.clone());
    assert_eq!(scene.sync("s3://a", "s3://b/here/").await.expect("synced").copied, 1);
    assert_eq!(scene.fake.new_of("b", "here/k"), new);
    // To another server, through this machine.
    let there = Arc::new(Fake::default());
    there.set("c", "other", "other");
    let server = |gateway: &Arc<Fake>, endpoint: &str| Server { gateway: gateway.clone(), endpoint: endpoint.to_owned() };
    let of = |class: Option<&str>| {
        let (from, to) = (server(&scene.fake, "http://fake"), server(&there, "http://there"));
        let options = Options { storage_class: class.map(str::to_owned), ..scene.options() };
        let route = Route::new("s3://a", if class.is_some() { "s3://c/class/" } else { "s3://c/" }).expect("a route");
        let cx = scene.cx.clone();
        async move { sync(&cx, &route, Some(from), Some(to), options).await.expect("synced").summary.copied }
    };
    assert_eq!(of(None).await, 1);
    let is = |key: &str, class: &str| {
        let New { content_type, headers, storage_class, metadata, .. } = there.new_of("c", key);
        assert_eq!(headers.content_encoding.as_deref(), Some("gzip"));
        assert_eq!((content_type.as_deref(), storage_class.as_deref()), (Some("a/b"), Some(class)));
        assert!(metadata.contains(&pair("of", "registry")), "{metadata:?}");
    };
    is("k", "COLD");
    assert_eq!(of(Some("WARM")).await, 1);
    is("class/k", "WARM");
}

#[tokio::test]
async fn a_symbolic_link_is_passed_over_and_told() {
    let scene = Scene::new();
    scene.write("f/file", "content");
    std::os::unix::fs::symlink("/etc/passwd", scene.root.path().join("f/link")).expect("a link");
    let summary = scene.sync(&format!("{}f/", scene.folder()), "s3://a").await.expect("synced");
    assert_eq!((summary.copied, summary.failed), (1, 0));
    let story = scene.story.story().join("\n");
    assert!(story.contains("passed over") && story.contains("link"), "{story}");
}

#[tokio::test]
async fn a_hundred_failures_in_a_row_are_enough() {
    let scene = Scene::new();
    (0..150).for_each(|nth| scene.fake.set("a", &format!("{nth:03}"), "x"));
    scene.fake.lie(Some(Lie::Refused));
    scene.only("s3://a", &scene.folder(), scene.options()).await.expect_err("it ends");
    let told = scene.story.story().iter().filter(|event| event.contains("failed to copy")).count();
    assert_eq!(told, 99, "and the last is the error");
}
