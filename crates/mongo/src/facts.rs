//! What the manifest says of a MongoDB deployment and of each part of its backup.

use backup_core::{Doing, Facts, Kind, Name, Result};
use serde::{Deserialize, Serialize};

use crate::digest::Counted;

/// What a part holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// Which server was read: `prelude.json`.
    Prelude,
    /// Options and indexes of a collection, or what a view shows: `DB/COLL.metadata.json`.
    Metadata,
    /// Documents of a collection, or of a range of it: `DB/COLL.bson`.
    Documents,
    /// What happened while the documents were read: `oplog.bson`.
    Oplog,
}

/// What a collection is, in the words of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CollectionType {
    /// Documents of its own.
    Collection,
    /// A pipeline over another collection; it has metadata and no documents.
    View,
    /// Measurements. Its documents are those of its buckets: the file is `DB/system.buckets.COLL.bson`.
    TimeSeries,
}

/// What the manifest says of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartFacts {
    /// What it holds.
    pub content: Content,
    /// The file of mongodump that it is, or a piece of, such as `app/users.bson`.
    pub file: String,
    /// The database; none for the oplog, and for the prelude of all databases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The collection, by its own name also where the file has another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// What the collection is.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<CollectionType>,
    /// The collection's UUID, 32 hexadecimal digits, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Which range of a collection that was cut, from 0. The file is all of them, one behind the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<u32>,
    /// Its documents, or the entries of the oplog. Ranges add up.
    #[serde(default, flatten, skip_serializing_if = "Option::is_none")]
    pub documents: Option<Counted>,
    /// The first and the last instant of the oplog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

/// From one instant of the oplog to another, both among it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Nothing that was read is older.
    pub from: Instant,
    /// Replayed to here, all collections are as they were at this instant.
    pub to: Instant,
}

/// A position in the oplog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Instant {
    /// Seconds since 1970.
    pub seconds: u32,
    /// Which one of that second.
    pub increment: u32,
}

impl From<bson::Timestamp> for Instant {
    fn from(bson::Timestamp { time, increment }: bson::Timestamp) -> Self {
        Self { seconds: time, increment }
    }
}

impl From<Instant> for bson::Timestamp {
    fn from(Instant { seconds, increment }: Instant) -> Self {
        Self { time: seconds, increment }
    }
}

impl PartFacts {
    /// Facts of a part of `file` with nothing else to it.
    pub fn new(content: Content, file: String) -> Self {
        let (database, collection, kind, uuid) = (None, None, None, None);
        Self { content, file, database, collection, kind, uuid, range: None, documents: None, window: None }
    }

    /// As they go into the manifest.
    pub fn to_facts(&self) -> Facts {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(facts)) => facts,
            _ => Facts::new(),
        }
    }

    /// As they come out of a manifest, which is not trusted.
    pub fn from_facts(part: &Name, facts: &Facts) -> Result<Self> {
        Self::deserialize(facts)
            .doing(|| format!("read what the manifest says of {part}"))
            .map_err(|error| error.with_kind(Kind::Damaged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_come_back_as_they_went_and_others_are_damage() {
        let mut facts = PartFacts::new(Content::Documents, "app/a%2Fb.bson".to_owned());
        facts.kind = Some(CollectionType::TimeSeries);
        (facts.database, facts.collection, facts.range) = (Some("app".to_owned()), Some("a/b".to_owned()), Some(2));
        facts.documents = Some(Counted::default());
        let name: Name = "app/a%2Fb.bson".parse().expect("a name");
        let written = facts.to_facts();
        assert_eq!((written["type"].as_str(), written["documents"].as_u64()), (Some("timeseries"), Some(0)));
        assert_eq!(PartFacts::from_facts(&name, &written).expect("the same"), facts);
        let error = PartFacts::from_facts(&name, &Facts::new()).expect_err("nothing");
        assert_eq!(error.kind(), Kind::Damaged);
    }
}
