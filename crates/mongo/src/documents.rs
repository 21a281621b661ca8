//! BSON documents out of a stream of bytes: whole ones, one after the other, or an error that says where.

use backup_core::{Body, Error, Result};
use tokio::io::{AsyncReadExt, BufReader};

use crate::bson_check::check;
use crate::digest::Counted;

/// The longest document that a server stores or sends, in bytes: 16 MiB, and 16 KiB beyond for those of its own.
pub const LONGEST: usize = 16 * 1024 * 1024 + 16 * 1024;
/// The shortest document, in bytes.
const SHORTEST: usize = 5;
/// Room for what is read behind a document to know its end, and for what others write there.
const SLACK: usize = 64;
/// What stands in an archive where a length would.
const TERMINATOR: u32 = u32::MAX;

/// The documents of a body, as `mongodump` writes a collection: one after the other, nothing between them.
///
/// Holds one document at a time. What is no document, or breaks off, is [`Kind::Damaged`](backup_core::Kind::Damaged) and names the
/// byte of the stream; after that nothing more is to be read.
pub struct Documents {
    frames: Frames,
    buffer: Vec<u8>,
}

impl Documents {
    /// The documents of `body`, called `what` where something is wrong with it.
    pub fn new(body: Body, what: impl Into<String>) -> Self {
        Self { frames: Frames::new(body, what), buffer: Vec::new() }
    }

    /// The next document; `None` at the end of the body.
    pub async fn next(&mut self) -> Result<Option<&[u8]>> {
        self.buffer.clear();
        let length = self.frames.document(&mut self.buffer).await?;
        Ok(length.map(|_| self.buffer.as_slice()))
    }

    /// How many bytes the next document says it has; `None` at the end of the body.
    pub async fn coming(&mut self) -> Result<Option<u32>> {
        self.frames.coming().await
    }

    /// Appends the next document to `to` and returns its length; `None` at the end of the body, and `to` is as it was.
    pub async fn append(&mut self, to: &mut Vec<u8>) -> Result<Option<usize>> {
        self.frames.document(to).await
    }
}

/// Reads all documents of `body`, which is called `what`: how many they are, and their digest.
pub(crate) async fn count(body: Body, what: &str) -> Result<Counted> {
    let mut documents = Documents::new(body, what);
    let mut counted = Counted::default();
    while let Some(document) = documents.next().await? {
        counted.add(document);
    }
    Ok(counted)
}

/// What comes next in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A document of so many bytes.
    Document(usize),
    /// The four bytes that end a block.
    Terminator,
    /// The end of the stream.
    End,
}

/// The common reader of documents, with and without terminators between them.
pub(crate) struct Frames {
    body: BufReader<Body>,
    what: String,
    /// How many bytes were taken.
    at: u64,
    /// The four bytes behind them, if they were looked at.
    ahead: Option<[u8; 4]>,
}

impl Frames {
    pub(crate) fn new(body: Body, what: impl Into<String>) -> Self {
        Self { body: BufReader::with_capacity(backup_core::body::CHUNK, body), what: what.into(), at: 0, ahead: None }
    }

    /// Says what is wrong, and where.
    pub(crate) fn damaged(&self, at: u64, why: impl std::fmt::Display) -> Error {
        Error::damaged(format!("{}: {why} (byte {at})", self.what))
    }

