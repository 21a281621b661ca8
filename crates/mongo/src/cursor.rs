//! Documents as they come from the server: undecoded, one behind the other, counted and hashed.

use std::borrow::Cow;

use backup_core::{Error, Result};
use bson::{Document, doc};
use futures_util::StreamExt;
use mongodb::Database;
use mongodb::options::Hint;
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;

use crate::digest::Counted;
use crate::mongo_error::mongo_error;
use crate::pace::Replies;

/// How many bytes are collected before they are handed on: most documents are small.
const COLLECTED: usize = 128 * 1024;

/// About how many bytes a reply of the server shall have. By itself it sends up to 16 MiB, and finding memory for that each time
/// costs more than asking more often.
const REPLY: u64 = 1 << 20;

/// The most documents that a reply has.
const BATCH: u32 = 1000;

/// Which documents of a collection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Slice {
    /// All, as they lie.
    All,
    /// Those whose `_id` is not before the first and before the second, in the order of the index, of whatever types they are.
    Range(Option<Document>, Option<Document>),
}

/// What a reply shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reply {
    /// So many documents at most.
    pub(crate) documents: u32,
    /// Bytes of so many, as large as they are in the mean.
    pub(crate) bytes: u64,
}

/// What replies shall be where there are so many bytes in so many documents.
pub(crate) fn reply(bytes: u64, documents: u64) -> Reply {
    let each = (bytes / documents.max(1)).max(1);
    let documents = u32::try_from(REPLY / each).unwrap_or(BATCH).clamp(1, BATCH);
    Reply { documents, bytes: each.saturating_mul(u64::from(documents)) }
}

/// Keeps all of a document.
pub(crate) fn whole(document: &[u8]) -> Result<Option<Cow<'_, [u8]>>> {
    Ok(Some(Cow::Borrowed(document)))
}

/// Opens a cursor over a part of a collection.
pub(crate) async fn open(database: &Database, name: &str, slice: &Slice, batch: u32) -> Result<RawBatchCursor> {
    let collection = database.collection::<Document>(name);
    let finding = collection.find(doc! {}).batch_size(batch).no_cursor_timeout(true);
    let opened = match slice {
        // A scan that is meant, as mongodump says it too.
        Slice::All => finding.hint(Hint::Keys(doc! { "$natural": 1 })).batch().await,
        Slice::Range(from, to) => {
            let mut finding = finding.hint(Hint::Keys(doc! { "_id": 1 }));
            if let Some(from) = from {
                finding = finding.min(from.clone());
            }
            if let Some(to) = to {
                finding = finding.max(to.clone());
            }
            finding.batch().await
        }
    };
    opened.map_err(|error| mongo_error(format!("read {}.{name}", database.name()), &error))
}

/// Writes of every document of a cursor what `keep` leaves of it to `out`. A cursor that breaks off is an error. `turn` is the one in
/// which the cursor was opened: its first reply is there.
pub(crate) async fn write(
    mut cursor: RawBatchCursor,
    mut replies: Replies,
    mut turn: Option<OwnedSemaphorePermit>,
    doing: impl Fn() -> String,
    mut keep: impl for<'d> FnMut(&'d [u8]) -> Result<Option<Cow<'d, [u8]>>>,
    out: &mut (impl AsyncWrite + Unpin),
) -> Result<Counted> {
    let mut documents = Counted::default();
    let mut collected = Vec::with_capacity(COLLECTED);
    while let Some(batch) = cursor.next().await {
        let batch = batch.map_err(|error| mongo_error(doing(), &error))?;
        replies.came(batch.as_raw_document().as_bytes().len());
        for document in Batch::of(&batch).ok_or_else(|| spoilt(&doing))? {
            let Some(document) = keep(document.ok_or_else(|| spoilt(&doing))?)? else { continue };
            documents.add(&document);
            if collected.len() + document.len() > COLLECTED {
                out.write_all(&collected).await?;
                collected.clear();
            }
            if document.len() > COLLECTED {
                out.write_all(&document).await?;
            } else {
                collected.extend_from_slice(&document);
            }
        }
        drop(batch);
        drop(turn.take());
        turn = replies.turn().await;
    }
    out.write_all(&collected).await?;
    Ok(documents)
}

