//! Reads a script as items, in constant memory.

use backup_core::{Error, Kind, Result};
use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr_iter, memmem};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::lexer::{Lexer, Step};
use super::{Item, Meta, MetaCommand, Statement, meta};

/// The longest statement by default, in bytes with the comments before it: what fits a message to the server.
pub const LONGEST: usize = 1 << 30;

/// How much is read at a time, in bytes.
const CHUNK: usize = 256 * 1024;

/// Encodings in which a byte of a longer character can look like a quote or a backslash. No database has one of them;
/// `pg_dump --encoding` can write them (`PG_ENCODING_BE_LAST` in `src/include/mb/pg_wchar.h`).
const UNSAFE_ENCODINGS: [&str; 15] = [
    "sjis",
    "mskanji",
    "shiftjis",
    "shiftjis2004",
    "win932",
    "windows932",
    "big5",
    "win950",
    "windows950",
    "gbk",
    "win936",
    "windows936",
    "gb18030",
    "uhc",
    "johab",
];

/// Reads psql input as a stream of [`Item`]s: statements, rows of COPY, and the backslash commands that dumps have.
///
/// Bytes are never decoded: a script can be in any encoding that a database can have. Rows pass in chunks; a statement is
/// held whole, up to [`with_longest`](Self::with_longest). Variables (`:name`) are left as they are.
#[derive(Debug)]
pub struct Scanner<R> {
    reader: R,
    buf: BytesMut,
    eof: bool,
    /// The line in which `buf` begins.
    line: u64,
    longest: usize,
    lexer: Lexer,
    place: Place,
    restricted: Option<Vec<u8>>,
    broken: Option<(Kind, String)>,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Start,
    Sql,
    /// Among the rows of the COPY of this line; `at_line` says that `buf` begins a line.
    Rows {
        line: u64,
        at_line: bool,
    },
}

enum Scanned {
    Item(Item),
    More,
    End,
}

