//! What a collection's documents are, whatever their order: how many, and the sum of their hashes.

use std::fmt;
use std::ops::AddAssign;
use std::str::FromStr;

use backup_core::Error;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// The number of documents and the sum modulo 2^128 of their 128-bit hashes (XXH3 of each document's BSON).
///
/// Equal for the same documents in any order, so that ranges of a collection add up. Never XORed: two equal documents would cancel
/// out. It tells a restore that lost or changed documents from one that did not; against forgery there are the SHA-256 digests of
/// the stored bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counted {
    /// How many.
    pub documents: u64,
    /// The sum of their hashes.
    pub digest: Sum,
}

/// A sum of hashes; as text 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sum(u128);

impl Counted {
    /// Adds one document: its BSON.
    pub fn add(&mut self, bson: &[u8]) {
        self.documents += 1;
        self.digest.0 = self.digest.0.wrapping_add(xxh3_128(bson));
    }
}

impl AddAssign for Counted {
    fn add_assign(&mut self, other: Self) {
        self.documents += other.documents;
        self.digest.0 = self.digest.0.wrapping_add(other.digest.0);
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
        let wrong = |_| Error::damaged(format!("{text:?} is not a digest of documents"));
        u128::from_str_radix(text, 16).map(Self).map_err(wrong)
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

    fn of(documents: &[&[u8]]) -> Counted {
        let mut all = Counted::default();
        documents.iter().for_each(|document| all.add(document));
        all
    }

    #[test]
    fn order_does_not_matter_and_content_does() {
        assert_eq!(of(&[b"a", b"b"]), of(&[b"b", b"a"]));
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b"a", b"a"]), of(&[b"b", b"b"]), "equal documents do not cancel out");
    }

    #[test]
    fn ranges_add_up_and_a_digest_is_text_and_back() {
        let mut sum = of(&[b"a", b"b"]);
        sum += of(&[b"c"]);
        assert_eq!(sum, of(&[b"c", b"a", b"b"]));
        let text = sum.digest.to_string();
        assert_eq!((text.len(), text.parse::<Sum>().expect("a digest")), (32, sum.digest));
        assert!("x".parse::<Sum>().is_err());
    }
}
