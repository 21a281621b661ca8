//! Which databases and collections there are, and what of them is taken.

use std::collections::HashMap;

use backup_core::{Error, Kind, Result};
use bson::spec::BinarySubtype;
use bson::{Bson, RawDocument, RawDocumentBuf, doc};
use futures_util::StreamExt;
use mongodb::raw_batch_cursor::RawBatchCursor;
use mongodb::{Client, Database};

use crate::facts::CollectionType;
use crate::layout::BUCKETS;
use crate::mongo_error::mongo_error;
use crate::restore::is_temporary;

/// A collection as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Collection {
    /// Its database.
    pub(crate) database: String,
    /// Its name.
    pub(crate) name: String,
    /// What it is.
    pub(crate) kind: CollectionType,
    /// Its UUID, 32 hexadecimal digits; views and time-series collections have none.
    pub(crate) uuid: Option<String>,
    /// The UUID of the collection that its documents are read from.
    pub(crate) documents: Option<String>,
    /// Whether its documents lie in the order of its `_id` index, or of their arrival: they are read in one go.
    pub(crate) ordered: bool,
}

impl Collection {
    /// The collection that its documents are read from; none of a view.
    pub(crate) fn source(&self) -> Option<String> {
        match self.kind {
            CollectionType::Collection => Some(self.name.clone()),
            CollectionType::TimeSeries => Some(format!("{BUCKETS}{}", self.name)),
            CollectionType::View => None,
        }
    }
}

/// Of `config` only these are taken, and of a sharded cluster alone there are any: the rest belongs to the machines.
const OF_CONFIG: [&str; 7] = ["chunks", "collections", "databases", "settings", "shards", "tags", "version"];

/// The databases whose collections are taken if all are: not `local`, which belongs to each member of a set alone.
pub(crate) async fn databases(client: &Client) -> Result<Vec<String>> {
    // Without the right to see all, it is an error and no shorter list.
    let names = client.list_database_names().authorized_databases(false).await;
    let mut names = names.map_err(|error| mongo_error("list the databases", &error))?;
    if let Some(bad) = names.iter().find(|name| name.contains(['/', '\\', '\0']) || name.starts_with('.')) {
        return Err(Error::damaged(format!("the server has a database {bad:?}, which no server can have")));
    }
    names.retain(|name| name != "local");
    names.sort_unstable();
    // Users and roles are made when what they are for is there.
    names.sort_by_key(|name| name == "admin");
    Ok(names)
}

/// The collections of a database that are taken, in the order in which they are restored: views come last.
pub(crate) async fn collections(database: &Database) -> Result<Vec<Collection>> {
    let doing = || format!("list the collections of the database {}", database.name());
    let cursor = database.list_collections().batch().await.map_err(|error| mongo_error(doing(), &error))?;
    let (mut found, mut buckets) = (Vec::new(), HashMap::new());
    for_each(cursor, doing, |listed| {
        let collection = collection(database.name(), listed)?;
        if let Some(of) = collection.name.strip_prefix(BUCKETS) {
            buckets.insert(of.to_owned(), collection.uuid.clone());
        }
        if is_taken(&collection.database, &collection.name) {
            found.push(collection);
        }
        Ok(())
    })
    .await?;
    for collection in &mut found {
        if collection.kind == CollectionType::TimeSeries {
            collection.documents = buckets.remove(&collection.name).flatten();
        }
    }
    found.sort_by(|one: &Collection, other| {
        let is_view = |collection: &Collection| collection.kind == CollectionType::View;
        (is_view(one), &one.name).cmp(&(is_view(other), &other.name))
    });
    Ok(found)
}

/// What the server says of one collection; `None` where there is none of that name.
pub(crate) async fn described(database: &Database, name: &str) -> Result<Option<RawDocumentBuf>> {
    let doing = || format!("ask for the options of {}.{name}", database.name());
    let asking = database.list_collections().filter(doc! { "name": name });
    let cursor = asking.batch().await.map_err(|error| mongo_error(doing(), &error))?;
    let mut found = None;
    for_each(cursor, doing, |listed| {
        if listed.get_str("name").is_ok_and(|found| found == name) {
            found = Some(listed.to_owned());
        }
        Ok(())
    })
    .await?;
    Ok(found)
}

