//! What others change while a sync is under way: theirs stays, and what is told is true.

use super::*;

/// Lets somebody write a file just before a request is answered.
fn writes(scene: &Scene, request: &str, path: &str, content: &'static str) {
    let path = scene.root.path().join(path);
    scene.fake.meanwhile(request, move || {
        std::fs::write(&path, content).expect("written");
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(7);
        std::fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(later)).expect("a time");
    });
}

/// Lets somebody store an object just before a request is answered.
fn stores(scene: &Scene, request: &str, bucket: &'static str, key: &'static str, content: &'static str) {
    let fake = scene.fake.clone();
    scene.fake.meanwhile(request, move || fake.set(bucket, key, content));
}

#[tokio::test]
async fn an_object_that_is_replaced_while_it_is_copied_comes_as_it_is_now() {
    let scene = Scene::new();
    scene.fake.set("a", "k", "before");
    stores(&scene, "get k", "a", "k", "behind");
    let summary = scene.sync("s3://a", &scene.folder()).await.expect("synced");
    assert_eq!((summary.copied, summary.failed), (1, 0));
    assert_eq!(scene.files(), map(&[("k", "behind")]));
    assert_eq!(scene.sync("s3://a", &scene.folder()).await.expect("synced").same, 1);
}

#[tokio::test]
async fn a_file_that_is_changed_while_it_would_be_replaced_stays() {
    let scene = Scene::new();
    scene.fake.set("a", "k", "one");
    scene.sync("s3://a", &scene.folder()).await.expect("synced");
    scene.fake.set("a", "k", "three");
    writes(&scene, "get k", "k", "two");
    assert_eq!(scene.sync("s3://a", &scene.folder()).await.expect("it goes on").failed, 1);
    assert_eq!(scene.files(), map(&[("k", "two")]));
    // One that was not there before.
    scene.fake.set("a", "n", "new");
    writes(&scene, "get n", "n", "theirs");
    assert_eq!(scene.sync("s3://a", &scene.folder()).await.expect("it goes on").failed, 1);
    assert_eq!(scene.files()["n"], "theirs");
}

#[tokio::test]
async fn a_file_that_is_changed_while_it_is_read_is_told() {
    let scene = Scene::new();
    scene.write("f/k", "one");
    writes(&scene, "put k", "f/k", "two");
    let from = format!("{}f/", scene.folder());
    let summary = scene.sync(&from, "s3://a").await.expect("it goes on");
    assert_eq!((summary.copied, summary.failed), (1, 1));
    assert_eq!(scene.sync(&from, "s3://a").await.expect("synced").copied, 1);
    assert_eq!(scene.fake.contents("a"), map(&[("k", "two")]));
}

/// Lets somebody write into a file just before a request is answered, so that neither its size nor its time tells.
fn writes_unseen(scene: &Scene, request: &str, path: &str, at: u64, content: &'static str) {
    let path = scene.root.path().join(path);
    scene.fake.meanwhile(request, move || {
        let file = std::fs::File::options().write(true).open(&path).expect("a file");
        let modified = file.metadata().and_then(|found| found.modified()).expect("a time");
        std::os::unix::fs::FileExt::write_all_at(&file, content.as_bytes(), at).expect("written");
        file.set_modified(modified).expect("set");
    });
}

#[tokio::test]
async fn what_is_noted_of_a_file_is_the_md5_of_what_was_sent_whatever_is_written_meanwhile() {
    let scene = Scene::new();
    let noted = |key: &str| {
        let (content, new) = (scene.fake.contents("a")[key].clone(), scene.fake.new_of("a", key));
        let md5 = crate::s3::etag::hex(crate::s3::etag::md5(content.as_bytes()));
        assert!(new.metadata[0].1.contains(&format!("md5:{md5}")), "{key} {:?}", new.metadata);
        content
    };
    // It is read once, and sent as it was read.
    scene.write("f/small", "before");
    scene.fake.set("a", "small", "theirs");
    writes_unseen(&scene, "head small", "f/small", 0, "behind");
    let from = format!("{}f/", scene.folder());
    assert_eq!(scene.sync(&from, "s3://a").await.expect("synced").copied, 1);
    assert_eq!(noted("small"), "before");
    // It is hashed, and read again.
    let large = "0123456789abcdef".repeat(400_000);
    scene.write("f/large", &large);
    writes_unseen(&scene, "begin large", "f/large", 6_000_000, "behind");
    assert_eq!(scene.sync(&from, "s3://a").await.expect("synced").copied, 1);
    let now = std::fs::read_to_string(scene.root.path().join("f/large")).expect("a file");
    assert!(noted("large") == now && now != large);
    assert!(scene.fake.requests().iter().filter(|request| *request == "begin large").count() == 2, "it was begun again");
}

