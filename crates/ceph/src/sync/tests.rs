//! Syncs against a gateway in memory that lies: nothing is deleted wrongly, and no file is there that is not whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup_core::{Context, Kind, Recorder, Result};
use proptest::prelude::*;

use super::fake::{Fake, Lie};
use super::*;

/// A gateway with the buckets `a` and `b`, a folder, and another for the state.
struct Scene {
    fake: Arc<Fake>,
    root: tempfile::TempDir,
    state: tempfile::TempDir,
    cx: Context,
    story: Arc<Recorder>,
}

type Files = BTreeMap<String, String>;

impl Scene {
    fn new() -> Self {
        let fake = Arc::new(Fake::default());
        fake.set("a", "x", "");
        fake.set("b", "x", "");
        fake.remove("a", "x");
        fake.remove("b", "x");
        let folder = || tempfile::tempdir().expect("a folder");
        let story = Arc::new(Recorder::default());
        Self { fake, root: folder(), state: folder(), cx: Context::new(story.clone()), story }
    }

    fn options(&self) -> Options {
        let limits = Limits { delete: true, most: None, share: 100 };
        Options { limits, jobs: 3, part_size: 5 << 20, ..Options::new(self.state.path()) }
    }

    fn folder(&self) -> String {
        format!("{}/", self.root.path().display())
    }

    async fn only(&self, from: &str, to: &str, options: Options) -> Result<Synced> {
        let server = |place: &str| {
            let server = Server { gateway: self.fake.clone(), endpoint: "http://fake".to_owned() };
            place.starts_with("s3://").then_some(server)
        };
        sync(&self.cx, &Route::new(from, to)?, server(from), server(to), options).await
    }

    /// Copies, and deletes what may be deleted without a question.
    async fn sync(&self, from: &str, to: &str) -> Result<Summary> {
        let synced = self.only(from, to, self.options()).await?;
        if synced.verdict == Verdict::Delete { synced.delete().await } else { Ok(synced.summary) }
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.root.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, content).expect("a file");
    }

    /// All files but those of a sync itself.
    fn files(&self) -> Files {
        let mut all = files(self.root.path(), self.root.path());
        all.retain(|path, _| !path.starts_with(".ceph-backup/"));
        all
    }

    fn trash(&self) -> Files {
        let trash = self.root.path().join(".ceph-backup/trash");
        if trash.exists() { files(&trash, &trash) } else { Files::new() }
    }
}

fn files(root: &Path, folder: &Path) -> Files {
    let mut all = Files::new();
    for entry in folder.read_dir().expect("a folder") {
        let path: PathBuf = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(files(root, &path));
        } else {
            let name = path.strip_prefix(root).expect("inside").to_string_lossy().into_owned();
            all.insert(name, String::from_utf8_lossy(&std::fs::read(path).expect("a file")).into_owned());
        }
    }
    all
}

fn map(pairs: &[(&str, &str)]) -> Files {
    pairs.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
}

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
async fn a_file_of_somebody_else_is_kept_when_it_is_replaced() {
    let scene = Scene::new();
    scene.write("k", "theirs");
    scene.fake.set("a", "k", "ours");
    scene.sync("s3://a", &scene.folder()).await.expect("synced");
    assert_eq!(scene.files(), map(&[("k", "ours")]));
    assert_eq!(scene.trash().into_values().collect::<Vec<_>>(), ["theirs"]);
}

