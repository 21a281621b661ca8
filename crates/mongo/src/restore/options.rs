//! How to restore, and which of a collection's options are given to it when.

use bson::Document;

use crate::described::Described;

/// How to restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How many batches of a collection are on their way at once.
    pub workers: usize,
    /// How many collections are restored at once.
    pub jobs: usize,
    /// Whether what happened while the dump was taken is replayed, if the dump has it: then all is of one instant.
    pub replay: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { workers: 4, jobs: 2, replay: true }
    }
}

/// What belongs to the server that wrote it, and what no server takes any more.
const OF_THE_SERVER: [&str; 5] = ["autoIndexId", "flags", "recordIdsReplicated", "temp", "idIndex"];
/// What documents are not held against that were there before it was; and what lets the server drop old ones.
const LATER: [&str; 4] = ["validator", "validationLevel", "validationAction", "expireAfterSeconds"];

/// What a collection is filled with: all but its validator and its time to live.
pub(crate) fn options_now(described: &Described) -> Document {
    let is_now = |name: &str| !OF_THE_SERVER.contains(&name) && !LATER.contains(&name);
    described.options.iter().filter(|(name, _)| is_now(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What a collection gets once its documents are in.
pub(crate) fn options_later(described: &Described) -> Document {
    described
        .options
        .iter()
        .filter(|(name, _)| LATER.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The largest capped collection that a server makes has twice as many bytes. None are taken before there are documents.
const BOUNDLESS: i64 = 1 << 49;

/// A capped collection that never drops a document, for a replay that says itself which were dropped; others as they are.
pub(crate) fn boundless(described: &Described) -> Described {
    let mut described = described.clone();
    if described.options.get_bool("capped").unwrap_or(false) {
        described.options.insert("size", BOUNDLESS);
        described.options.remove("max");
    }
    described
}

/// What `collMod` makes a capped collection's bounds with; nothing for others.
pub(crate) fn bounds(described: &Described) -> Document {
    let mut bounds = Document::new();
    if described.options.get_bool("capped").unwrap_or(false) {
        for (option, changed) in [("size", "cappedSize"), ("max", "cappedMax")] {
            bounds.extend(described.options.get(option).map(|value| (changed.to_owned(), value.clone())));
        }
    }
    bounds
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn a_validator_comes_last_and_what_is_the_servers_not_at_all() {
        let options = doc! {
            "capped": true, "size": 4096, "validator": { "a": 1 }, "validationLevel": "moderate", "autoIndexId": true, "temp": true,
            "expireAfterSeconds": 60,
        };
        let described = Described { options, ..Described::default() };
        assert_eq!(options_now(&described), doc! { "capped": true, "size": 4096 });
        assert_eq!(
            options_later(&described),
            doc! { "validator": { "a": 1 }, "validationLevel": "moderate", "expireAfterSeconds": 60 }
        );
    }
    #[test]
    fn a_capped_collection_without_its_bounds_and_its_bounds() {
        let capped =
            Described { options: doc! { "capped": true, "size": 4096, "max": 10, "collation": {} }, ..Described::default() };
        assert_eq!(boundless(&capped).options, doc! { "capped": true, "size": BOUNDLESS, "collation": {} });
        assert_eq!(bounds(&capped), doc! { "cappedSize": 4096, "cappedMax": 10 });
        let plain = Described { options: doc! { "collation": {} }, ..Described::default() };
        assert_eq!((boundless(&plain), bounds(&plain)), (plain.clone(), doc! {}));
    }
}
