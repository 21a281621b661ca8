//! The oplog's window over collections that nobody sees yet: its writes, in their order, by the server's own command.

use std::collections::BTreeMap;

use backup_core::{Body, Context, Error, Result};
use bson::{Bson, RawArrayBuf, RawDocumentBuf, rawdoc};
use mongodb::Client;

use super::answered::answered;
use super::insert::{AGAIN, PAUSE, may_pass, spare};
use super::window::{Window, key};
use crate::documents::Documents;
use crate::mongo_error::mongo_error;
use crate::oplog_entry::{Does, Entry, Operation};

/// About how many bytes of entries are sent at once; a longest one goes alone.
const BATCH: usize = 1024 * 1024;
/// The most entries that are sent at once.
const MOST: usize = 1000;

/// Applies the writes of `oplog` to `targets`: to the namespace of each collection by what tells it in the window. Returns how many.
///
/// An entry whose outcome is there already changes nothing, so that it does not matter when in the window a collection was read.
/// Holds a batch and an entry.
pub(crate) async fn replay(
    cx: &Context,
    client: &Client,
    oplog: Body,
    window: &Window,
    targets: &BTreeMap<String, String>,
) -> Result<u64> {
    let mut oplog = Documents::new(oplog, "oplog.bson");
    let mut batch = Batch::default();
    let mut applied = 0;
    loop {
        let mut entry = Vec::new();
        if cx.unless_cancelled(oplog.append(&mut entry)).await?.is_none() {
            break;
        }
        let operations = to_apply(&Entry::of(&entry)?, window, targets);
        // A long one is not to be in memory beside what is sent of it.
        drop(entry);
        for operation in operations {
            if batch.count > 0 && (batch.count >= MOST || batch.size + operation.as_bytes().len() > BATCH) {
                answered(cx, send(client, std::mem::take(&mut batch))).await?;
            }
            batch.push(operation);
            applied += 1;
            if batch.size > BATCH {
                answered(cx, send(client, std::mem::take(&mut batch))).await?;
            }
        }
    }
    if batch.count > 0 {
        answered(cx, send(client, batch)).await?;
    }
    Ok(applied)
}

/// What of an entry is applied, to the collections that are meant.
fn to_apply(entry: &Entry<'_>, window: &Window, targets: &BTreeMap<String, String>) -> Vec<RawDocumentBuf> {
    if !window.counts(entry) {
        return Vec::new();
    }
    let writes = entry.operations.iter().filter(|operation| operation.does != Does::Command);
    writes.filter_map(|operation| Some(rewritten(operation, targets.get(&key(operation)?)?))).collect()
}

/// Whether the user may replay to `target`, which is not there yet: nothing is to be filled for hours that is thrown away then.
pub(crate) async fn may_replay(client: &Client, target: &str) -> Result<()> {
    let entry = rawdoc! { "op": "d", "ns": target, "o": { "_id": 0 } };
    let command = rawdoc! { "applyOps": [entry], "allowAtomic": false, "bypassDocumentValidation": true };
    match client.database("admin").run_raw_command(command).await {
        Err(error) if super::collection::code(&error) == Some(UNAUTHORIZED) => Err(refused(&error)),
        // Nothing is deleted where nothing is, whatever the server says of that.
        _ => Ok(()),
    }
}

#[derive(Default)]
struct Batch {
    entries: RawArrayBuf,
    count: usize,
    size: usize,
}

impl Batch {
    fn push(&mut self, operation: RawDocumentBuf) {
        self.size += operation.as_bytes().len();
        self.count += 1;
        self.entries.push(operation);
    }
}

/// An operation on another collection. Without the UUID, which is that of the source.
fn rewritten(operation: &Operation<'_>, target: &str) -> RawDocumentBuf {
    let object = operation.object.to_owned();
    match (operation.does, operation.which) {
        (Does::Insert, _) => rawdoc! { "op": "i", "ns": target, "o": object },
        // What is changed may have been read when it was gone already: then it is made, and a later entry deletes it.
        (Does::Update, Some(which)) => rawdoc! { "op": "u", "ns": target, "o": object, "o2": which.to_owned(), "b": true },
        _ => rawdoc! { "op": "d", "ns": target, "o": object },
    }
}

async fn send(client: &Client, batch: Batch) -> Result<()> {
    let command = rawdoc! {
        "applyOps": batch.entries, "allowAtomic": false, "bypassDocumentValidation": true, "writeConcern": { "w": "majority" },
    };
    let admin = client.database("admin");
    let (mut next, mut attempt) = (command, 0);
    loop {
        let again = (attempt < AGAIN).then(|| spare(&next)).flatten();
        // A batch that got there may be sent once more: it changes nothing then.
        match (admin.run_raw_command(next).await, again) {
            (Ok(reply), _) => return all_applied(&reply),
            (Err(error), Some(again)) if may_pass(&error) => {
                tracing::debug!(%error, "entries are sent again");
                tokio::time::sleep(PAUSE).await;
                (next, attempt) = (again, attempt + 1);
            }
            (Err(error), _) => return Err(refused(&error)),
        }
    }
}

/// The code of what a user may not do.
const UNAUTHORIZED: i32 = 13;
const RIGHTS: &str =
    "give the user a role with anyAction on anyResource, as mongorestore --oplogReplay wants it, or --no-replay";

fn refused(error: &mongodb::error::Error) -> Error {
    let told = mongo_error("replay the oplog", error);
    if super::collection::code(error) == Some(UNAUTHORIZED) { told.with_hint(RIGHTS) } else { told }
}

/// Whether all entries were applied, and enough members have got them.
fn all_applied(reply: &bson::Document) -> Result<()> {
    let is_applied = |result: &Bson| result.as_bool() == Some(true);
    if !reply.get_array("results").is_ok_and(|results| results.iter().all(is_applied)) {
        return Err(Error::failed("the server did not apply all entries of the oplog"));
    }
    match reply.get_document("writeConcernError") {
        Ok(error) => Err(Error::failed(format!(
            "not enough members have it: {}",
            error.get_str("errmsg").unwrap_or("it did not say why")
        ))),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn a_batch_is_applied_when_the_server_says_so_of_each_entry_and_most_members_have_it() {
        assert!(all_applied(&doc! { "applied": 2, "results": [true, true] }).is_ok());
        for reply in [
            doc! { "applied": 2, "results": [true, false] },
            doc! { "applied": 1 },
            doc! { "results": [true], "writeConcernError": { "code": 64, "errmsg": "timed out" } },
        ] {
            assert!(all_applied(&reply).is_err(), "{reply}");
        }
    }

    #[test]
    fn an_update_makes_what_is_gone_already_and_no_operation_keeps_the_uuid() {
        let [object, which] = [doc! { "$v": 2 }, doc! { "_id": 1 }].map(|one| RawDocumentBuf::try_from(&one).expect("BSON"));
        let of = |does| {
            let uuid = Some(&[1_u8; 16][..]);
            let operation = Operation { does, namespace: "app.a", uuid, object: &object, which: Some(&which) };
            bson::Document::try_from(&*rewritten(&operation, "app.b")).expect("BSON")
        };
        let update = doc! { "op": "u", "ns": "app.b", "o": { "$v": 2 }, "o2": { "_id": 1 }, "b": true };
        assert_eq!(of(Does::Update), update);
        assert_eq!(of(Does::Insert), doc! { "op": "i", "ns": "app.b", "o": { "$v": 2 } });
        assert_eq!(of(Does::Delete), doc! { "op": "d", "ns": "app.b", "o": { "$v": 2 } });
    }
}