impl<R: AsyncRead + Unpin> Scanner<R> {
    /// A scanner at the start of `reader`.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            buf: BytesMut::new(),
            eof: false,
            line: 1,
            longest: LONGEST,
            lexer: Lexer::default(),
            place: Place::Start,
            restricted: None,
            broken: None,
        }
    }

    /// Refuses statements longer than `longest` bytes.
    pub fn with_longest(mut self, longest: usize) -> Self {
        self.longest = longest;
        self
    }

    /// The line up to which the script was read, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The next item, or `None` behind the last one.
    ///
    /// An end of input inside of a quote, comment, statement or COPY is [`Kind::Damaged`]; a backslash command that no dump
    /// has is [`Kind::Usage`]. After an error it only fails. A dropped future loses nothing.
    pub async fn next(&mut self) -> Result<Option<Item>> {
        if let Some((kind, message)) = &self.broken {
            return Err(Error::new(*kind, message.clone()));
        }
        let next = self.advance().await;
        if let Err(error) = &next {
            self.broken = Some((error.kind(), error.chain()));
        }
        next
    }

    async fn advance(&mut self) -> Result<Option<Item>> {
        loop {
            match self.scan()? {
                Scanned::Item(item) => return Ok(Some(item)),
                Scanned::End => return Ok(None),
                Scanned::More => self.fill().await?,
            }
        }
    }

    async fn fill(&mut self) -> Result<()> {
        if self.buf.len() > self.longest {
            return Err(Error::failed(format!(
                "the statement behind line {} is longer than {} bytes",
                self.line, self.longest
            )));
        }
        if self.buf.capacity() - self.buf.len() < CHUNK / 4 {
            self.buf.reserve(CHUNK);
        }
        self.eof = self.reader.read_buf(&mut self.buf).await? == 0;
        Ok(())
    }

    fn scan(&mut self) -> Result<Scanned> {
        match self.place {
            Place::Start if self.buf.len() < 5 && !self.eof => Ok(Scanned::More),
            Place::Start => {
                recognised(&self.buf)?;
                if self.buf.starts_with(b"\xef\xbb\xbf") {
                    self.lexer.pos = 3;
                }
                self.place = Place::Sql;
                self.sql()
            }
            Place::Sql => self.sql(),
            Place::Rows { line, at_line } => self.rows(line, at_line),
        }
    }

    fn sql(&mut self) -> Result<Scanned> {
        match self.lexer.run(&self.buf, self.eof) {
            Step::More if !self.eof => Ok(Scanned::More),
            Step::More => match self.lexer.open() {
                Some((what, at)) => {
                    let line = self.line_at(at);
                    Err(Error::damaged(format!("the script breaks off inside of the {what} that begins in line {line}")))
                }
                None if self.buf.is_empty() => Ok(Scanned::End),
                None => {
                    let raw = self.take(self.buf.len());
                    self.lexer.reset();
                    Ok(Scanned::Item(Item::Blank(raw)))
                }
            },
            Step::Semicolon => self.statement(),
            Step::Backslash => self.meta(),
        }
    }

    fn statement(&mut self) -> Result<Scanned> {
        let start = self.lexer.start.unwrap_or_default();
        let (end, line) = (self.lexer.pos, self.line_at(start));
        let Some(stdin) = self.lexer.copy() else {
            let head = std::mem::take(&mut self.lexer.head);
            let statement = Statement { raw: self.take(end), start, end, line, head };
            self.lexer.reset();
            self.settle(&statement)?;
            return Ok(Scanned::Item(Item::Statement(statement)));
        };
        let options = self.buf.get(stdin..end).unwrap_or_default().to_ascii_lowercase();
        if self.lexer.head.starts_with("copy binary ") || memmem::find(&options, b"binary").is_some() {
            return Err(Error::usage(format!("line {line}: binary COPY data cannot stand in a script")));
        }
        // The rows begin in the next line.
        let rest = self.buf.get(end..).unwrap_or_default();
        let newline = match memchr(b'\n', rest) {
            Some(newline) => newline,
            None if !self.eof => return Ok(Scanned::More),
            None => return Err(Error::damaged(format!("the script breaks off inside of the COPY that begins in line {line}"))),
        };
        if !rest.get(..newline).unwrap_or_default().trim_ascii().is_empty() {
            return Err(Error::usage(format!("line {line}: something stands behind a COPY, in its line")));
        }
        let head = std::mem::take(&mut self.lexer.head);
        let raw = self.take(end + newline + 1);
        self.lexer.reset();
        self.place = Place::Rows { line, at_line: true };
        Ok(Scanned::Item(Item::Copy(Statement { raw, start, end, line, head })))
    }

    fn meta(&mut self) -> Result<Scanned> {
        let at = self.lexer.pos;
        let line = self.line_at(at);
        if let Some(start) = self.lexer.start {
            let start = self.line_at(start);
            return Err(refused(line, format!("a backslash stands inside of the statement that begins in line {start}")));
        }
        let rest = self.buf.get(at + 1..).unwrap_or_default();
        let (text, end) = match memchr(b'\n', rest) {
            Some(newline) => (rest.get(..newline).unwrap_or_default(), at + 1 + newline + 1),
            None if !self.eof => return Ok(Scanned::More),
            None => (rest, self.buf.len()),
        };
        let whole = self.buf.get(..end).unwrap_or_default().ends_with(b"\n");
        let command = match meta::parse(text).and_then(|command| self.obey(&command).map(|()| command)) {
            Ok(command) if whole || matches!(command, MetaCommand::Unrestrict(_)) => command,
            Err(why) if whole => return Err(refused(line, why)),
            // Cut short it can say something else.
            _ => return Err(Error::damaged(format!("the script breaks off inside of the command in line {line}"))),
        };
        let raw = self.take(end);
        self.lexer.reset();
        Ok(Scanned::Item(Item::Meta(Meta { raw, start: at, line, command })))
    }

    /// Follows what a backslash command means for the reading itself, or says why it cannot stand here.
    fn obey(&mut self, command: &MetaCommand) -> Result<(), String> {
        match (command, self.restricted.take()) {
            (MetaCommand::Unrestrict(key), Some(wanted)) if *key == wanted => {}
            (MetaCommand::Unrestrict(_), _) => return Err("the key of \\unrestrict is not that of \\restrict".to_owned()),
            (_, Some(_)) => return Err("a backslash command stands between \\restrict and \\unrestrict".to_owned()),
            (MetaCommand::Restrict(key), None) => self.restricted = Some(key.clone()),
            // A session begins anew.
            (MetaCommand::Connect { .. }, None) => self.lexer.escapes = false,
            (MetaCommand::Encoding(encoding), None) => safe(encoding)?,
        }
        Ok(())
    }

    /// Follows the settings on which the reading itself depends.
    fn settle(&mut self, statement: &Statement) -> Result<()> {
        if !statement.head.starts_with("set ") {
            return Ok(());
        }
        let Some((name, value)) = setting(statement.sql()) else { return Ok(()) };
        match name.as_str() {
            "standard_conforming_strings" => self.lexer.escapes = matches!(value.as_str(), "off" | "of" | "false" | "no" | "0"),
            "client_encoding" | "names" => safe(&value).map_err(|why| {
                Error::usage(format!("line {}: {why}", statement.line)).with_hint("dump again with --encoding=UTF8")
            })?,
            _ => {}
        }
        Ok(())
    }

    fn rows(&mut self, line: u64, at_line: bool) -> Result<Scanned> {
        if self.buf.is_empty() {
            return match self.eof {
                false => Ok(Scanned::More),
                true => Err(Error::damaged(format!("the script breaks off inside of the COPY that begins in line {line}"))),
            };
        }
        if at_line {
            match end_of_rows(&self.buf, self.eof) {
                Marker::Cut => return Ok(Scanned::More),
                Marker::Is(length) => {
                    self.place = Place::Sql;
                    return Ok(Scanned::Item(Item::CopyEnd(self.take(length))));
                }
                Marker::IsNot => {}
            }
        }
        // Rows up to a line that is the end, or may be it once more is read.
        let mut from = 0;
        let end = loop {
            let Some(at) = memmem::find(self.buf.get(from..).unwrap_or_default(), b"\n\\").map(|at| from + at + 1) else {
                break self.buf.len();
            };
            match end_of_rows(self.buf.get(at..).unwrap_or_default(), self.eof) {
                Marker::IsNot => from = at,
                Marker::Is(_) | Marker::Cut => break at,
            }
        };
        let raw = self.take(end);
        self.place = Place::Rows { line, at_line: raw.ends_with(b"\n") };
        Ok(Scanned::Item(Item::Data(raw)))
    }

    fn line_at(&self, offset: usize) -> u64 {
        self.line + newlines(self.buf.get(..offset).unwrap_or_default())
    }

    fn take(&mut self, length: usize) -> Bytes {
        let raw = self.buf.split_to(length).freeze();
        self.line += newlines(&raw);
        raw
    }
}

