//! Options and indexes of a collection, in the form of mongodump's `.metadata.json`.

use backup_core::{Error, Result};
use bson::raw::cstr;
use bson::{RawArrayBuf, RawDocument, RawDocumentBuf};
use mongodb::Database;
use mongodb::error::ErrorKind;

use crate::catalog::{Collection, described, for_each, uuid};
use crate::extjson::to_json;
use crate::facts::CollectionType;
use crate::mongo_error::mongo_error;

/// What the server says of a collection now: canonical extended JSON without a newline at its end.
///
/// # Errors
/// Where it is gone or another one under the same name.
pub(crate) async fn metadata(database: &Database, collection: &Collection) -> Result<String> {
    let listed = still_there(database, collection).await?;
    let indexes = match collection.kind {
        CollectionType::View => RawArrayBuf::new(),
        _ => indexes(database, &collection.name).await?,
    };
    to_json(&document(&listed, &collection.name, indexes))
}

/// What the server says of a collection, if it is still the one that was listed.
pub(crate) async fn still_there(database: &Database, collection: &Collection) -> Result<RawDocumentBuf> {
    let listed = described(database, &collection.name).await?;
    listed.filter(|listed| uuid(listed) == collection.uuid).ok_or_else(|| replaced(collection))
}

/// Makes sure that the documents that were read are those of the collection that was listed: a cursor over what is not there
/// ends like one over what is empty.
pub(crate) async fn still_holds(database: &Database, collection: &Collection, source: &str) -> Result<()> {
    let listed = described(database, source).await?;
    let same = listed.is_some_and(|listed| uuid(&listed) == collection.documents);
    if same { Ok(()) } else { Err(replaced(collection)) }
}

fn replaced(collection: &Collection) -> Error {
    let Collection { database, name, .. } = collection;
    Error::failed(format!("{database}.{name} was dropped or replaced while it was read")).with_hint("run again")
}

async fn indexes(database: &Database, name: &str) -> Result<RawArrayBuf> {
    let doing = || format!("list the indexes of {}.{name}", database.name());
    let mut indexes = RawArrayBuf::new();
    let cursor = match database.collection::<RawDocumentBuf>(name).list_indexes().batch().await {
        Ok(cursor) => cursor,
        // A collection that only inserts have made on a router, or one with no index at all.
        Err(error) if matches!(error.kind.as_ref(), ErrorKind::Command(said) if said.code == 26) => return Ok(indexes),
        Err(error) => return Err(mongo_error(doing(), &error)),
    };
    for_each(cursor, doing, |index| {
        indexes.push(index.to_owned());
        Ok(())
    })
    .await?;
    Ok(indexes)
}

/// The fields in mongodump's order; those that are empty are left out, but for the indexes.
fn document(listed: &RawDocument, name: &str, indexes: RawArrayBuf) -> RawDocumentBuf {
    let mut metadata = RawDocumentBuf::new();
    if let Ok(options) = listed.get_document("options")
        && !options.is_empty()
    {
        metadata.append(cstr!("options"), options.to_owned());
    }
    metadata.append(cstr!("indexes"), indexes);
    if let Some(uuid) = uuid(listed) {
        metadata.append(cstr!("uuid"), uuid);
    }
    metadata.append(cstr!("collectionName"), name);
    if let Ok(kind) = listed.get_str("type") {
        metadata.append(cstr!("type"), kind);
    }
    metadata
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn raw(document: &bson::Document) -> RawDocumentBuf {
        RawDocumentBuf::try_from(document).expect("BSON")
    }

    #[test]
    fn fields_stand_in_the_order_of_mongodump_and_empty_ones_do_not() {
        let uuid = bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: (0..16).collect() };
        let listed = raw(&doc! {
            "name": "log", "type": "collection", "options": { "capped": true, "size": 4096 }, "info": { "uuid": uuid },
        });
        let mut indexes = RawArrayBuf::new();
        indexes.push(raw(&doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" }));
        assert_eq!(
            to_json(&document(&listed, "log", indexes)).expect("JSON"),
            concat!(
                r#"{"options":{"capped":true,"size":{"$numberInt":"4096"}},"#,
                r#""indexes":[{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"}],"#,
                r#""uuid":"000102030405060708090a0b0c0d0e0f","collectionName":"log","type":"collection"}"#
            )
        );
        let listed = raw(&doc! { "name": "v", "type": "view", "options": {}, "info": { "readOnly": true } });
        let metadata = to_json(&document(&listed, "v", RawArrayBuf::new())).expect("JSON");
        assert_eq!(metadata, r#"{"indexes":[],"collectionName":"v","type":"view"}"#);
    }
}
