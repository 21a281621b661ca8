//! What a sync deletes, and what it does not.

use std::collections::BTreeSet;
use std::time::Duration;

use backup_core::Kind;

use super::*;

#[tokio::test]
async fn what_was_removed_goes_to_the_trash_if_this_sync_wrote_it() {
    let scene = Scene::new();
    scene.write("d/mine", "mine");
    for key in ["d/1", "d/2", "d/changed", "e/only"] {
        scene.fake.set("a", key, key);
    }
    scene.fake.set("b", "other", "other");
    scene.sync("s3://a", &scene.folder()).await.expect("synced");
    scene.sync("s3://b", &scene.folder()).await.expect("two buckets in one folder");
    scene.write("d/changed", "changed by hand");
    for key in ["d/1", "d/changed", "e/only"] {
        scene.fake.remove("a", key);
    }
    let summary = scene.sync("s3://a", &scene.folder()).await.expect("synced");
    assert_eq!((summary.deleted, summary.foreign), (2, 3));
    let left = map(&[("d/2", "d/2"), ("d/changed", "changed by hand"), ("d/mine", "mine"), ("other", "other")]);
    assert_eq!(scene.files(), left);
    assert!(!scene.root.path().join("e").exists(), "an empty folder");
    let trash: BTreeSet<String> =
        scene.trash().into_keys().map(|path| path.split_once('/').expect("a time").1.to_owned()).collect();
    assert_eq!(trash.into_iter().collect::<Vec<_>>(), ["d/1", "e/only"]);
}

#[tokio::test]
async fn each_lie_of_a_listing_deletes_nothing() {
    let keys = ["a", "b/1", "b/2", "b/3", "c", "d", "e", "f"];
    for lie in [
        Lie::PageFails(0),
        Lie::PageFails(1),
        Lie::PageFails(2),
        Lie::PagePanics(1),
        Lie::EndsEarly(0),
        Lie::EndsEarly(1),
        Lie::Empty,
        Lie::Loops(1),
        Lie::Round,
        Lie::Hollow(1),
        Lie::Backwards(1),
        Lie::Gone,
        Lie::NoBucket,
    ] {
        let scene = Scene::new();
        keys.iter().for_each(|key| scene.fake.set("a", key, key));
        scene.sync("s3://a", &scene.folder()).await.expect("synced");
        let before = scene.files();
        // Something is really gone, too.
        scene.fake.remove("a", "c");
        scene.fake.lie(Some(lie));
        let outcome = match scene.only("s3://a", &scene.folder(), scene.options()).await {
            // Even if a person says yes.
            Ok(synced) => synced.delete().await,
            Err(error) => Err(error),
        };
        let mut after = scene.files();
        after.entry("c".to_owned()).or_insert_with(|| "c".to_owned());
        assert_eq!(after, before, "{lie:?}");
        let kind = outcome.err().map(|error| error.kind());
        assert!(kind.is_some() || lie == Lie::Gone, "{lie:?}");
        // What did not come to its end is an error by itself, before anything that is missing is asked for.
        assert!(!matches!(lie, Lie::PageFails(_) | Lie::PagePanics(_)) || kind == Some(Kind::Failed), "{lie:?}: {kind:?}");
        scene.fake.lie(None);
        scene.sync("s3://a", &scene.folder()).await.expect("healed");
        assert!(!scene.files().contains_key("c"), "{lie:?}: what is gone goes in the end");
        assert_eq!(scene.files().len(), keys.len() - 1);
    }
}

