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

/// What it is to have that is half there.
fn of() -> Counted {
    Counted { documents: 100, ..Counted::default() }
}

/// What is done without an option, with `--emptied`, with `--merge`, with both; and the same four with `--indexes`.
type Remedies = [Remedy; 8];

/// What is found and what the backup has, the state, whether an index is missing, and what is done.
fn table() -> Vec<(Found, Option<Extent>, State, bool, Remedies)> {
    use Remedy::{Indexes as I, NoBackup as X, Nothing as N, Restore as R};
    const A: Remedy = Remedy::Add { indexes: false };
    const B: Remedy = Remedy::Add { indexes: true };
    let kept = |documents| Some(extent(Some(documents), &["a"]));
    let more = |documents| Some(extent(Some(documents), &["a", "b"]));
    let there = |documents| Found::There(extent(Some(documents), &["a", "c"]));
    let half = || Found::Half(extent(Some(3), &["a"]), of());
    let (shrunk, emptied) = (|there| State::Shrunk(there, 100), || State::Emptied(100));
    let different = || State::Different(CollectionType::Collection, CollectionType::View);
    let cannot = |why: &str| State::CannotTell(why.to_owned());
    vec![
        (Found::Nothing, kept(100), State::Gone, false, [R; 8]),
        (Found::Nothing, kept(0), State::Gone, false, [R; 8]),
        (Found::Nothing, Some(extent(None, &[])), State::Gone, false, [R; 8]),
        (Found::Nothing, Some(view()), State::Gone, false, [R; 8]),
        (Found::Nothing, None, State::Gone, false, [X; 8]),
        (there(100), kept(100), State::Healthy, false, [N; 8]),
        (there(1000), kept(100), State::Healthy, false, [N; 8]),
        (there(50), kept(100), State::Healthy, false, [N; 8]),
        (there(50), more(100), State::Healthy, true, [N, N, N, N, I, I, I, I]),
        (there(49), kept(100), shrunk(49), false, [N, N, A, A, N, N, A, A]),
        (there(1), more(100), shrunk(1), true, [N, N, A, A, I, I, B, B]),
        (there(0), kept(100), emptied(), false, [N, A, A, A, N, A, A, A]),
        (there(0), more(100), emptied(), true, [N, A, A, A, I, B, B, B]),
        (there(0), kept(0), State::Healthy, false, [N; 8]),
        (there(0), more(0), State::Healthy, true, [N, N, N, N, I, I, I, I]),
        (there(0), None, State::Healthy, false, [N; 8]),
        (there(5), Some(extent(None, &["a"])), State::Healthy, false, [N; 8]),
        (Found::There(view()), Some(view()), State::Healthy, false, [N; 8]),
        (there(5), Some(view()), different(), false, [N; 8]),
        (half(), kept(100), State::Half(3, of()), false, [A; 8]),
        (half(), more(100), State::Half(3, of()), true, [B; 8]),
        (half(), None, State::Half(3, of()), false, [X; 8]),
        (Found::There(extent(None, &["a"])), more(100), cannot("its documents were not counted"), false, [N; 8]),
        (Found::Unknown("away".to_owned()), more(100), cannot("away"), false, [N; 8]),
        (Found::Unknown("away".to_owned()), None, cannot("away"), false, [N; 8]),
    ]
}

#[test]
fn every_state_under_every_option() {
    for (found, kept, state, lacks, remedies) in table() {
        for (options, remedy) in (0..8).zip(remedies) {
            let asked = Asked { emptied: options & 1 > 0, merge: options & 2 > 0, indexes: options & 4 > 0, ..listed() };
            let verdict = one(&asked, found.clone(), kept.clone()).expect("it is listed");
            let missing = if lacks { vec!["b_1".to_owned()] } else { Vec::new() };
            let expected = Verdict { state: state.clone(), missing_indexes: missing, remedy };
            assert_eq!(verdict, expected, "{found:?} {kept:?} {asked:?}");
            assert_eq!(verdict.is_healthy(), state == State::Healthy && !lacks);
            // Without a list the same is said where the backups have it, and nothing is done unless all was asked for.
            let unlisted = Asked { collections: BTreeSet::new(), ..asked };
            let all = Asked { all: true, ..unlisted.clone() };
            let is_kept = kept.is_some();
            let said = is_kept.then(|| Verdict { remedy: Remedy::Nothing, ..expected.clone() });
            assert_eq!(one(&unlisted, found.clone(), kept.clone()), said);
            assert_eq!(one(&all, found.clone(), kept.clone()), is_kept.then_some(expected));
        }
    }
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
