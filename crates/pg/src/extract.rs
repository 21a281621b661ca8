//! One database out of a file that `pg_dumpall` wrote.

use std::collections::BTreeSet;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use backup_core::body::sound;
use backup_core::{Body, Doing, Error, Kind, Result};
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter, ReadBuf};

use crate::script::{Item, MetaCommand, Scanner};

/// How much is held back before it is written, and read before it is unpacked, in bytes.
const BUFFER: usize = 256 * 1024;

/// The comment with which pg_dump ends a database (`RestoreArchive` in `src/bin/pg_dump/pg_backup_archiver.c`, all versions).
const COMPLETE: &[u8] = b"-- PostgreSQL database dump complete";

/// The comment with which pg_dumpall begins.
const CLUSTER: &[u8] = b"-- PostgreSQL database cluster dump";

/// What came out.
#[derive(Debug)]
pub struct Extracted {
    /// How much was written, in bytes.
    pub bytes: u64,
    /// How many statements were left out because they name the database itself: its creation, settings, comment, privileges.
    pub left_out: u64,
    /// Why the file could not be read to its end, if it broke off behind the whole database. The database might have stood in it
    /// a second time.
    pub rest: Option<Error>,
}

/// Writes what `input`, the output of pg_dumpall 9.6 to 18 or of `pg_dump --create`, has of `database` to `out`.
///
/// Byte by byte, comments and settings included, except for what would tie it to the database's name: `\connect`, CREATE, DROP
/// and ALTER DATABASE, and the comment, labels, privileges and role settings of the database; and except for `\restrict`, which
/// older psql do not know. What is written loads into an empty database of any name.
///
/// Fails with [`Kind::NotFound`], listing the databases there are; with [`Kind::Damaged`] when the file breaks off before the
/// database ends, and what was written is then part of it only; with [`Kind::Usage`] when `input` is no dump of a cluster.
/// Memory is constant but for the longest statement.
pub async fn extract(input: Body, database: &[u8], out: &mut (impl AsyncWrite + Unpin)) -> Result<Extracted> {
    let shown = String::from_utf8_lossy(database).into_owned();
    let mut extraction = Extraction::new(database);
    let mut scanner = Scanner::new(input);
    let mut out = BufWriter::with_capacity(BUFFER, out);
    let rest = loop {
        match scanner.next().await {
            Ok(Some(item)) => {
                for piece in extraction.pieces(&item) {
                    out.write_all(piece).await.doing(|| "write the extracted database")?;
                    extraction.bytes += piece.len() as u64;
                }
            }
            Ok(None) => break None,
            Err(error) if extraction.whole && !extraction.inside => break Some(error),
            Err(error) => return Err(error).doing(|| format!("extract database {shown}")),
        }
    };
    extraction.end(&shown)?;
    out.flush().await.doing(|| "write the extracted database")?;
    Ok(Extracted { bytes: extraction.bytes, left_out: extraction.left_out, rest })
}

/// The text of a dump: unpacks gzip and zstd, of any number of members or frames, and leaves the rest as it is.
///
/// Reads the first bytes. A packed file that is damaged or cut ends in [`Kind::Damaged`].
pub async fn open(mut reader: Body) -> Result<Body> {
    let mut start = Vec::new();
    (&mut reader).take(6).read_to_end(&mut start).await.doing(|| "read the dump")?;
    let (name, tool) = match start.as_slice() {
        [0x1f, 0x8b, ..] => ("gzip", ""),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => ("zstd", ""),
        [b'B', b'Z', b'h', ..] => ("bzip2", "bunzip2 -c"),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => ("xz", "xz -dc"),
        [0x04, 0x22, 0x4d, 0x18, ..] => ("lz4", "lz4 -dc"),
        _ => ("", ""),
    };
    if !tool.is_empty() {
        return Err(Error::usage(format!("the dump is packed with {name}")).with_hint(format!("unpack it first: {tool} FILE")));
    }
    let whole = BufReader::with_capacity(BUFFER, io::Cursor::new(start).chain(reader));
    Ok(match name {
        "gzip" => {
            let mut decoder = GzipDecoder::new(whole);
            decoder.multiple_members(true);
            sound(Unpacked { name, decoder })
        }
        "zstd" => {
            let mut decoder = ZstdDecoder::new(whole);
            decoder.multiple_members(true);
            sound(Unpacked { name, decoder })
        }
        _ => sound(whole),
    })
}

/// Says of a decoder's complaint that the file is damaged; errors of the file system stay what they are.
struct Unpacked<D> {
    name: &'static str,
    decoder: D,
}

