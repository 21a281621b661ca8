//! What the server has of the collections of a database. Nothing is written.

use std::collections::{BTreeMap, BTreeSet};

use backup_core::{Kind, Result};
use bson::{Document, doc};
use futures_util::TryStreamExt;
use mongodb::Database;

use crate::diagnose::{Extent, Found};
use crate::digest::Counted;
use crate::facts::CollectionType;
use crate::layout::BUCKETS;
use crate::mongo_error::mongo_error;
use crate::restore::mark;

/// Looks for `names` in `database`.
///
/// [`Kind::Unproven`] if the server does not list its collections: then nothing is known of any. Of one that it lists and does not
/// count it is told that it is not known.
pub(crate) async fn look(database: &Database, names: &BTreeSet<String>) -> Result<BTreeMap<String, Found>> {
    let doing = || format!("list the collections of the database {}", database.name());
    let unproven = |error: mongodb::error::Error| mongo_error(doing(), &error).with_kind(Kind::Unproven);
    let listed = mark::list(database).await.map_err(unproven)?;
    let half = mark::marks(database, &listed).await.map_err(unproven)?;
    let half: BTreeMap<&str, Counted> = half.iter().filter_map(|mark| Some((mark.on.as_deref()?, mark.counted))).collect();
    let kinds: BTreeMap<&str, CollectionType> =
        listed.iter().filter_map(|listed| Some((listed.get_str("name").ok()?, kind(listed)))).collect();
    let mut found = BTreeMap::new();
    for name in names {
        let one = match kinds.get(name.as_str()) {
            None => Found::Nothing,
            Some(kind) => match extent(database, name, *kind).await {
                Ok(extent) => match half.get(name.as_str()) {
                    Some(counted) => Found::Half(extent, *counted),
                    None => Found::There(extent),
                },
                Err(error) => Found::Unknown(mongo_error(format!("look at {}.{name}", database.name()), &error).chain()),
            },
        };
        found.insert(name.clone(), one);
    }
    Ok(found)
}

fn kind(listed: &Document) -> CollectionType {
    match listed.get_str("type") {
        Ok("view") => CollectionType::View,
        Ok("timeseries") => CollectionType::TimeSeries,
        _ => CollectionType::Collection,
    }
}

async fn extent(database: &Database, name: &str, kind: CollectionType) -> mongodb::error::Result<Extent> {
    if kind == CollectionType::View {
        return Ok(Extent { kind, documents: None, indexes: Vec::new() });
    }
    let source = if kind == CollectionType::TimeSeries { format!("{BUCKETS}{name}") } else { name.to_owned() };
    let collection = database.collection::<Document>(&source);
    let documents = match collection.estimated_document_count().await? {
        // After a crash the server's own count may be wrong, and nothing is worse than what is there taken for empty.
        0 => collection.count_documents(doc! {}).await?,
        documents => documents,
    };
    let listing = database.run_cursor_command(doc! { "listIndexes": name }).await?;
    let indexes = listing.try_collect().await?;
    Ok(Extent { kind, documents: Some(documents), indexes })
}
