//! What happens while collections are read, out of a replica set's oplog: replayed over what was read, all is of one instant.

use std::borrow::Cow;

use backup_core::{Error, Result};
use bson::{Document, RawDocument, Timestamp, doc};
use mongodb::{Client, Collection};
use tokio::io::AsyncWrite;

use crate::cursor::{reply, write};
use crate::digest::Counted;
use crate::facts::{Instant, Window};
use crate::mongo_error::mongo_error;
use crate::oplog_entry::command;
use crate::oplog_share::Share;
use crate::pace::Pace;

/// About how large an entry is, in bytes: they are as large as what is written.
const ENTRY: u64 = 1024;

fn oplog(client: &Client) -> Collection<Document> {
    client.database("local").collection("oplog.rs")
}

/// Where the window begins, asked before anything is read: at the newest entry, or at the oldest transaction that is under way, whose
/// entries come as one when it ends. In this order: one that begins after the first question is in the window, one that ends before
/// the second is in all that is read.
pub(crate) async fn begin(client: &Client) -> Result<Instant> {
    let newest = newest(client).await?;
    let transactions = client.database("config").collection::<Document>("transactions");
    let under_way = doc! { "state": { "$in": ["prepared", "inProgress"] } };
    let oldest = transactions.find_one(under_way).sort(doc! { "startOpTime": 1 }).await;
    let oldest = oldest.map_err(|error| mongo_error("ask for the transactions that are under way", &error))?;
    let began = oldest.and_then(|oldest| oldest.get_document("startOpTime").ok()?.get_timestamp("ts").ok());
    Ok(began.map_or(newest, |began| newest.min(began.into())))
}

/// The newest entry.
pub(crate) async fn newest(client: &Client) -> Result<Instant> {
    end_of(client, -1).await
}

async fn end_of(client: &Client, direction: i32) -> Result<Instant> {
    let entry = oplog(client).find_one(doc! {}).sort(doc! { "$natural": direction }).projection(doc! { "ts": 1 }).await;
    let entry = entry.map_err(|error| mongo_error("read the oplog", &error))?;
    let ts = entry.and_then(|entry| entry.get_timestamp("ts").ok());
    ts.map(Instant::from).ok_or_else(|| Error::failed("the oplog is empty").with_hint("look at the state of the replica set"))
}

/// Writes the entries of a window, of all databases or what belongs to one, and makes sure that all of them were still there.
pub(crate) async fn copy(
    client: &Client,
    window: Window,
    database: Option<&str>,
    out: &mut (impl AsyncWrite + Unpin),
) -> Result<Counted> {
    let [from, to] = [window.from, window.to].map(Timestamp::from);
    let oplog = oplog(client);
    let mut which = doc! { "ts": { "$gte": from, "$lte": to } };
    let mut share = database.map(Share::of);
    which.extend(share.as_ref().map(Share::filter).unwrap_or_default());
    let entries = oplog.find(which).batch_size(reply(ENTRY, 1).documents);
    let cursor = entries.batch().await.map_err(|error| mongo_error("read the oplog", &error))?;
    // Nothing else is read any more.
    let replies = Pace::default().replies(0);
    let written =
        write(cursor, replies, None, || "read the oplog".to_owned(), |entry| keep(share.as_mut(), entry), out).await?;
    // What was written over before it was read is older than the oldest that is there now.
    if end_of(client, 1).await? > window.from {
        return Err(Error::failed(
            "the oplog was written round while the collections were read: what happened meanwhile is lost",
        )
        .with_hint("make the oplog larger, or take the backup when less is written"));
    }
    Ok(written)
}

/// What of an entry is taken.
fn keep<'e>(share: Option<&mut Share>, entry: &'e [u8]) -> Result<Option<Cow<'e, [u8]>>> {
    let kept = match share {
        Some(share) => share.part(entry)?,
        None => Some(Cow::Borrowed(entry)),
    };
    kept.as_deref().map_or(Ok(()), replayable)?;
    Ok(kept)
}

/// Refuses an entry that cannot be replayed over collections that were read at different instants.
fn replayable(entry: &[u8]) -> Result<()> {
    let spoilt = |error| Error::damaged("an entry of the oplog is not BSON").with_source(error);
    let entry = RawDocument::from_bytes(entry).map_err(spoilt)?;
    let namespace = entry.get_str("ns").unwrap_or_default();
    // A document may have such a field too.
    let object = entry.get_document("o").ok().filter(|_| entry.get_str("op").is_ok_and(|op| op == "c"));
    let does = |name: &str| object.and_then(command).is_some_and(|(command, _)| command == name);
    let what = match namespace {
        "admin.system.version" => "the version of the deployment's features changed",
        _ if does("renameCollection") => "a collection was renamed",
        _ if does("importCollection") => "a collection was imported",
        _ => return Ok(()),
    };
    Err(Error::failed(format!("{what} while the collections were read ({namespace}): they cannot be brought to one instant"))
        .with_hint("run again when the change is through"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_replayed_is_refused() {
        let check = |entry: Document| {
            replayable(bson::RawDocumentBuf::try_from(&entry).expect("BSON").as_bytes()).map_err(|error| error.to_string())
        };
        assert_eq!(check(doc! { "ns": "app.users", "op": "i", "o": { "_id": 1 } }), Ok(()));
        assert_eq!(check(doc! { "ns": "app.$cmd", "op": "c", "o": { "create": "users" } }), Ok(()));
        let renamed = check(doc! { "ns": "app.$cmd", "op": "c", "o": { "renameCollection": "app.a", "to": "app.b" } });
        assert!(renamed.expect_err("refused").contains("renamed"));
        let like_it = doc! { "ns": "app.users", "op": "i", "o": { "renameCollection": "app.a", "to": "app.b" } };
        assert_eq!(check(like_it), Ok(()));
        let imported = check(doc! { "ns": "app.$cmd", "op": "c", "o": { "importCollection": "app.a" } });
        assert!(imported.expect_err("refused").contains("imported"));
        assert!(check(doc! { "ns": "admin.system.version", "op": "u", "o": {} }).is_err());
        assert!(replayable(&[1, 2, 3]).is_err());
    }
}
