//! `mongodump --archive`: all collections of a dump in one stream, their documents interleaved; read, and written.
//!
//! A magic number, then blocks. A block is a header, documents, and four bytes that no document begins with. The first block is
//! the prelude: who wrote it, and a document for each collection. Each later block holds documents of the collection that its header
//! names; the last of a collection has none, and the CRC-64 of all before (format version 0.1).

mod write;

use std::collections::HashMap;

use backup_core::{Body, Result};
use bson::RawDocument;
use crc_fast::{CrcAlgorithm, Digest};

pub use self::write::ArchiveWriter;
use crate::documents::{Frame, Frames};

/// The number at the beginning, as bytes.
pub const MAGIC: [u8; 4] = 0x8199_e26d_u32.to_le_bytes();
/// What ends a block.
const TERMINATOR: [u8; 4] = [0xff; 4];
/// The most collections that an archive may have.
const MOST: usize = 100_000;
/// The most bytes that the prelude may have.
const LONGEST_PRELUDE: u64 = 32 * 1024 * 1024;

/// Who wrote an archive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArchiveHeader {
    /// How many collections were dumped at once.
    pub concurrent_collections: i32,
    /// The version of the server.
    pub server_version: String,
    /// The version of the program.
    pub tool_version: String,
}

/// A collection in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Archived {
    /// The database; empty for what belongs to none: the oplog.
    pub database: String,
    /// The collection.
    pub collection: String,
    /// What would be in `COLLECTION.metadata.json`.
    pub metadata: String,
    /// `view`, `timeseries`, `collection` or nothing.
    pub form: String,
}

/// What came next in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// A document of the collection with this number in [`Archive::collections`].
    Document(usize),
    /// The end of that collection: all its documents came, and their digest is right.
    End(usize),
}

/// An archive that is being read. Keeps the prelude and one document in memory.
pub struct Archive {
    frames: Frames,
    header: ArchiveHeader,
    collections: Vec<Archived>,
    numbers: HashMap<(String, String), usize>,
    progress: Vec<Progress>,
    block: Block,
}

/// How far a collection has come.
enum Progress {
    NotBegun,
    Open(Box<Digest>),
    Ended,
}

/// Where in the blocks the reader is.
#[derive(Clone, Copy)]
enum Block {
    Between,
    Of(usize),
    /// Behind the header that ends a collection.
    Last,
}

impl Archive {
    /// Reads the prelude. [`Kind::Damaged`](backup_core::Kind::Damaged) if `body` is no archive.
    pub async fn open(body: Body) -> Result<Self> {
        let mut frames = Frames::new(body, "the archive");
        match frames.word().await? {
            Some(word) if word == MAGIC => {}
            _ => return Err(frames.damaged(0, "it is none of mongodump's")),
        }
        let mut buffer = Vec::new();
        let Frame::Document(_) = frames.next(&mut buffer).await? else {
            return Err(frames.damaged(4, "it has no header"));
        };
        let header = read_header(&frames, &buffer)?;
        let mut archive = Self {
            frames,
            header,
            collections: Vec::new(),
            numbers: HashMap::new(),
            progress: Vec::new(),
            block: Block::Between,
        };
        loop {
            buffer.clear();
            let at = archive.frames.at();
            match archive.frames.next(&mut buffer).await? {
                Frame::Document(_) => {
                    let archived = read_archived(&archive.frames, &buffer, at)?;
                    if archive.frames.at() > LONGEST_PRELUDE {
                        return Err(archive.frames.damaged(at, "its prelude is longer than can be"));
                    }
                    let key = (archived.database.clone(), archived.collection.clone());
                    if archive.numbers.contains_key(&key) {
                        return Err(archive.frames.damaged(at, format_args!("{} is there twice", named(&key))));
                    }
                    archive.add(key, archived, at)?;
                }
                Frame::Terminator => return Ok(archive),
                Frame::End => return Err(archive.frames.damaged(at, "it breaks off in its prelude")),
            }
        }
    }

    /// Who wrote it.
    pub fn header(&self) -> &ArchiveHeader {
        &self.header
    }

    /// The collections that the prelude names, and those that were met since.
    ///
    /// The documents of time series of servers before 8.3 come under a name of their own, `system.buckets.` before it.
    pub fn collections(&self) -> &[Archived] {
        &self.collections
    }

    /// What comes next; a document is put into `buffer`, which is emptied first. `None` at the end of a whole archive.
    ///
    /// [`Kind::Damaged`](backup_core::Kind::Damaged) where it breaks off, where a digest is not right, and where a collection of the
    /// prelude did not come.
    pub async fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Piece>> {
        loop {
            buffer.clear();
            let at = self.frames.at();
            let frame = self.frames.next(buffer).await?;
            match (self.block, frame) {
                (Block::Between, Frame::End) => {
                    self.all_ended(at)?;
                    return Ok(None);
                }
                (_, Frame::End) => return Err(self.frames.damaged(at, "it breaks off within a block")),
                (Block::Between, Frame::Terminator) => return Err(self.frames.damaged(at, "a block has no header")),
                (Block::Of(_) | Block::Last, Frame::Terminator) => self.block = Block::Between,
                (Block::Last, Frame::Document(_)) => {
                    return Err(self.frames.damaged(at, "a document comes behind the end of its collection"));
                }
                (Block::Of(number), Frame::Document(_)) => {
                    if let Some(Progress::Open(crc)) = self.progress.get_mut(number) {
                        crc.update(buffer);
                    }
                    return Ok(Some(Piece::Document(number)));
                }
                (Block::Between, Frame::Document(_)) => {
                    if let Some(piece) = self.begin(buffer, at)? {
                        return Ok(Some(piece));
                    }
                }
            }
        }
    }