    /// How many bytes were taken.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    async fn document(&mut self, to: &mut Vec<u8>) -> Result<Option<usize>> {
        let start = self.at;
        match self.next(to).await? {
            Frame::Document(length) => Ok(Some(length)),
            Frame::Terminator => Err(self.damaged(start, "a document cannot have 4294967295 bytes")),
            Frame::End => Ok(None),
        }
    }

    /// The length that comes; `None` at the end of the stream.
    async fn coming(&mut self) -> Result<Option<u32>> {
        if self.ahead.is_none() {
            self.ahead = self.read_word().await?;
        }
        Ok(self.ahead.map(u32::from_le_bytes))
    }

    /// Four bytes; `None` at the end of the stream.
    pub(crate) async fn word(&mut self) -> Result<Option<[u8; 4]>> {
        let word = match self.ahead.take() {
            Some(word) => Some(word),
            None => self.read_word().await?,
        };
        self.at += word.map_or(0, |word| word.len() as u64);
        Ok(word)
    }

    async fn read_word(&mut self) -> Result<Option<[u8; 4]>> {
        let mut word = [0; 4];
        let mut read = 0;
        while let Some(rest) = word.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.body.read(rest).await? {
                0 if read == 0 => return Ok(None),
                0 => return Err(self.damaged(self.at + read as u64, "it breaks off within a length")),
                more => read += more,
            }
        }
        Ok(Some(word))
    }

    /// Appends a document to `to`, or says what comes instead.
    pub(crate) async fn next(&mut self, to: &mut Vec<u8>) -> Result<Frame> {
        let (start, before) = (self.at, to.len());
        let Some(word) = self.word().await? else { return Ok(Frame::End) };
        let says = u32::from_le_bytes(word);
        if says == TERMINATOR {
            return Ok(Frame::Terminator);
        }
        let length = usize::try_from(says).unwrap_or(usize::MAX);
        if !(SHORTEST..=LONGEST).contains(&length) {
            return Err(self.damaged(start, format_args!("a document cannot have {says} bytes")));
        }
        // At once, since what grows is copied. Memory that is not written to is not taken.
        to.reserve(length + SLACK);
        to.extend_from_slice(&word);
        let rest = (length - word.len()) as u64;
        let read = (&mut self.body).take(rest).read_to_end(to).await? as u64;
        self.at += read;
        if read < rest {
            return Err(self.damaged(self.at, format_args!("it breaks off within a document of {length} bytes")));
        }
        if let Err(wrong) = check(to.get(before..).unwrap_or_default()) {
            return Err(self.damaged(start + wrong.at as u64, format_args!("the document {}", wrong.why)));
        }
        Ok(Frame::Document(length))
    }
}

#[cfg(test)]
mod tests {
    use backup_core::{Kind, body};
    use bson::doc;

    use super::*;

    async fn count(bytes: impl Into<bytes::Bytes>) -> Result<usize> {
        let mut documents = Documents::new(body::from_bytes(bytes), "users.bson");
        let mut count = 0;
        while documents.next().await?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    #[tokio::test]
    async fn cut_at_each_byte_it_is_whole_only_between_documents() {
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for i in 0..5 {
            bytes.extend(doc! { "_id": i, "text": "x".repeat(i as usize) }.to_vec().expect("bytes"));
            ends.push(bytes.len());
        }
        for cut in 0..=bytes.len() {
            let counted = count(bytes[..cut].to_vec()).await;
            match ends.iter().position(|end| *end == cut) {
                Some(documents) => assert_eq!(counted.expect("whole"), documents),
                None => {
                    let error = counted.expect_err("cut");
                    assert_eq!(error.kind(), Kind::Damaged);
                    assert!(error.chain().ends_with(&format!("(byte {cut})")), "{} at {cut}", error.chain());
                }
            }
        }
    }

    #[tokio::test]
    async fn lengths_that_cannot_be() {
        let good = doc! { "_id": 1 }.to_vec().expect("bytes");
        for length in [0_u32, 4, LONGEST as u32 + 1, i32::MAX as u32, u32::MAX] {
            let mut bytes = good.clone();
            bytes.extend(length.to_le_bytes());
            bytes.extend([0; 64]);
            let error = count(bytes).await.expect_err("no document");
            assert_eq!(error.chain(), format!("users.bson: a document cannot have {length} bytes (byte {})", good.len()));
        }
    }

    #[tokio::test]
    async fn the_longest_document_and_what_is_wrong_inside_one() {
        let most = LONGEST - doc! { "a": "" }.to_vec().expect("bytes").len();
        let longest = doc! { "a": "x".repeat(most) }.to_vec().expect("bytes");
        assert_eq!((longest.len(), count(longest.clone()).await.expect("whole")), (LONGEST, 1));
        let mut wrong = longest;
        wrong[4] = 0x77;
        assert_eq!(
            count(wrong).await.expect_err("wrong").chain(),
            "users.bson: the document has an element of a kind that there is not (byte 7)"
        );
    }

    #[tokio::test]
    async fn a_body_that_breaks_is_no_end() {
        let bytes = doc! { "_id": 1 }.to_vec().expect("bytes");
        let broken = body::piped(|mut writer| async move {
            tokio::io::AsyncWriteExt::write_all(&mut writer, &bytes).await?;
            Err(Error::damaged("its digest differs"))
        });
        let mut documents = Documents::new(broken, "users.bson");
        assert_eq!(documents.next().await.expect_err("broken").kind(), Kind::Damaged);
    }
}
