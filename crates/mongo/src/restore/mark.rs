//! What tells that a collection is being filled in its place, and with what, until it is whole.
//!
//! A time series cannot be renamed, so it is seen while it is filled, and others may write to it. What breaks off is therefore never
//! dropped: it keeps its mark, and the next healing adds the rest. A mark names the UUID: one of the same name made later has none.

use std::collections::BTreeMap;

use backup_core::{Error, Result};
use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::Database;

use super::collection::Place;
use super::temporary::PREFIX;
use crate::digest::Counted;
use crate::layout::BUCKETS;
use crate::mongo_error::mongo_error;

/// How the name of a mark ends, behind that under which the collection was filled first.
const MARK: &str = ".in-place";

/// A mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// What it is called.
    pub(crate) name: String,
    /// The collection that it is on, if that is there still.
    pub(crate) on: Option<String>,
    /// What the collection shall have.
    pub(crate) counted: Counted,
}

/// The name under which the collection was filled first, out of the name of a mark; any other as it is.
pub(crate) fn plain(name: &str) -> &str {
    name.strip_suffix(MARK).unwrap_or(name)
}

fn is_mark(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(MARK)
}

/// Marks the collection of `place`, which was made just now, as one that is to get what was `counted`.
pub(crate) async fn set(place: &Place<'_>, counted: Counted) -> Result<()> {
    let listed = list(place.database).await.map_err(|error| mongo_error("look at what was created", &error))?;
    let uuid = uuids(&listed).into_iter().find_map(|(uuid, name)| (name == place.name).then_some(uuid));
    let uuid = uuid.ok_or_else(|| Error::failed("what was created is not there any more"))?;
    let documents = i64::try_from(counted.documents).unwrap_or(i64::MAX);
    let command = doc! {
        "insert": format!("{}{MARK}", place.work),
        "documents": [{ "_id": uuid, "documents": documents, "digest": counted.digest.to_string() }],
        "writeConcern": { "w": "majority", "j": true },
    };
    let done = place.database.run_command(command).await;
    done.map(drop).map_err(|error| mongo_error("mark what is filled in its place", &error))
}

/// Takes the marks off the collection `name`, which is whole.
pub(crate) async fn clear(database: &Database, name: &str) -> Result<()> {
    let failed = |error: mongodb::error::Error| mongo_error(format!("take the mark off {name}"), &error);
    let listed = list(database).await.map_err(failed)?;
    for mark in marks(database, &listed).await.map_err(failed)?.into_iter().filter(|mark| mark.on.as_deref() == Some(name)) {
        database.collection::<Document>(&mark.name).drop().await.map_err(failed)?;
    }
    Ok(())
}

/// The marks in `database`, of which the server has told all collections.
pub(crate) async fn marks(database: &Database, listed: &[Document]) -> mongodb::error::Result<Vec<Mark>> {
    let mut marks = Vec::new();
    for name in listed.iter().filter_map(|listed| listed.get_str("name").ok()).filter(|name| is_mark(name)) {
        let Some(says) = database.collection::<Document>(name).find_one(doc! {}).await? else { continue };
        let counted = || {
            let documents = u64::try_from(says.get_i64("documents").ok()?).ok()?;
            Some(Counted { documents, digest: says.get_str("digest").ok()?.parse().ok()? })
        };
        let Some(counted) = counted() else { continue };
        let on = says.get_str("_id").ok().and_then(|uuid| uuids(listed).remove(uuid));
        marks.push(Mark { name: name.to_owned(), on, counted });
    }
    Ok(marks)
}

/// All that the server tells of the collections of a database.
pub(crate) async fn list(database: &Database) -> mongodb::error::Result<Vec<Document>> {
    database.run_cursor_command(doc! { "listCollections": 1 }).await?.try_collect().await
}

/// The collections by their UUID, time series by that of their buckets.
fn uuids(listed: &[Document]) -> BTreeMap<String, String> {
    let each = listed.iter().filter_map(|listed| {
        let Some(Bson::Binary(uuid)) = listed.get_document("info").ok()?.get("uuid") else { return None };
        let name = listed.get_str("name").ok()?;
        let uuid = uuid.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Some((uuid, name.strip_prefix(BUCKETS).unwrap_or(name).to_owned()))
    });
    each.collect()
}