    /// Takes the header of a block.
    fn begin(&mut self, header: &[u8], at: u64) -> Result<Option<Piece>> {
        let Some((key, ends, says)) = read_block(header) else {
            return Err(self.frames.damaged(at, "the header of a block does not say what it must"));
        };
        let number = match self.numbers.get(&key) {
            Some(number) => *number,
            None => {
                let (database, collection) = key.clone();
                self.add(key.clone(), Archived { database, collection, ..Archived::default() }, at)?
            }
        };
        let wrong = |why: &str| self.frames.damaged(at, format_args!("{} {why}", named(&key)));
        let Some(progress) = self.progress.get_mut(number) else { return Err(wrong("is not known")) };
        if let Progress::NotBegun = progress {
            *progress = Progress::Open(Box::new(Digest::new(CrcAlgorithm::Crc64Xz)));
        }
        let Progress::Open(crc) = progress else { return Err(wrong("goes on behind its end")) };
        if !ends {
            self.block = Block::Of(number);
            return Ok(None);
        }
        if crc.finalize() != says {
            return Err(wrong("has another digest than the archive says"));
        }
        *progress = Progress::Ended;
        self.block = Block::Last;
        Ok(Some(Piece::End(number)))
    }

    fn add(&mut self, key: (String, String), archived: Archived, at: u64) -> Result<usize> {
        let number = self.collections.len();
        if number >= MOST {
            return Err(self.frames.damaged(at, "it has more collections than can be"));
        }
        self.numbers.insert(key, number);
        self.collections.push(archived);
        self.progress.push(Progress::NotBegun);
        Ok(number)
    }

    /// Fails unless what was begun has ended, and what the prelude names has come.
    fn all_ended(&self, at: u64) -> Result<()> {
        for (archived, progress) in self.collections.iter().zip(&self.progress) {
            let comes_elsewhere = archived.form == "view" || archived.form == "timeseries";
            let missing = match progress {
                Progress::Ended => false,
                Progress::Open(_) => true,
                Progress::NotBegun => !comes_elsewhere,
            };
            if missing {
                let key = (archived.database.clone(), archived.collection.clone());
                return Err(self.frames.damaged(at, format_args!("it ends before {} does", named(&key))));
            }
        }
        Ok(())
    }
}

/// `DATABASE.COLLECTION`, for a message.
fn named((database, collection): &(String, String)) -> String {
    format!("{:?}", format!("{database}.{collection}"))
}

fn read_header(frames: &Frames, document: &[u8]) -> Result<ArchiveHeader> {
    let header = RawDocument::from_bytes(document).ok().and_then(|header| {
        let text = |name: &str| header.get_str(name).ok().map(str::to_owned);
        Some((
            text("version")?,
            ArchiveHeader {
                concurrent_collections: header.get_i32("concurrent_collections").ok()?,
                server_version: text("server_version").unwrap_or_default(),
                tool_version: text("tool_version").unwrap_or_default(),
            },
        ))
    });
    match header {
        Some((version, header)) if version == "0.1" => Ok(header),
        Some((version, _)) => Err(backup_core::Error::failed(format!("the archive has format {version:?}, and 0.1 is known"))
            .with_hint("restore it with the mongorestore of its version")),
        None => Err(frames.damaged(4, "its header does not say what it must")),
    }
}

fn read_archived(frames: &Frames, document: &[u8], at: u64) -> Result<Archived> {
    let archived = RawDocument::from_bytes(document).ok().and_then(|archived| {
        let text = |name: &str| archived.get_str(name).ok().map(str::to_owned);
        Some(Archived {
            database: text("db")?,
            collection: text("collection").filter(|collection| !collection.is_empty())?,
            metadata: text("metadata").unwrap_or_default(),
            form: text("type").unwrap_or_default(),
        })
    });
    archived.ok_or_else(|| frames.damaged(at, "a collection of its prelude does not say what it must"))
}

/// Collection, whether it ends, and the digest of its documents.
fn read_block(document: &[u8]) -> Option<((String, String), bool, u64)> {
    let header = RawDocument::from_bytes(document).ok()?;
    let text = |name: &str| header.get_str(name).ok().map(str::to_owned);
    let collection = text("collection").filter(|collection| !collection.is_empty())?;
    let crc = header.get_i64("CRC").ok()?;
    Some(((text("db")?, collection), header.get_bool("EOF").ok()?, crc.cast_unsigned()))
}

#[cfg(test)]
mod tests;