/// Hands each document of a cursor to `take`.
pub(crate) async fn for_each(
    mut cursor: RawBatchCursor,
    doing: impl Fn() -> String,
    mut take: impl FnMut(&RawDocument) -> Result<()>,
) -> Result<()> {
    while let Some(batch) = cursor.next().await {
        let batch = batch.map_err(|error| mongo_error(doing(), &error))?;
        for document in batch.doc_slices().map_err(|error| mongo_error(doing(), &error))? {
            let document = document.ok().and_then(|document| document.as_document());
            take(document.ok_or_else(|| Error::damaged(format!("failed to {}: the answer is not BSON", doing())))?)?;
        }
    }
    Ok(())
}

/// The UUID of a collection as the server lists it, 32 hexadecimal digits.
pub(crate) fn uuid(listed: &RawDocument) -> Option<String> {
    let binary = listed.get_document("info").ok()?.get_binary("uuid").ok()?;
    (binary.subtype == BinarySubtype::Uuid).then(|| binary.bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn collection(database: &str, listed: &RawDocument) -> Result<Collection> {
    let name = listed.get_str("name").map_err(|_| Error::damaged("the server lists a collection without a name"))?;
    let kind = match listed.get_str("type") {
        Ok("collection") | Err(_) => CollectionType::Collection,
        Ok("view") => CollectionType::View,
        Ok("timeseries") => CollectionType::TimeSeries,
        Ok(other) => {
            return Err(Error::failed(format!("{database}.{name} is a {other}, which is not known here"))
                .with_hint("use a newer version of this program"));
        }
    };
    let option = |name: &str| listed.get_document("options").ok().and_then(|options| options.get(name).ok().flatten());
    let is_set = |name: &str| option(name).is_some_and(|value| value.as_bool() != Some(false));
    let ordered =
        kind != CollectionType::Collection || is_set("capped") || is_set("clusteredIndex") || option("autoIndexId").is_some();
    let (uuid, documents) = (uuid(listed), uuid(listed));
    Ok(Collection { database: database.to_owned(), name: name.to_owned(), kind, uuid, documents, ordered })
}

/// Whether a collection is taken: as mongodump decides, but that a name with `$` is no reason to leave one out.
fn is_taken(database: &str, collection: &str) -> bool {
    match database {
        "admin" => collection != "system.keys",
        "config" => OF_CONFIG.contains(&collection),
        // What is being restored is not there yet: it comes under its name once it is whole.
        _ => collection == "system.js" || !(collection.starts_with("system.") || is_temporary(collection)),
    }
}

/// About how many bytes a collection has, and how many documents; `None` where the server does not say.
pub(crate) async fn size(database: &Database, name: &str) -> Option<(u64, u64)> {
    let stages = [
        doc! { "$collStats": { "storageStats": {} } },
        doc! { "$project": { "size": "$storageStats.size", "count": "$storageStats.count" } },
    ];
    let mut cursor = database.collection::<bson::Document>(name).aggregate(stages).await.ok()?;
    let stats = cursor.next().await?.ok()?;
    let number = |name: &str| match stats.get(name)? {
        Bson::Int32(number) => u64::try_from(*number).ok(),
        Bson::Int64(number) => u64::try_from(*number).ok(),
        Bson::Double(number) => Some(*number as u64),
        _ => None,
    };
    Some((number("size")?, number("count")?))
}

/// The error of a database that is not there.
pub(crate) fn no_database(name: &str) -> Error {
    Error::new(Kind::NotFound, format!("there is no database {name}, or it has no collection"))
        .with_hint("check the name: MongoDB tells small letters from capital ones")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_the_machine_is_left_out() {
        for (database, collection, taken) in [
            ("app", "users", true),
            ("app", "system.js", true),
            ("app", "system.views", false),
            ("app", "system.buckets.weather", false),
            ("app", "with$dollar", true),
            ("app", "backup.restoring.00ff00ff00ff00ff.0123456789abcdef01234567.7", false),
            ("app", "backup.restoring.00ff00ff00ff00ff.0123456789abcdef01234567.7.in-place", false),
            ("app", "backup.restoring.mine", true),
            ("admin", "system.users", true),
            ("admin", "system.keys", false),
            ("config", "chunks", true),
            ("config", "transactions", false),
        ] {
            assert_eq!(is_taken(database, collection), taken, "{database}.{collection}");
        }
    }
}