#[tokio::test]
async fn a_listing_of_own_files_that_does_not_lead_on_is_an_error() {
    for (lie, told) in [(Lie::Loops(1), "the same"), (Lie::Round, "comes after"), (Lie::Hollow(1), "nothing in 1000 pages")] {
        let scene = Scene::new();
        (0..7).for_each(|nth| scene.fake.set("a", &format!(".ceph-backup/trash/then/{nth}"), "old"));
        scene.fake.lie(Some(lie));
        let synced = tokio::time::timeout(Duration::from_secs(20), scene.sync("s3://a", &scene.folder())).await;
        let error = synced.unwrap_or_else(|_| panic!("{lie:?}: it never ends")).expect_err("it goes round");
        assert!(error.kind() == Kind::Damaged && error.chain().contains(told) && error.hint().is_some(), "{lie:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_listing_of_what_was_not_asked_for_is_an_error() {
    for (from, stranger) in [("s3://a/p/k", "p/a"), ("s3://a/p/k", "p/l"), ("s3://a/p/", "q")] {
        let scene = Scene::new();
        [stranger, "p/k1"].iter().for_each(|key| scene.fake.set("a", key, key));
        scene.fake.lie(Some(Lie::Unasked));
        let error = scene.sync(from, &scene.folder()).await.expect_err(stranger);
        assert!(error.kind() == Kind::Damaged && error.chain().contains("not asked for"), "{error:?}");
    }
}

#[tokio::test]
async fn a_bucket_that_vanishes_after_its_listing_deletes_nothing() {
    let scene = Scene::new();
    ["k", "l"].iter().for_each(|key| scene.fake.set("a", key, key));
    scene.sync("s3://a", &scene.folder()).await.expect("synced");
    scene.fake.remove("a", "k");
    let fake = scene.fake.clone();
    scene.fake.meanwhile("head k", move || fake.lie(Some(Lie::NoBucket)));
    let synced = scene.only("s3://a", &scene.folder(), scene.options()).await.expect("it goes on");
    assert!(matches!(synced.verdict, Verdict::Never(_)), "{:?}", synced.verdict);
    synced.delete().await.expect("nothing goes");
    assert_eq!(scene.files(), map(&[("k", "k"), ("l", "l")]));
}

#[tokio::test]
async fn an_empty_source_and_a_great_share_are_a_question() {
    let scene = Scene::new();
    ["1", "2", "3", "4"].iter().for_each(|key| scene.fake.set("a", key, key));
    let options = || Options { limits: Limits { share: 50, ..scene.options().limits }, ..scene.options() };
    let to = scene.folder();
    scene.sync("s3://a", &to).await.expect("synced");
    ["1", "2", "3"].iter().for_each(|key| scene.fake.remove("a", key));
    assert!(matches!(scene.only("s3://a", &to, options()).await.expect("synced").verdict, Verdict::Ask(_)));
    scene.fake.remove("a", "4");
    let synced = scene.only("s3://a", &to, Options { limits: Limits { share: 100, ..options().limits }, ..options() }).await;
    let synced = synced.expect("synced");
    assert!(matches!(synced.verdict, Verdict::Ask(_)), "{:?}", synced.verdict);
    assert_eq!(scene.files().len(), 4);
    assert_eq!(synced.delete().await.expect("somebody said yes").deleted, 4);
    assert!(scene.files().is_empty());
}

#[tokio::test]
async fn objects_that_are_not_whole_are_not_there() {
    for lie in [Lie::Truncated, Lie::Flipped, Lie::Refused, Lie::Gone] {
        let scene = Scene::new();
        scene.fake.set("a", "k", "some content");
        scene.fake.set("a", "old", "old");
        scene.sync("s3://a", &scene.folder()).await.expect("synced");
        scene.fake.set("a", "k", "other content");
        scene.fake.set("a", "n", "new content");
        scene.fake.remove("a", "old");
        scene.fake.lie(Some(lie));
        let summary = scene.sync("s3://a", &scene.folder()).await.expect("it goes on");
        // Where it is refused to say whether what is gone is gone, that failed too.
        let failed = if lie == Lie::Refused { 3 } else { 2 };
        assert_eq!((summary.failed, summary.deleted), (failed, 0), "{lie:?}");
        assert_eq!(scene.files(), map(&[("k", "some content"), ("old", "old")]), "{lie:?}");
        assert!(
            scene.story.story().iter().any(|event| event.contains("failed to copy \\\"k\\\"")),
            "{:?}",
            scene.story.story()
        );
        scene.fake.lie(None);
        scene.sync("s3://a", &scene.folder()).await.expect("healed");
        assert_eq!(scene.files(), map(&[("k", "other content"), ("n", "new content")]), "{lie:?}");
    }
}

#[tokio::test]
async fn what_is_excluded_is_neither_copied_nor_deleted() {
    let scene = Scene::new();
    ["a.tmp", "b"].iter().for_each(|key| scene.fake.set("a", key, key));
    scene.sync("s3://a", &scene.folder()).await.expect("synced");
    let filter = || Filter::new(&[Pattern::glob("*.tmp")], &[]).expect("good");
    scene.fake.remove("a", "a.tmp");
    scene.fake.set("a", "c.tmp", "c");
    let synced = scene.only("s3://a", &scene.folder(), Options { filter: filter(), ..scene.options() }).await.expect("synced");
    assert_eq!((synced.summary.copied, &synced.verdict), (0, &Verdict::Nothing));
    drop(synced);
    // It is still known who wrote it.
    assert_eq!(scene.sync("s3://a", &scene.folder()).await.expect("synced").deleted, 1);
}

#[tokio::test]
async fn what_failed_to_be_copied_again_is_still_known() {
    let scene = Scene::new();
    ["k", "l"].iter().for_each(|key| scene.fake.set("a", key, "one"));
    scene.sync("s3://a", &scene.folder()).await.expect("synced");
    scene.fake.set("a", "k", "two");
    scene.fake.lie(Some(Lie::Refused));
    assert_eq!(scene.sync("s3://a", &scene.folder()).await.expect("it goes on").failed, 1);
    scene.fake.lie(None);
    scene.fake.remove("a", "k");
    let summary = scene.sync("s3://a", &scene.folder()).await.expect("synced");
    assert_eq!((summary.deleted, summary.foreign), (1, 0));
    assert_eq!(scene.files(), map(&[("l", "one")]));
}