impl<D: AsyncRead + Unpin> AsyncRead for Unpacked<D> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.decoder).poll_read(cx, buf));
        Poll::Ready(read.map_err(|error| {
            let passed_on = error.raw_os_error().is_some() || error.get_ref().is_some_and(|inner| inner.is::<Error>());
            match passed_on {
                true => error,
                false => Error::damaged(format!("the {} file is damaged or breaks off", self.name)).with_source(error).into(),
            }
        }))
    }
}

/// Where in the file we are and what that means for the next item.
struct Extraction<'a> {
    wanted: &'a [u8],
    /// The database that the statements now are for.
    current: Vec<u8>,
    databases: BTreeSet<Vec<u8>>,
    /// What is read belongs to the wanted database.
    inside: bool,
    /// The wanted database was seen up to its end, once at least.
    whole: bool,
    /// The file says that it is of a whole cluster.
    cluster: bool,
    left_out: u64,
    bytes: u64,
}

impl<'a> Extraction<'a> {
    fn new(wanted: &'a [u8]) -> Self {
        Self {
            wanted,
            current: Vec::new(),
            databases: BTreeSet::new(),
            inside: false,
            whole: false,
            cluster: false,
            left_out: 0,
            bytes: 0,
        }
    }

    /// What of `item` is to be written.
    fn pieces<'i>(&mut self, item: &'i Item) -> Vec<&'i [u8]> {
        let (raw, leading) = (item.raw().as_ref(), item.leading());
        self.cluster |= !leading.is_empty() && self.databases.is_empty() && line_end(leading, CLUSTER).is_some();
        let mut pieces = Vec::new();
        if self.inside
            && let Some(end) = line_end(leading, COMPLETE)
        {
            // What follows, up to the next \connect, prepares another database.
            (self.inside, self.whole) = (false, true);
            pieces.extend(leading.get(..end));
        }
        match item {
            Item::Meta(meta) => match meta.command() {
                MetaCommand::Connect { database } => {
                    if let Some(database) = database {
                        self.current.clone_from(database);
                    }
                    self.databases.insert(self.current.clone());
                    self.inside = self.current == self.wanted;
                }
                MetaCommand::Encoding(_) if self.inside => pieces.push(raw),
                MetaCommand::Restrict(_) | MetaCommand::Unrestrict(_) if self.inside => pieces.push(leading),
                _ => {}
            },
            Item::Statement(statement) if self.inside && names_a_database(statement.head()) => self.left_out += 1,
            _ if self.inside => pieces.push(raw),
            _ => {}
        }
        pieces
    }

    fn end(&self, wanted: &str) -> Result<()> {
        if self.whole && !self.inside {
            return Ok(());
        }
        if self.databases.contains(self.wanted) {
            return Err(Error::damaged(format!(
                "the dump breaks off inside of database {wanted}: pg_dump's last line is missing"
            ))
            .with_hint("take another dump; what was written is part of the database only"));
        }
        if self.databases.is_empty() && !self.cluster {
            return Err(Error::usage("the file is no dump of a cluster: it names no database")
                .with_hint("a dump of one database is loaded as it is: psql -d DATABASE -f FILE"));
        }
        let names: Vec<String> = self.databases.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let hint = match names.is_empty() {
            true => "the dump has no databases, only roles and tablespaces".to_owned(),
            false => format!("the dump has {}", names.join(", ")),
        };
        Err(Error::new(Kind::NotFound, format!("database {wanted} is not in the dump")).with_hint(hint))
    }
}

/// Whether a statement is about a database by its name.
fn names_a_database(head: &str) -> bool {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| head.starts_with(prefix));
    starts(&[
        "create database ",
        "drop database ",
        "alter database ",
        "comment on database ",
        "update pg_catalog . pg_database ",
    ]) || starts(&["grant ", "revoke ", "security label "]) && head.contains(" on database ")
        || starts(&["alter role ", "alter user "]) && head.contains(" in database ")
}

/// Where the comment block ends of which `comment` is a line: behind this line and a `--` right below it.
fn line_end(text: &[u8], comment: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = memmem::find(text.get(from..)?, comment).map(|at| from + at) {
        from = at + comment.len();
        let first = at == 0 || text.get(at - 1) == Some(&b'\n');
        let rest = text.get(from..)?;
        let Some(newline) = rest.strip_prefix(b"\r\n").or(rest.strip_prefix(b"\n")) else {
            if first && rest.is_empty() {
                return Some(text.len());
            }
            continue;
        };
        if first {
            let after = [&b"--\r\n"[..], b"--\n"].iter().find_map(|line| newline.strip_prefix(*line)).unwrap_or(newline);
            return Some(text.len() - after.len());
        }
    }
    None
}

#[cfg(test)]
mod tests;
