//! What a script consists of; the raw bytes of all its items one after another are the script.

use backup_core::{Error, Result};
use bytes::Bytes;

use super::MetaCommand;

/// How much of a statement is shown in an error, in characters.
const SHOWN: usize = 100;

/// One piece of a script. Comments and blanks belong to the item that they precede.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// One SQL statement with its semicolon.
    Statement(Statement),
    /// A `COPY … FROM stdin` statement and the rest of its line. Any number of [`Item::Data`] and one [`Item::CopyEnd`] follow.
    Copy(Statement),
    /// Some rows of the COPY that was begun, cut anywhere.
    Data(Bytes),
    /// The line `\.`.
    CopyEnd(Bytes),
    /// A backslash command and the end of its line.
    Meta(Meta),
    /// Comments and blanks behind the last statement.
    Blank(Bytes),
}

/// One SQL statement as it stands in the script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub(super) raw: Bytes,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) line: u64,
    pub(super) head: String,
}

/// One backslash command as it stands in the script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    pub(super) raw: Bytes,
    pub(super) start: usize,
    pub(super) line: u64,
    pub(super) command: MetaCommand,
}

impl Item {
    /// The bytes of the script that this item was read from.
    pub fn raw(&self) -> &Bytes {
        match self {
            Item::Statement(statement) | Item::Copy(statement) => &statement.raw,
            Item::Meta(meta) => &meta.raw,
            Item::Data(raw) | Item::CopyEnd(raw) | Item::Blank(raw) => raw,
        }
    }

    /// The comments and blanks before it.
    pub fn leading(&self) -> &[u8] {
        match self {
            Item::Statement(statement) | Item::Copy(statement) => statement.leading(),
            Item::Meta(meta) => meta.leading(),
            Item::Blank(raw) => raw,
            Item::Data(_) | Item::CopyEnd(_) => &[],
        }
    }
}

impl Statement {
    /// The bytes of the script: comments and blanks before it, the statement, and for a COPY the rest of its line.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The comments and blanks before it.
    pub fn leading(&self) -> &[u8] {
        self.raw.get(..self.start).unwrap_or_default()
    }

    /// The statement with its semicolon.
    pub fn sql(&self) -> &[u8] {
        self.raw.get(self.start..self.end).unwrap_or_default()
    }

    /// The statement as text. Fails with [`Usage`](backup_core::Kind::Usage) when it is not UTF-8 and with
    /// [`Damaged`](backup_core::Kind::Damaged) when it has a NUL in it.
    pub fn text(&self) -> Result<&str> {
        let text = str::from_utf8(self.sql()).map_err(|_| {
            Error::usage(format!("the statement in line {} is not UTF-8", self.line))
                .with_hint("play the script with psql, or dump again with --encoding=UTF8")
        })?;
        match text.contains('\0') {
            true => Err(Error::damaged(format!("the statement in line {} has a NUL in it", self.line))),
            false => Ok(text),
        }
    }

    /// The line of the script in which the statement begins, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The first tokens joined by one blank each: words in lower case, quoted names as `""`, strings as `''`, the rest as it is.
    ///
    /// Tells what kind of statement it is: `alter role "" in database ""`.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// Whether it is about roles themselves: what `pg_dumpall --roles-only` writes, and what [`single`](crate::single) begins with.
    pub fn is_of_roles(&self) -> bool {
        let words: Vec<&str> = self.head.split(' ').take(6).collect();
        match words.as_slice() {
            ["create" | "alter", "role", ..] | ["comment", "on", "role", ..] => true,
            ["security", "label", "for", _, "on", "role", ..] => true,
            ["grant", _, "to", ..] | ["revoke", _, "from", ..] | ["revoke", "admin", "option", ..] => true,
            ["do", ..] => memchr::memmem::find(self.sql(), b"CREATE ROLE ").is_some(),
            _ => false,
        }
    }

    /// The statement's first line for people: shortened, and without the contents of its strings, which can be secrets.
    pub fn shown(&self) -> String {
        let line = self.sql().split(|&byte| byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let mut shown = String::new();
        // A quote within a quoted name begins no string.
        let (mut in_name, mut in_string, mut escapes) = (false, false, false);
        let mut characters = line.chars();
        while let Some(one) = characters.next() {
            match one {
                '\'' if !in_name => {
                    in_string = !in_string;
                    if in_string {
                        escapes = shown.ends_with(['e', 'E']) || escapes && shown.ends_with('\'');
                    }
                    shown.push_str(if in_string { "'…" } else { "'" });
                }
                '\\' if in_string && escapes => drop(characters.next()),
                _ if in_string => {}
                _ => {
                    in_name ^= one == '"';
                    shown.push(one);
                }
            }
        }
        let shown = shown.split('$').next().unwrap_or_default().trim_end();
        match shown.char_indices().nth(SHOWN) {
            Some((at, _)) => format!("{} …", shown.get(..at).unwrap_or_default()),
            None => shown.to_owned(),
        }
    }
}

impl Meta {
    /// The bytes of the script: comments and blanks before it, and its whole line.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The comments and blanks before it.
    pub fn leading(&self) -> &[u8] {
        self.raw.get(..self.start).unwrap_or_default()
    }

    /// The line of the script, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// What it says.
    pub fn command(&self) -> &MetaCommand {
        &self.command
    }
}
