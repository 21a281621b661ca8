//! Whatever happens in whatever order, only that is deleted which may be.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

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
        Just(Lie::Round),
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
