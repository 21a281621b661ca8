//! What a collection is beside its documents: options, indexes and kind, read from `COLLECTION.metadata.json`.

use backup_core::{Doing, Error, Result};
use bson::{Bson, Document};

use crate::extended_json;
use crate::facts::CollectionType;

/// The longest metadata that is read, in bytes: 64 indexes and a validator are some ten thousand.
pub(crate) const LONGEST: u64 = 16 * 1024 * 1024;

/// What a collection is beside its documents.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// Its name, if the metadata says it: old versions' do not.
    pub name: Option<String>,
    /// Its kind.
    pub kind: CollectionType,
    /// What `create` takes beside the name: capped, collation, validator, the view's pipeline.
    pub options: Document,
    /// Its indexes as `listIndexes` tells them, that of `_id` included.
    pub indexes: Vec<Document>,
    /// What the server called it inside, 32 hexadecimal digits.
    pub uuid: Option<String>,
}

impl Default for Described {
    fn default() -> Self {
        Self { name: None, kind: CollectionType::Collection, options: Document::new(), indexes: Vec::new(), uuid: None }
    }
}

impl Described {
    /// Reads what `mongodump` wrote, any version of it. Nothing at all is a collection without options and indexes.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        if json.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        let mut all = extended_json::document(json).doing(|| "read the metadata")?;
        let wrong = |what: &str| Error::damaged(format!("the metadata has {what}"));
        let mut options = match all.remove("options") {
            None | Some(Bson::Null) => Document::new(),
            Some(Bson::Document(options)) => options,
            Some(_) => return Err(wrong("options that are no document")),
        };
        // Servers before 3.0 told the name among the options, later ones the UUID.
        options.remove("create");
        options.remove("uuid");
        let indexes = match all.remove("indexes") {
            None | Some(Bson::Null) => Vec::new(),
            Some(Bson::Array(indexes)) => {
                let document = |index| if let Bson::Document(index) = index { Some(index) } else { None };
                let keyed = |index: &Document| index.get_document("key").is_ok_and(|key| !key.is_empty());
                let indexes = indexes.into_iter().map(document).collect::<Option<Vec<_>>>();
                indexes.filter(|indexes| indexes.iter().all(keyed)).ok_or_else(|| wrong("an index without a key"))?
            }
            Some(_) => return Err(wrong("indexes that are no list")),
        };
        let text = |field: Option<Bson>| match field {
            Some(Bson::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        };
        let (name, uuid, kind) = (text(all.remove("collectionName")), text(all.remove("uuid")), text(all.remove("type")));
        let kind = match kind.as_deref() {
            Some("timeseries") => CollectionType::TimeSeries,
            Some("view") => CollectionType::View,
            _ if options.contains_key("viewOn") => CollectionType::View,
            _ if options.contains_key("timeseries") => CollectionType::TimeSeries,
            _ => CollectionType::Collection,
        };
        Ok(Self { name, kind, options, indexes, uuid })
    }

    /// The indexes that are made by themselves: all but that of `_id`, which comes with the collection.
    pub fn further_indexes(&self) -> impl Iterator<Item = &Document> {
        self.indexes.iter().filter(|index| !is_of_id(index))
    }
}

/// Whether an index is the one of `_id` that every collection has; a clustered one may call it as it likes.
pub(crate) fn is_of_id(index: &Document) -> bool {
    let Some(value) = index.get_document("key").ok().filter(|key| key.len() == 1).and_then(|key| key.get("_id")) else {
        return false;
    };
    let is_one = match value {
        Bson::Int32(number) => *number == 1,
        Bson::Int64(number) => *number == 1,
        Bson::Double(number) => *number == 1.0,
        _ => false,
    };
    // In old ones the value may be any number, or true.
    is_one || (!matches!(value, Bson::String(_)) && index.get_str("name").is_ok_and(|name| name == "_id_"))
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn of_a_new_version() {
        let json = br#"{"options":{"capped":true,"size":{"$numberInt":"4096"},"collation":{"locale":"fr"}},"indexes":[
            {"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"},
            {"v":{"$numberInt":"2"},"key":{"z":{"$numberInt":"1"},"a":{"$numberDouble":"-1.0"}},"name":"z_1_a_-1","unique":true}],
            "uuid":"5ab1e4e0a0b14a5f9a1bb3a2f4d2c3b1","collectionName":"users","type":"collection"}"#;
        let described = Described::from_json(json).expect("metadata");
        assert_eq!(described.name.as_deref(), Some("users"));
        assert_eq!(described.options, doc! { "capped": true, "size": 4096, "collation": { "locale": "fr" } });
        assert_eq!((described.kind, described.uuid.map(|uuid| uuid.len())), (CollectionType::Collection, Some(32)));
        assert_eq!(described.indexes.len(), 2);
        assert_eq!(described.indexes[1].get_document("key").expect("key"), &doc! { "z": 1, "a": -1.0 });
    }

    #[test]
    fn of_old_versions() {
        let json =
            br#"{"options":{"create":"users","capped":true,"size":4096},"indexes":[{"v":1,"key":{"_id":1},"ns":"shop.users",
            "name":"_id_"},{"v":1,"key":{"a":-1},"name":"a_-1","ns":"shop.users","background":true}]}"#;
        let described = Described::from_json(json).expect("metadata");
        assert_eq!(described.options, doc! { "capped": true, "size": 4096 });
        assert_eq!(described.further_indexes().count(), 1);
        assert_eq!((described.name, described.uuid), (None, None));
        assert_eq!(Described::from_json(b"{}").expect("nothing"), Described::default());
        assert_eq!(Described::from_json(b" \n").expect("nothing"), Described::default());
        assert_eq!(
            Described::from_json(br#"{"options":{"viewOn":"a","pipeline":[]}}"#).expect("a view").kind,
            CollectionType::View
        );
    }

    #[test]
    fn what_cannot_be_is_damage() {
        for json in [
            "{",
            "[]",
            r#"{"options": 1}"#,
            r#"{"indexes": {}}"#,
            r#"{"indexes": [1]}"#,
            r#"{"indexes": [{"name": "x"}]}"#,
            r#"{"indexes": [{"key": {}}]}"#,
            r#"{"indexes": [{"key": "x"}]}"#,
        ] {
            assert_eq!(Described::from_json(json.as_bytes()).expect_err(json).kind(), backup_core::Kind::Damaged, "{json}");
        }
    }

    #[test]
    fn the_index_of_id() {
        assert!(is_of_id(&doc! { "key": { "_id": 1 }, "name": "_id_" }));
        assert!(is_of_id(&doc! { "key": { "_id": 1.0 }, "name": "by id", "unique": true, "clustered": true }));
        assert!(is_of_id(&doc! { "key": { "_id": true }, "name": "_id_" }));
        assert!(!is_of_id(&doc! { "key": { "_id": -1 }, "name": "_id_-1" }));
        assert!(!is_of_id(&doc! { "key": { "_id": "hashed" }, "name": "_id_hashed" }));
        assert!(!is_of_id(&doc! { "key": { "_id": 1, "a": 1 }, "name": "_id_" }));
    }
}
