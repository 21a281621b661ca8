//! Documents into a collection: in batches, several at once, undecoded.

use std::time::Duration;

use backup_core::{Context, Error, Result};
use bson::{RawDocumentBuf, rawdoc};
use mongodb::Database;
use mongodb::error::ErrorKind;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use super::answered::settled;
use crate::digest::Counted;
use crate::documents::Documents;
use crate::mongo_error::mongo_error;
use crate::pace::Pace;

/// The most bytes that are sent at once, but for a document that has more: that goes alone.
pub(super) const BATCH: usize = 256 * 1024;
/// The most documents that are sent at once.
const MOST: usize = 1000;
/// What stands around a document in a batch has fewer bytes.
const AROUND: usize = 32;
/// What is longer, in bytes, is not kept to be sent again.
const KEPT: usize = 4 * 1024 * 1024;
/// How often the bytes of a batch are in memory at most: three times in the driver, and once to be sent again.
const COPIES: u64 = 4;
/// How often a batch is sent again that the server may not have got.
pub(super) const AGAIN: u32 = 2;
/// How long the server is given before that.
pub(super) const PAUSE: Duration = Duration::from_millis(200);
/// Codes of a server that shuts down, starts or gives its role away; nothing is known of what it did.
const PASSING: [i32; 13] = [6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436, 50];
/// The code of a document whose key is there already.
const DUPLICATE: i32 = 11000;

/// How documents are inserted.
#[derive(Debug, Clone)]
pub(crate) struct How {
    /// How many batches are on their way at once; one where the order matters.
    pub(crate) workers: usize,
    /// Whether a document whose `_id` is there already is left as it is.
    pub(crate) keeps: bool,
    /// With what large documents take turns.
    pub(crate) pace: Pace,
}

/// What was inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inserted {
    /// The documents that came.
    pub(crate) counted: Counted,
    /// How many of them the server did not have.
    pub(crate) added: u64,
}

/// Inserts all of `documents` into `collection`, acknowledged by most members.
///
/// Holds a batch for each worker and one more. A document of more than a batch is read when its turn has come.
pub(crate) async fn insert(
    cx: &Context,
    database: &Database,
    collection: &str,
    documents: &mut Documents,
    how: How,
) -> Result<Inserted> {
    let mut sending = Sending::new(how.workers);
    let counted = send_all(cx, database, collection, documents, how, &mut sending).await;
    let counted = sending.settled(counted).await?;
    Ok(Inserted { counted, added: sending.added })
}

async fn send_all(
    cx: &Context,
    database: &Database,
    collection: &str,
    documents: &mut Documents,
    how: How,
    sending: &mut Sending,
) -> Result<Counted> {
    let mut counted = Counted::default();
    while let Some(length) = cx.unless_cancelled(documents.coming()).await? {
        sending.room(cx).await?;
        let turn = cx.unless_cancelled(async { Ok(how.pace.turn(COPIES * u64::from(length)).await) }).await?;
        let mut batch = Batch::new(collection, how.workers <= 1);
        cx.unless_cancelled(batch.fill(documents, &mut counted)).await?;
        sending.send(database, collection, batch, how.keeps, turn)?;
    }
    sending.all(cx).await?;
    Ok(counted)
}

/// Batches on their way to the server.
pub(crate) struct Sending {
    tasks: JoinSet<Result<(usize, u64)>>,
    /// How many may be on their way at once.
    workers: usize,
    /// How many bytes are.
    bytes: usize,
    /// How many documents the server did not have.
    added: u64,
}

impl Sending {
    pub(crate) fn new(workers: usize) -> Self {
        Self { tasks: JoinSet::new(), workers: workers.max(1), bytes: 0, added: 0 }
    }

    /// Waits until one more may be on its way.
    pub(crate) async fn room(&mut self, cx: &Context) -> Result<()> {
        while self.tasks.len() >= self.workers || self.bytes > self.workers * BATCH {
            self.one(cx).await?;
        }
        Ok(())
    }

    /// Waits until all have arrived.
    pub(crate) async fn all(&mut self, cx: &Context) -> Result<()> {
        while !self.tasks.is_empty() {
            self.one(cx).await?;
        }
        Ok(())
    }