enum Marker {
    Is(usize),
    IsNot,
    /// It may be one once more is read.
    Cut,
}

/// Whether a line is `\.` alone; a carriage return and a missing newline at the end of input are let pass.
fn end_of_rows(line: &[u8], eof: bool) -> Marker {
    match line {
        [b'\\', b'.', b'\n', ..] => Marker::Is(3),
        [b'\\', b'.', b'\r', b'\n', ..] => Marker::Is(4),
        [b'\\', b'.'] | [b'\\', b'.', b'\r'] if eof => Marker::Is(line.len()),
        [b'\\'] | [b'\\', b'.'] | [b'\\', b'.', b'\r'] if !eof => Marker::Cut,
        _ => Marker::IsNot,
    }
}

/// Refuses what is known to be no script.
fn recognised(start: &[u8]) -> Result<()> {
    if start.starts_with(b"PGDMP") {
        return Err(
            Error::usage("this is an archive of pg_dump, not a script").with_hint("turn it into one: pg_restore -f - FILE")
        );
    }
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        return Err(Error::usage("this is UTF-16, not a script")
            .with_hint("write the dump with --file, not through a shell that recodes"));
    }
    Ok(())
}

fn safe(encoding: &str) -> Result<(), String> {
    let plain: String = encoding.chars().filter(char::is_ascii_alphanumeric).collect();
    match UNSAFE_ENCODINGS.contains(&plain.to_ascii_lowercase().as_str()) {
        true => Err(format!("a script in {plain} cannot be read safely")),
        false => Ok(()),
    }
}

fn refused(line: u64, why: String) -> Error {
    Error::usage(format!("line {line}: {why}"))
        .with_hint("look at the file: a dump has no backslash commands but \\connect, \\encoding, \\restrict and \\unrestrict")
}

/// The name and value of `SET [SESSION | LOCAL] name { = | TO } value`, in lower case and without quotes.
fn setting(sql: &[u8]) -> Option<(String, String)> {
    let text = str::from_utf8(sql).ok()?.trim_end_matches(';').to_ascii_lowercase();
    let text = text.replace(['=', '\'', '"'], " ");
    let mut words =
        text.split_whitespace().skip(1).skip_while(|word| matches!(*word, "session" | "local")).filter(|word| *word != "to");
    Some((words.next()?.to_owned(), words.next()?.to_owned()))
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}
