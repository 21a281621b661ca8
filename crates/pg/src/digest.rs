//! What a table's rows are, whatever their order: how many, and the sum of their hashes.

use std::fmt;
use std::ops::AddAssign;
use std::str::FromStr;

use backup_core::Error;
use memchr::memchr;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// The number of rows of a table and the sum modulo 2^128 of their 128-bit hashes (XXH3 of each row's COPY text).
///
/// Equal for the same rows in any order. Never XORed: two equal rows would cancel out. It tells a restore that lost or
/// changed rows from one that did not; against forgery there are the SHA-256 digests of the stored bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rows {
    /// How many.
    pub rows: u64,
    /// The sum of their hashes.
    pub digest: Sum,
}

/// A sum of hashes; as text 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sum(u128);

impl Rows {
    /// Adds one row: its COPY text without the newline at its end.
    pub fn add_row(&mut self, text: &[u8]) {
        self.rows += 1;
        self.digest.0 = self.digest.0.wrapping_add(xxh3_128(text));
    }
}

impl AddAssign for Rows {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.digest.0 = self.digest.0.wrapping_add(other.digest.0);
    }
}

/// Counts the rows of COPY text that comes in pieces of any size.
///
/// A newline ends a row: within a value COPY writes it as `\n` (PostgreSQL documentation, COPY, "Text Format"), and in no
/// server encoding is it part of another character.
#[derive(Debug, Default)]
pub(crate) struct RowCounter {
    rows: Rows,
    /// The beginning of a row whose end has not come yet.
    begun: Vec<u8>,
}

impl RowCounter {
    /// Fails at a row that reads as the end of the rows.
    pub(crate) fn add(&mut self, mut piece: &[u8]) -> Result<(), Error> {
        while let Some(end) = memchr(b'\n', piece) {
            if self.begun.is_empty() {
                self.row(&piece[..end])?;
            } else {
                let mut row = std::mem::take(&mut self.begun);
                row.extend_from_slice(&piece[..end]);
                self.row(&row)?;
                row.clear();
                self.begun = row;
            }
            piece = &piece[end + 1..];
        }
        self.begun.extend_from_slice(piece);
        Ok(())
    }

    fn row(&mut self, row: &[u8]) -> Result<(), Error> {
        if row.strip_suffix(b"\r").unwrap_or(row) == b"\\." {
            // What follows would be taken for commands. In a value it is written `\\.`.
            return Err(Error::damaged("the server sent a row that reads as the end of the rows"));
        }
        self.rows.add_row(row);
        Ok(())
    }

    /// All rows. Fails if the last one has no newline at its end.
    pub(crate) fn finish(self) -> Result<Rows, Error> {
        if self.begun.is_empty() { Ok(self.rows) } else { Err(Error::damaged("the server sent a row without its end")) }
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sum {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        u128::from_str_radix(text, 16).map(Self).map_err(|_| Error::damaged(format!("{text:?} is not a digest of rows")))
    }
}

impl TryFrom<String> for Sum {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Sum> for String {
    fn from(sum: Sum) -> String {
        sum.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pieces: &[&str]) -> Rows {
        let mut counter = RowCounter::default();
        pieces.iter().for_each(|piece| counter.add(piece.as_bytes()).expect("rows"));
        counter.finish().expect("whole rows")
    }

    #[test]
    fn a_row_that_ends_the_rows_ends_the_reading() {
        for pieces in [&["x\n\\.\n\\! touch here\n"][..], &["x\n\\", ".", "\r\n"], &["\\.\n"]] {
            let mut counter = RowCounter::default();
            let added: Result<Vec<()>, Error> = pieces.iter().map(|piece| counter.add(piece.as_bytes())).collect();
            assert!(added.expect_err("the end").to_string().contains("end of the rows"), "{pieces:?}");
        }
        assert_eq!(of(&["\\\\.\n", "a\\.\n", "\\.a\n", " \\.\n"]).rows, 4);
        let mut counter = RowCounter::default();
        counter.add(b"x\n\\.").expect("no row yet");
        assert!(counter.finish().expect_err("half a row").to_string().contains("without its end"));
    }

    #[test]
    fn order_does_not_matter_and_content_does() {
        assert_eq!(of(&["a\tb\nc\td\n"]), of(&["c\td\n", "a\tb\n"]));
        assert_ne!(of(&["a\tb\nc\td\n"]), of(&["a\td\nc\tb\n"]));
        assert_ne!(of(&["a\na\n"]), of(&["b\nb\n"]), "equal rows do not cancel out");
    }

    #[test]
    fn pieces_do_not_matter() {
        assert_eq!(of(&["ab\ncd\n\n"]), of(&["a", "b", "\nc", "d\n", "\n"]));
        assert_eq!(of(&["\n\n"]).rows, 2);
    }

    #[test]
    fn ranges_of_a_table_add_up() {
        let mut sum = of(&["a\nb\n"]);
        sum += of(&["c\n"]);
        assert_eq!(sum, of(&["c\na\nb\n"]));
    }
}