    /// Passes `done` on; after an error when nothing is on its way any more, or the server has not answered for ten seconds.
    pub(crate) async fn settled<T>(&mut self, done: Result<T>) -> Result<T> {
        if done.is_err() {
            settled(async { while self.tasks.join_next().await.is_some() {} }).await;
        }
        done
    }

    async fn one(&mut self, cx: &Context) -> Result<()> {
        if let Some(sent) = cx.unless_cancelled(async { Ok(self.tasks.join_next().await) }).await? {
            let (size, added) = sent.map_err(|_| Error::failed("a task that inserted was cut off"))??;
            self.bytes -= size;
            self.added += added;
        }
        Ok(())
    }

    /// Sends a batch, if there is something in it, and ends its turn when it has arrived.
    pub(crate) fn send(
        &mut self,
        database: &Database,
        collection: &str,
        batch: Batch,
        keeps: bool,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Result<()> {
        if batch.count > 0 {
            let command = batch.finish()?;
            self.bytes += command.as_bytes().len();
            let sent = send(database.clone(), collection.to_owned(), command, keeps);
            self.tasks.spawn(async move {
                let sent = sent.await;
                drop(turn);
                sent
            });
        }
        Ok(())
    }
}

/// Sends a batch and returns its size, and how many documents the server did not have.
async fn send(database: Database, collection: String, command: RawDocumentBuf, keeps: bool) -> Result<(usize, u64)> {
    let size = command.as_bytes().len();
    let doing = || format!("insert into {}.{collection}", database.name());
    let (mut next, mut attempt) = (command, 0);
    loop {
        let again = (attempt < AGAIN).then(|| spare(&next)).flatten();
        match (database.run_raw_command(next).await, again) {
            (Ok(reply), _) => {
                // What was sent before and got there is there.
                refused(&reply, keeps || attempt > 0).map_err(|error| error_of(doing(), error))?;
                return Ok((size, number(reply.get("n")).unwrap_or_default()));
            }
            (Err(error), Some(again)) if may_pass(&error) => {
                tracing::debug!(%error, "a batch is sent again");
                tokio::time::sleep(PAUSE).await;
                (next, attempt) = (again, attempt + 1);
            }
            (Err(error), _) => return Err(mongo_error(doing(), &error)),
        }
    }
}

/// What is kept of a command to be sent again: all of it, but nothing of a large one, which the driver has in memory three times.
pub(super) fn spare(command: &RawDocumentBuf) -> Option<RawDocumentBuf> {
    (command.as_bytes().len() <= KEPT).then(|| command.clone())
}

fn error_of(doing: String, why: String) -> Error {
    Error::failed(format!("failed to {doing}: {why}"))
}

/// Whether it may be known better after a while.
pub(super) fn may_pass(error: &mongodb::error::Error) -> bool {
    match error.kind.as_ref() {
        ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } => true,
        ErrorKind::Command(said) => PASSING.contains(&said.code),
        _ => false,
    }
}

/// The first document that the server refused, or that not enough members have got it.
fn refused(reply: &bson::Document, keeps: bool) -> Result<(), String> {
    let text = |error: &bson::Document| error.get_str("errmsg").unwrap_or("it did not say why").to_owned();
    for error in reply.get_array("writeErrors").into_iter().flatten().filter_map(bson::Bson::as_document) {
        let is_duplicate = error.get_i32("code").is_ok_and(|code| code == DUPLICATE);
        // Another unique index says that another document has its value: that is no copy of this one.
        let of_id = error.get_document("keyPattern").is_ok_and(|key| key.len() == 1 && key.contains_key("_id"));
        if !(keeps && is_duplicate && of_id) {
            return Err(format!("the server refused a document: {}", text(error)));
        }
    }
    reply.get_document("writeConcernError").map_or(Ok(()), |error| Err(format!("not enough members have it: {}", text(error))))
}