#[tokio::test]
async fn an_object_that_is_changed_while_it_would_be_replaced_stays() {
    let scene = Scene::new();
    scene.write("f/k", "one");
    let from = format!("{}f/", scene.folder());
    scene.sync(&from, "s3://b/q/").await.expect("synced");
    scene.write("f/k", "three");
    stores(&scene, "head q/k", "b", "q/k", "two");
    assert_eq!(scene.sync(&from, "s3://b/q/").await.expect("it goes on").failed, 1);
    assert_eq!(scene.fake.contents("b"), map(&[("q/k", "two")]));
}

#[tokio::test]
async fn an_object_that_is_made_while_one_is_stored_stays() {
    let scene = Scene::new();
    scene.write("f/k", "ours");
    stores(&scene, "put k", "b", "k", "theirs");
    assert_eq!(scene.sync(&format!("{}f/", scene.folder()), "s3://b").await.expect("it goes on").failed, 1);
    // And before the server copies one.
    scene.fake.set("a", "k", "ours");
    stores(&scene, "head q/k", "b", "q/k", "theirs");
    assert_eq!(scene.sync("s3://a", "s3://b/q/").await.expect("it goes on").failed, 1);
    assert_eq!(scene.fake.contents("b"), map(&[("k", "theirs"), ("q/k", "theirs")]));
}

#[tokio::test]
async fn what_is_changed_while_it_would_be_deleted_stays() {
    let scene = Scene::new();
    scene.fake.set("a", "k", "one");
    scene.sync("s3://a", "s3://b/q/").await.expect("synced");
    scene.sync("s3://a", &scene.folder()).await.expect("synced");
    scene.fake.remove("a", "k");
    scene.fake.set("a", "l", "l");
    stores(&scene, "head q/k", "b", "q/k", "two");
    let synced = scene.only("s3://a", "s3://b/q/", scene.options()).await.expect("synced");
    let summary = synced.delete().await.expect("nothing goes");
    assert_eq!((summary.deleted, summary.foreign), (0, 1));
    assert_eq!(scene.fake.contents("b"), map(&[("q/k", "two"), ("q/l", "l")]));
    // Of the same size, too.
    writes(&scene, "head k", "k", "two");
    let synced = scene.only("s3://a", &scene.folder(), scene.options()).await.expect("synced");
    let summary = synced.delete().await.expect("nothing goes");
    assert_eq!((summary.deleted, summary.foreign), (0, 1));
    assert_eq!(scene.files(), map(&[("k", "two"), ("l", "l")]));
}

#[tokio::test]
async fn a_copy_that_was_not_made_or_not_whole_is_no_copy() {
    for lie in [Lie::CopiesNothing, Lie::CopiesHalf] {
        let scene = Scene::new();
        scene.fake.set("a", "k", "one");
        scene.sync("s3://a", "s3://b").await.expect("synced");
        // As long as what is there.
        scene.fake.set("a", "k", "two");
        scene.fake.lie(Some(lie));
        assert_eq!(scene.sync("s3://a", "s3://b").await.expect("it goes on").failed, 1, "{lie:?}");
        scene.fake.lie(None);
        assert_eq!(scene.sync("s3://a", "s3://b").await.expect("synced").copied, 1, "{lie:?}");
        // What is not in the trash stays where it is.
        scene.write("f/k", "content");
        scene.write("f/l", "l");
        let from = format!("{}f/", scene.folder());
        scene.sync(&from, "s3://b/q/").await.expect("synced");
        std::fs::remove_file(scene.root.path().join("f/k")).expect("removed");
        scene.fake.lie(Some(lie));
        scene.sync(&from, "s3://b/q/").await.expect_err("it is not in the trash");
        assert_eq!(scene.fake.contents("b")["q/k"], "content", "{lie:?}");
    }
}

#[tokio::test]
async fn what_would_not_fit_into_the_trash_stays() {
    let scene = Scene::new();
    let long = "k".repeat(250) + "/" + &"l".repeat(250) + "/" + &"m".repeat(250) + "/" + &"n".repeat(250);
    scene.write(&format!("f/{long}"), "content");
    scene.write("f/short", "short");
    let from = format!("{}f/", scene.folder());
    scene.sync(&from, "s3://b").await.expect("synced");
    std::fs::remove_file(scene.root.path().join("f").join(&long)).expect("removed");
    let error = scene.sync(&from, "s3://b").await.expect_err("no key is so long");
    assert!(error.hint().is_some_and(|hint| hint.contains("--no-trash")), "{error:?}");
    assert!(scene.fake.contents("b").contains_key(&long));
    let options = Options { trash: false, ..scene.options() };
    let synced = scene.only(&from, "s3://b", options).await.expect("synced");
    assert_eq!(synced.delete().await.expect("without it").deleted, 1);
}