fn spoilt(doing: impl Fn() -> String) -> Error {
    Error::damaged(format!("failed to {}: the server sent what is not BSON", doing()))
}

/// The documents of a reply: the elements of an array of BSON, each a type, a name and the document.
struct Batch<'b>(&'b [u8]);

/// The type of an element that is a document.
const DOCUMENT: u8 = 3;

/// The shortest document: its length and its end.
const SHORTEST: usize = 5;

impl<'b> Batch<'b> {
    fn of(batch: &'b RawBatch) -> Option<Self> {
        let array = batch.doc_slices().ok()?.as_bytes();
        Self::array(array)
    }

    /// `None` where the array does not end where it says.
    fn array(array: &'b [u8]) -> Option<Self> {
        let (length, rest) = array.split_first_chunk()?;
        let (end, elements) = rest.split_last()?;
        (u32::from_le_bytes(*length) as usize == array.len() && *end == 0).then_some(Self(elements))
    }

    fn element(&mut self) -> Option<&'b [u8]> {
        let (kind, rest) = self.0.split_first()?;
        let name = memchr::memchr(0, rest)?;
        let rest = rest.get(name + 1..)?;
        let length = u32::from_le_bytes(*rest.first_chunk()?) as usize;
        let document = rest.get(..length)?;
        self.0 = rest.get(length..)?;
        (*kind == DOCUMENT && length >= SHORTEST && document.last() == Some(&0)).then_some(document)
    }
}

impl<'b> Iterator for Batch<'b> {
    /// `None` for what is no document; nothing comes after it.
    type Item = Option<&'b [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let element = self.element();
        if element.is_none() {
            self.0 = &[];
        }
        Some(element)
    }
}

#[cfg(test)]
mod tests {
    use bson::{RawArrayBuf, RawDocumentBuf};

    use super::*;

    fn array() -> (Vec<RawDocumentBuf>, RawArrayBuf) {
        let raw = |document: &Document| RawDocumentBuf::try_from(document).expect("BSON");
        let documents = vec![raw(&doc! {}), raw(&doc! { "a": 1, "b": "text" }), raw(&doc! { "c": { "d": [1, 2] } })];
        let mut array = RawArrayBuf::new();
        documents.iter().for_each(|document| array.push(document.clone()));
        (documents, array)
    }

    #[test]
    fn a_reply_falls_into_its_documents() {
        let (documents, array) = array();
        let found: Vec<_> = Batch::array(array.as_bytes()).expect("an array").map(|one| one.expect("a document")).collect();
        assert_eq!(found, documents.iter().map(|one| one.as_bytes()).collect::<Vec<_>>());
        assert_eq!(Batch::array(RawArrayBuf::new().as_bytes()).expect("an array").count(), 0);
    }

    #[test]
    fn a_reply_that_is_cut_or_flipped_gives_nothing_that_it_did_not_hold() {
        let (documents, array) = array();
        let bytes = array.as_bytes();
        for cut in 0..bytes.len() {
            assert!(Batch::array(&bytes[..cut]).is_none(), "cut at {cut}");
        }
        let mut refused = 0;
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut bytes = bytes.to_vec();
                bytes[at] ^= flip;
                // Whatever it says, it is read to its end without a panic.
                let Some(batch) = Batch::array(&bytes) else { continue };
                refused += usize::from(batch.last().is_some_and(|last| last.is_none()));
            }
        }
        assert!(refused > 20 && !documents.is_empty(), "{refused}");
    }

    #[test]
    fn replies_stay_small_whatever_the_documents_are() {
        let replies = [reply(0, 0), reply(300 << 20, 1 << 20), reply(4 << 30, 1 << 20), reply(16 << 30, 1 << 10)];
        assert_eq!(
            replies.map(|reply| (reply.documents, reply.bytes)),
            [(1000, 1000), (1000, 300_000), (256, 1 << 20), (1, 16 << 20)]
        );
    }
}