#[tokio::test]
async fn each_lie_of_a_listing_deletes_nothing() {
    let keys = ["a", "b/1", "b/2", "b/3", "c", "d", "e", "f"];
    for lie in [
        Lie::PageFails(0),
        Lie::PageFails(1),
        Lie::PageFails(2),
        Lie::EndsEarly(0),
        Lie::EndsEarly(1),
        Lie::Empty,
        Lie::Loops(1),
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
        assert!(outcome.is_err() || lie == Lie::Gone, "{lie:?}");
        scene.fake.lie(None);
        scene.sync("s3://a", &scene.folder()).await.expect("healed");
        assert!(!scene.files().contains_key("c"), "{lie:?}: what is gone goes in the end");
        assert_eq!(scene.files().len(), keys.len() - 1);
    }
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
async fn a_large_file_goes_in_parts_and_comes_back_whole() {
    let scene = Scene::new();
    let content = "0123456789abcdef".repeat(700_000);
    scene.write("f/large", &content);
    let from = format!("{}f/", scene.folder());
    assert_eq!(scene.sync(&from, "s3://a").await.expect("synced").copied, 1);
    assert_eq!(scene.fake.contents("a")["large"], content);
    let to = format!("{}g/", scene.folder());
    let summary = scene.sync("s3://a", &to).await.expect("synced");
    assert_eq!((summary.copied, summary.unverified), (1, 0));
    assert_eq!(std::fs::read_to_string(scene.root.path().join("g/large")).expect("a file"), content);
    // Without a record the ETag of the parts is found out, or s3cmd's MD5 is asked for.
    std::fs::remove_dir_all(scene.root.path().join("g/.ceph-backup")).expect("removed");
    assert_eq!(scene.sync("s3://a", &to).await.expect("synced").same, 1);
}

#[tokio::test]
async fn a_transfer_that_broke_off_is_taken_up_where_it_was() {
    let scene = Scene::new();
    let content = "0123456789abcdef".repeat(1_300_000);
    scene.fake.set("a", "k", &content);
    scene.fake.lie(Some(Lie::Behind(9 << 20)));
    assert_eq!(scene.sync("s3://a", &scene.folder()).await.expect("it goes on").failed, 1);
    let partial = files(scene.root.path(), &scene.root.path().join(".ceph-backup/partial"));
    assert_eq!(partial.values().next().map(String::len), Some(8 << 20), "the pieces that came whole");
    scene.fake.lie(None);
    scene.fake.requests();
    assert_eq!(scene.sync("s3://a", &scene.folder()).await.expect("synced").copied, 1);
    assert_eq!(scene.fake.requests().iter().filter(|request| request.starts_with("get")).count(), 2, "two more pieces");
    assert_eq!(scene.files()["k"], content);
    assert!(!scene.root.path().join(".ceph-backup/partial").read_dir().is_ok_and(|mut left| left.next().is_some()));
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

/// What happens between two syncs, and during one.
#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8),
    Remove(u8),
    Edit(u8, u8),
    Sync(Option<Lie>),
}

fn step() -> impl Strategy<Value = Step> {
    let lie = prop_oneof![
        (0usize..3).prop_map(Lie::PageFails),
        (0usize..3).prop_map(Lie::EndsEarly),
        (0usize..3).prop_map(Lie::Loops),
        (0usize..3).prop_map(Lie::Backwards),
        Just(Lie::Empty),
        Just(Lie::Truncated),
        Just(Lie::Flipped),
        Just(Lie::NoBucket),
        Just(Lie::Refused),
    ];
    prop_oneof![
        4 => (0u8..10, 0u8..4).prop_map(|(key, content)| Step::Put(key, content)),
        3 => (0u8..10).prop_map(Step::Remove),
        2 => (0u8..10, 0u8..4).prop_map(|(key, content)| Step::Edit(key, content)),
        2 => Just(Step::Sync(None)),
        3 => lie.prop_map(|lie| Step::Sync(Some(lie))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// The model: of each path, what a sync wrote there last. Only that may go, and only if the source does not have it.
    #[test]
    fn whatever_happens_nothing_is_deleted_wrongly(steps in proptest::collection::vec(step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let key = |nth: u8| ["a", "a-", "b/1", "b/2", "b/3/x", "c", "d//e", "f\n", "../g", "h"][usize::from(nth)];
        let path = |nth: u8| names::path(key(nth)).expect("short").to_str().expect("text").to_owned();
        let scene = Scene::new();
        let mut written: Files = Files::new();
        let mut contents: BTreeSet<String> = BTreeSet::new();
        for step in steps {
            match step {
                Step::Put(nth, content) => {
                    let content = format!("content {content}").repeat(usize::from(content) + 1);
                    scene.fake.set("a", key(nth), &content);
                    contents.insert(content);
                }
                Step::Remove(nth) => scene.fake.remove("a", key(nth)),
                Step::Edit(nth, content) => {
                    let content = format!("by hand {content}");
                    scene.write(&path(nth), &content);
                    contents.insert(content);
                    written.remove(&path(nth));
                }
                Step::Sync(lie) => {
                    let before = scene.files();
                    scene.fake.lie(lie);
                    let outcome = runtime.block_on(async {
                        scene.only("s3://a", &scene.folder(), scene.options()).await?.delete().await
                    });
                    scene.fake.lie(None);
                    let (after, source) = (scene.files(), scene.fake.contents("a"));
                    for (path, content) in &before {
                        if after.get(path) == Some(content) {
                            continue;
                        }
                        let is_there = (0..10).find(|nth| names::path(key(*nth)).expect("short") == Path::new(path));
                        let now = is_there.and_then(|nth| source.get(key(nth)));
                        match after.get(path) {
                            None => {
                                prop_assert_eq!(now, None, "{} is in the source", path);
                                prop_assert_eq!(written.get(path), Some(content), "{} was not written by a sync", path);
                            }
                            Some(after) => prop_assert_eq!(Some(after), now, "{} is not what the source has", path),
                        }
                        prop_assert!(scene.trash().values().any(|kept| kept == content) || written.get(path) == Some(content));
                    }
                    for (path, content) in &after {
                        prop_assert!(contents.contains(content), "{path} is not whole: {content}");
                        if before.get(path) != Some(content) {
                            written.insert(path.clone(), content.clone());
                        }
                    }
                    written.retain(|path, _| after.contains_key(path));
                    if lie.is_none() {
                        prop_assert!(outcome.as_ref().is_ok_and(|summary| summary.failed == 0), "{outcome:?}");
                        for (name, content) in &source {
                            let path = names::path(name).expect("short").to_str().expect("text").to_owned();
                            prop_assert_eq!(after.get(&path), Some(content));
                        }
                    }
                }
            }
        }
    }
}
