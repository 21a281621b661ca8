//! The whole table: what is found and kept, what was asked, what is said and done.

use bson::doc;

use super::*;

fn extent(documents: Option<u64>, indexes: &[&str]) -> Extent {
    let index = |name: &&str| doc! { "v": 2, "key": { *name: 1 }, "name": format!("{name}_1") };
    let mut all = vec![doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" }];
    all.extend(indexes.iter().map(index));
    Extent { kind: CollectionType::Collection, documents, indexes: all }
}

fn view() -> Extent {
    Extent { kind: CollectionType::View, documents: None, indexes: Vec::new() }
}

fn there(documents: u64) -> Found {
    Found::There(extent(Some(documents), &[]))
}

fn listed() -> Asked {
    Asked { collections: ["users".to_owned()].into(), ..Asked::default() }
}

fn one(asked: &Asked, found: Found, kept: Option<Extent>) -> Option<Verdict> {
    let found = [("users".to_owned(), found)].into();
    let kept = kept.map(|kept| ("users".to_owned(), kept)).into_iter().collect();
    let mut verdicts = diagnose(asked, &found, &kept);
    assert!(verdicts.len() <= 1);
    verdicts.remove("users")
}

#[test]
fn every_state_under_every_option() {
    use Remedy::{Add, NoBackup, Nothing, Restore};
    let kept = || Some(extent(Some(100), &[]));
    let plain = Add { indexes: false };
    // What is found and kept; the state; the remedy when only listed, with --emptied, with --merge.
    let table: [(Found, Option<Extent>, State, [Remedy; 3]); 16] = [
        (Found::Nothing, kept(), State::Gone, [Restore; 3]),
        (Found::Nothing, Some(extent(Some(0), &[])), State::Gone, [Restore; 3]),
        (Found::Nothing, Some(view()), State::Gone, [Restore; 3]),
        (Found::Nothing, None, State::Gone, [NoBackup; 3]),
        (there(100), kept(), State::Healthy, [Nothing; 3]),
        (there(1000), kept(), State::Healthy, [Nothing; 3]),
        (there(50), kept(), State::Healthy, [Nothing; 3]),
        (there(49), kept(), State::Shrunk(49, 100), [Nothing, Nothing, plain]),
        (there(1), kept(), State::Shrunk(1, 100), [Nothing, Nothing, plain]),
        (there(0), kept(), State::Emptied(100), [Nothing, plain, plain]),
        (there(0), Some(extent(Some(0), &[])), State::Healthy, [Nothing; 3]),
        (there(0), None, State::Healthy, [Nothing; 3]),
        (there(5), Some(extent(None, &[])), State::Healthy, [Nothing; 3]),
        (there(5), Some(view()), State::Different(CollectionType::Collection, CollectionType::View), [Nothing; 3]),
        (Found::There(view()), Some(view()), State::Healthy, [Nothing; 3]),
        (Found::Unknown("away".into()), kept(), State::CannotTell("away".into()), [Nothing; 3]),
    ];
    for (found, kept, state, remedies) in table {
        let asked = [listed(), Asked { emptied: true, ..listed() }, Asked { merge: true, ..listed() }];
        for (asked, remedy) in asked.into_iter().zip(remedies) {
            let verdict = one(&asked, found.clone(), kept.clone()).expect("it is listed");
            assert_eq!((&verdict.state, verdict.remedy), (&state, remedy), "{found:?} {kept:?} {asked:?}");
            // Without a list the same is said where the backups have it, and nothing is done unless all was asked for.
            let unlisted = Asked { collections: BTreeSet::new(), ..asked.clone() };
            let all = Asked { all: true, ..unlisted.clone() };
            let said = one(&unlisted, found.clone(), kept.clone());
            let done = one(&all, found.clone(), kept.clone());
            match &kept {
                None => assert_eq!((said, done), (None, None)),
                Some(_) => {
                    let said = said.expect("the backup has it");
                    assert_eq!((&said.state, said.remedy), (&state, Nothing));
                    assert_eq!(done.expect("the backup has it"), verdict);
                }
            }
        }
    }
}

#[test]
fn indexes_are_built_when_asked_for_and_only_missing_ones() {
    let found = |documents| Found::There(extent(Some(documents), &["a"]));
    let kept = || Some(extent(Some(100), &["a", "b"]));
    let asked = |indexes, merge| Asked { indexes, merge, ..listed() };
    for (documents, indexes, merge, remedy) in [
        (100, false, false, Remedy::Nothing),
        (100, true, false, Remedy::Indexes),
        (100, true, true, Remedy::Indexes),
        (1, true, false, Remedy::Indexes),
        (1, false, true, Remedy::Add { indexes: false }),
        (1, true, true, Remedy::Add { indexes: true }),
        (0, true, false, Remedy::Indexes),
    ] {
        let verdict = one(&asked(indexes, merge), found(documents), kept()).expect("listed");
        assert_eq!(
            (verdict.remedy, verdict.missing_indexes),
            (remedy, vec!["b_1".to_owned()]),
            "{documents} {indexes} {merge}"
        );
    }
    // What is gone gets all its indexes anyway.
    let verdict = one(&asked(true, true), Found::Nothing, kept()).expect("listed");
    assert_eq!((verdict.remedy, verdict.missing_indexes), (Remedy::Restore, Vec::new()));
}

#[test]
fn the_share_is_a_matter_of_choice() {
    for (share, documents, shrunk) in [(0.0, 1, false), (0.9, 89, true), (0.9, 90, false), (1.0, 99, true), (1.0, 100, false)] {
        let asked = Asked { share, ..listed() };
        let verdict = one(&asked, there(documents), Some(extent(Some(100), &[]))).expect("listed");
        assert_eq!(matches!(verdict.state, State::Shrunk(..)), shrunk, "{share} {documents}");
    }
}

#[test]
fn what_was_not_looked_at_is_not_judged() {
    let asked = Asked { collections: ["users".to_owned(), "orders".to_owned()].into(), ..Asked::default() };
    let found = [("users".to_owned(), Found::Nothing), ("others".to_owned(), Found::Nothing)].into();
    let verdicts = diagnose(&asked, &found, &BTreeMap::new());
    assert_eq!(verdicts.into_keys().collect::<Vec<_>>(), ["users"]);
}

#[test]
fn the_same_index_written_differently() {
    let base = doc! { "v": 2, "key": { "a": 1, "b": -1 }, "name": "a_1_b_-1", "unique": true };
    for (other, same) in [
        (
            doc! { "key": { "a": 1.0, "b": -1_i64 }, "name": "x", "unique": true, "v": 1, "ns": "shop.users", "background": true },
            true,
        ),
        (doc! { "v": 2, "unique": true, "sparse": false, "name": "a_1_b_-1", "key": { "a": 1, "b": -1 } }, true),
        (doc! { "v": 2, "key": { "b": -1, "a": 1 }, "name": "a_1_b_-1", "unique": true }, false),
        (doc! { "v": 2, "key": { "a": 1, "b": -1 }, "name": "a_1_b_-1" }, false),
        (doc! { "v": 2, "key": { "a": 1, "b": -1 }, "name": "a_1_b_-1", "unique": true, "expireAfterSeconds": 1 }, false),
        (doc! { "v": 2, "key": { "a": 1, "b": 1 }, "name": "a_1_b_-1", "unique": true }, false),
    ] {
        let missing = missing_indexes(std::slice::from_ref(&other), std::slice::from_ref(&base));
        assert_eq!(missing.is_empty(), same, "{other}");
    }
}