fn number(value: Option<&bson::Bson>) -> Option<u64> {
    match value? {
        bson::Bson::Int32(number) => u64::try_from(*number).ok(),
        bson::Bson::Int64(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// The command of a batch, put together as bytes.
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Where the array of documents begins.
    array: usize,
    count: usize,
}

impl Batch {
    pub(crate) fn new(collection: &str, ordered: bool) -> Self {
        let command = rawdoc! {
            "insert": collection, "ordered": ordered, "bypassDocumentValidation": true,
            "writeConcern": { "w": "majority" },
        };
        let mut bytes = command.into_bytes();
        // Its end comes behind the documents.
        bytes.pop();
        bytes.extend_from_slice(b"\x04documents\0");
        let array = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        Self { bytes, array, count: 0 }
    }

    /// Whether it takes one more document of so many bytes.
    pub(crate) fn has_room(&self, length: usize) -> bool {
        self.count == 0 || (self.count < MOST && self.bytes.len() + length <= BATCH)
    }

    /// Takes one more document, which is sound.
    pub(crate) fn push(&mut self, document: &[u8]) {
        self.bytes.reserve(document.len() + AROUND);
        self.name_next();
        self.bytes.extend_from_slice(document);
        self.count += 1;
    }

    /// Writes what stands before a document.
    fn name_next(&mut self) {
        self.bytes.push(3);
        self.bytes.extend_from_slice(self.count.to_string().as_bytes());
        self.bytes.push(0);
    }

    /// Takes documents until there are enough, or no more.
    async fn fill(&mut self, documents: &mut Documents, counted: &mut Counted) -> Result<()> {
        while documents.coming().await?.is_some_and(|length| self.has_room(length as usize)) {
            self.name_next();
            let start = self.bytes.len();
            documents.append(&mut self.bytes).await?;
            counted.add(self.bytes.get(start..).unwrap_or_default());
            self.count += 1;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<RawDocumentBuf> {
        self.bytes.push(0);
        let array = self.bytes.len() - self.array;
        self.bytes.push(0);
        let all = self.bytes.len();
        set_length(&mut self.bytes, self.array, array);
        set_length(&mut self.bytes, 0, all);
        RawDocumentBuf::from_bytes(self.bytes).map_err(|error| Error::failed("a batch is no BSON").with_source(error))
    }
}

fn set_length(bytes: &mut [u8], at: usize, length: usize) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use backup_core::body;
    use bson::doc;

    use super::*;

    #[tokio::test]
    async fn a_batch_is_the_command_that_a_driver_would_send() {
        let all: Vec<u8> = (0..5).flat_map(|i| doc! { "_id": i }.to_vec().expect("bytes")).collect();
        let mut documents = Documents::new(body::from_bytes(all), "test");
        let mut counted = Counted::default();
        let mut batch = Batch::new("users", false);
        batch.fill(&mut documents, &mut counted).await.expect("whole");
        assert_eq!((batch.count, counted.documents), (5, 5));
        let mut pushed = Batch::new("users", false);
        (0..5).for_each(|i| pushed.push(&doc! { "_id": i }.to_vec().expect("bytes")));
        assert_eq!(pushed.bytes, batch.bytes);
        let command = batch.finish().expect("BSON");
        crate::bson_check::check(command.as_bytes()).expect("sound");
        let command = bson::Document::from_reader(command.as_bytes()).expect("BSON");
        let expected: Vec<bson::Document> = (0..5).map(|i| doc! { "_id": i }).collect();
        assert_eq!(
            command,
            doc! {
                "insert": "users", "ordered": false, "bypassDocumentValidation": true,
                "writeConcern": { "w": "majority" }, "documents": expected,
            }
        );
    }

    #[test]
    fn a_batch_is_kept_to_be_sent_again_and_a_large_document_is_not() {
        let of = |length: usize| RawDocumentBuf::try_from(&doc! { "a": "x".repeat(length) }).expect("BSON");
        let (batch, large) = (of(BATCH), of(KEPT));
        assert_eq!((spare(&batch), spare(&large)), (Some(batch.clone()), None));
    }

    #[test]
    fn a_refusal_is_an_error_unless_the_document_is_there() {
        let duplicate = |key: bson::Document| {
            doc! { "n": 0, "writeErrors": [{ "index": 0, "code": 11000, "errmsg": "E11000", "keyPattern": key }] }
        };
        assert!(refused(&doc! { "n": 1 }, false).is_ok());
        assert!(refused(&duplicate(doc! { "_id": 1 }), true).is_ok());
        assert!(refused(&duplicate(doc! { "_id": 1 }), false).is_err());
        assert!(refused(&duplicate(doc! { "mail": 1 }), true).is_err());
        assert!(refused(&doc! { "n": 0, "writeErrors": [{ "index": 0, "code": 121, "errmsg": "x" }] }, true).is_err());
        assert!(refused(&doc! { "n": 1, "writeConcernError": { "code": 64, "errmsg": "x" } }, true).is_err());
    }
}
