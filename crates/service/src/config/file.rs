//! A TOML file while it is read: where its values stand, and what was found.

use std::cell::RefCell;
use std::fmt::Display;

use backup_core::{Error, Result};
use toml::Spanned;
use toml::de::DeTable;

use super::{Found, Outside};

/// The most that a file may hold, in bytes.
const LONGEST: usize = 1 << 20;

/// A file that is read.
pub(super) struct File<'a> {
    name: &'a str,
    text: &'a str,
    pub(super) outside: &'a Outside<'a>,
    pub(super) found: RefCell<Vec<Found>>,
}

impl<'a> File<'a> {
    pub(super) fn new(name: &'a str, text: &'a str, outside: &'a Outside<'a>) -> Self {
        Self { name, text, outside, found: RefCell::default() }
    }

    /// The file as a table, nothing of it understood yet.
    pub(super) fn parse(&self) -> Result<Spanned<DeTable<'a>>> {
        if self.text.len() > LONGEST {
            return Err(Error::usage(format!("{} is longer than {LONGEST} bytes", self.name)).with_hint("name another file"));
        }
        DeTable::parse(self.text).map_err(|error| {
            // Not the whole error: it shows the line, which may hold a secret.
            let at = error.span().map_or(self.text.len(), |span| span.start);
            Error::usage(format!("{}: {}", self.place(at), error.message())).with_hint("see https://toml.io/en/v1.0.0")
        })
    }

    /// `FILE, line 7` of what stands at the byte `at`.
    pub(super) fn place(&self, at: usize) -> String {
        let before = self.text.bytes().take(at);
        format!("{}, line {}", self.name, 1 + before.filter(|byte| *byte == b'\n').count())
    }

    /// Remembers a value for whoever wants to see what was understood.
    pub(super) fn note(&self, name: &str, value: impl Display, from: String) {
        self.found.borrow_mut().push(Found { name: name.into(), value: value.to_string(), from });
    }
}
