//! Which collections are lost, and what would heal them: decided from what the server has and what the backups say.

mod plan;

use std::collections::{BTreeMap, BTreeSet};

use bson::{Bson, Document};

pub use self::plan::{Remedy, remedy};
use crate::described::is_of_id;
use crate::digest::Counted;
use crate::facts::CollectionType;

/// What may be healed beside what is gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The collections that must be there. Without any all of the backups are looked at, and none is healed unless `all` is set.
    pub collections: BTreeSet<String>,
    /// Heals all that the backups have, without a list.
    pub all: bool,
    /// Fills collections that are there and empty.
    pub emptied: bool,
    /// Adds to collections that have shrunk what they have not, by `_id`.
    pub merge: bool,
    /// Builds indexes that are missing.
    pub indexes: bool,
    /// A collection has shrunk that has fewer documents than this share of what the backup says, from 0 to 1.
    pub share: f64,
}

impl Default for Asked {
    fn default() -> Self {
        Self { collections: BTreeSet::new(), all: false, emptied: false, merge: false, indexes: false, share: 0.5 }
    }
}

/// What the server has of a collection.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// It has none of the name.
    Nothing,
    /// It has one.
    There(Extent),
    /// It has one that was being filled in its place, and is to get this.
    Half(Extent, Counted),
    /// It did not say, and why.
    Unknown(String),
}

/// How much a collection is.
#[derive(Debug, Clone, PartialEq)]
pub struct Extent {
    /// Its kind.
    pub kind: CollectionType,
    /// How many documents it has; `None` if that is not known.
    pub documents: Option<u64>,
    /// Its indexes, that of `_id` included.
    pub indexes: Vec<Document>,
}

/// What was found out about a collection.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// It is as the backup has it, as far as that was asked.
    Healthy,
    /// It is not there.
    Gone,
    /// It is there and empty; the backup has so many documents.
    Emptied(u64),
    /// It has so many documents, and the backup so many more that it cannot be by chance.
    Shrunk(u64, u64),
    /// A run that filled it in its place broke off: it has so many documents, and is to get these of a backup.
    Half(u64, Counted),
    /// Another kind of collection has its name.
    Different(CollectionType, CollectionType),
    /// The server did not say.
    CannotTell(String),
}

/// What is known of a collection, and what is to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Its documents.
    pub state: State,
    /// The indexes of the backup that it has not, by their names.
    pub missing_indexes: Vec<String>,
    /// What is to be done.
    pub remedy: Remedy,
}

impl Verdict {
    /// Whether there is anything to tell of it.
    pub fn is_healthy(&self) -> bool {
        self.state == State::Healthy && self.missing_indexes.is_empty()
    }
}

/// Judges each collection that is listed, or if none is each that the backups have.
///
/// `kept` is what the newest backup says that holds the collection, of one that is half there the backup that it is to get. A collection that is not in `found` is not judged.
pub fn diagnose(asked: &Asked, found: &BTreeMap<String, Found>, kept: &BTreeMap<String, Extent>) -> BTreeMap<String, Verdict> {
    let names = if asked.collections.is_empty() { kept.keys().collect::<Vec<_>>() } else { asked.collections.iter().collect() };
    let judged = names.into_iter().filter_map(|name| {
        let verdict = judge(asked, found.get(name)?, kept.get(name));
        Some((name.clone(), verdict))
    });
    judged.collect()
}

fn judge(asked: &Asked, found: &Found, kept: Option<&Extent>) -> Verdict {
    let state = state(asked, found, kept);
    let missing_indexes = match (found, kept, &state) {
        (
            Found::There(there) | Found::Half(there, _),
            Some(kept),
            State::Healthy | State::Emptied(_) | State::Shrunk(..) | State::Half(..),
        ) => missing_indexes(&there.indexes, &kept.indexes),
        _ => Vec::new(),
    };
    let may = asked.all || !asked.collections.is_empty();
    let remedy = if may { remedy(asked, &state, !missing_indexes.is_empty(), kept) } else { Remedy::Nothing };
    Verdict { state, missing_indexes, remedy }
}

fn state(asked: &Asked, found: &Found, kept: Option<&Extent>) -> State {
    let there = match found {
        Found::Nothing => return State::Gone,
        Found::Unknown(why) => return State::CannotTell(why.clone()),
        Found::Half(there, of) => return State::Half(there.documents.unwrap_or_default(), *of),
        Found::There(there) => there,
    };
    let Some(kept) = kept else { return State::Healthy };
    if there.kind != kept.kind {
        return State::Different(there.kind, kept.kind);
    }
    match (there.kind, there.documents, kept.documents) {
        (CollectionType::View, ..) | (_, _, None | Some(0)) => State::Healthy,
        (_, None, Some(_)) => State::CannotTell("its documents were not counted".to_owned()),
        (_, Some(0), Some(kept)) => State::Emptied(kept),
        (_, Some(there), Some(kept)) if (there as f64) < kept as f64 * asked.share => State::Shrunk(there, kept),
        _ => State::Healthy,
    }
}

/// The names of the indexes in `kept` that `there` does not have: none with the same key and the same options.
pub fn missing_indexes(there: &[Document], kept: &[Document]) -> Vec<String> {
    let there: Vec<Vec<u8>> = there.iter().map(essence).collect();
    let missing = kept.iter().filter(|index| !is_of_id(index) && !there.contains(&essence(index)));
    missing.map(|index| index.get_str("name").unwrap_or_default().to_owned()).collect()
}

/// What makes an index what it is, written in one way: without its name and its format, and numbers as one kind. As bytes, since
/// documents are equal whatever the order of their fields.
fn essence(index: &Document) -> Vec<u8> {
    let mut essence = Document::new();
    let mut fields: Vec<(&String, &Bson)> = index.iter().collect();
    fields.sort_by_key(|(name, _)| *name);
    for (name, value) in fields {
        // Of these the server writes what it likes; what is false is what is not there.
        let is_form = ["name", "v", "ns", "background", "textIndexVersion", "2dsphereIndexVersion"].contains(&name.as_str());
        if !is_form && *value != Bson::Boolean(false) {
            essence.insert(name, one_kind(value));
        }
    }
    essence.to_vec().unwrap_or_default()
}

/// Whole numbers of any kind as the same.
fn one_kind(value: &Bson) -> Bson {
    match value {
        Bson::Int32(number) => Bson::Double(f64::from(*number)),
        Bson::Int64(number) => Bson::Double(*number as f64),
        Bson::Document(document) => {
            Bson::Document(document.iter().map(|(name, value)| (name.clone(), one_kind(value))).collect())
        }
        Bson::Array(values) => Bson::Array(values.iter().map(one_kind).collect()),
        value => value.clone(),
    }
}

#[cfg(test)]
mod tests;
