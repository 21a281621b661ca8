//! Names of parts and jobs, and keys of objects: parsed once, at the door.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The longest key a sink must take, in bytes (S3's limit).
const LONGEST: usize = 1024;

/// A name in the words of whoever made it: any text that is not empty and has no NUL.
///
/// Tables have newlines in their names; a name is never used as a path. The stored files have [`Key`]s of ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `self/child`.
    pub fn join(&self, child: &str) -> Self {
        Self(format!("{}/{child}", self.0))
    }
}

/// Where an object lies in a sink: `/`-separated segments of `A-Z a-z 0-9 . _ - +`, none of them `.`, `..` or hidden.
///
/// Whatever comes out of a manifest or a listing is parsed into one before it is used, so a restore cannot leave its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

impl Key {
    /// The root: the empty key, only of use as a prefix.
    pub fn root() -> Self {
        Self(String::new())
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `self/child`; `child` may have several segments.
    pub fn join(&self, child: &str) -> Result<Self> {
        if self.0.is_empty() { child.parse() } else { format!("{}/{child}", self.0).parse() }
    }

    /// What follows `prefix/` in this key.
    pub fn strip(&self, prefix: &Key) -> Option<&str> {
        if prefix.0.is_empty() { Some(&self.0) } else { self.0.strip_prefix(&prefix.0)?.strip_prefix('/') }
    }

    /// The last segment.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "" => Err(Error::usage("a name cannot be empty")),
            text if text.contains('\0') => Err(Error::usage(format!("the name {text:?} has a NUL in it"))),
            text => Ok(Self(text.to_owned())),
        }
    }
}

impl FromStr for Key {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
        let good = |segment: &str| !segment.is_empty() && !segment.starts_with('.') && segment.chars().all(plain);
        if text.len() > LONGEST || !text.split('/').all(good) {
            return Err(Error::usage(format!("{text:?} cannot be a key in a sink"))
                .with_hint("use letters, digits and . _ - + only, and no part that is empty or starts with a dot"));
        }
        Ok(Self(text.to_owned()))
    }
}

macro_rules! text {
    ($($type:ty),*) => {$(
        impl TryFrom<String> for $type {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> { text.parse() }
        }
        impl From<$type> for String {
            fn from(name: $type) -> String { name.0 }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
    )*};
}
text!(Name, Key);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_inside() {
        for bad in ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.", ".a", "a b", "a\nb", "ä", "a\\b", "a\0"] {
            assert!(bad.parse::<Key>().is_err(), "{bad:?}");
        }
        assert!("db/0003/data/00017.sql.zst".parse::<Key>().is_ok());
        assert!("a".repeat(LONGEST + 1).parse::<Key>().is_err());
    }

    #[test]
    fn a_prefix_ends_at_a_slash() {
        let (key, prefix): (Key, Key) = ("pg-app2/x".parse().expect("key"), "pg-app".parse().expect("key"));
        assert_eq!(key.strip(&prefix), None);
        assert_eq!(key.strip(&Key::root()), Some("pg-app2/x"));
    }
}
