//! Visible means whole: where bytes live.

use std::fmt::Debug;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::{Body, Key, Result};

/// A place where objects lie: a directory, a bucket, a directory on another machine.
///
/// The contract is a function that every sink passes: [`testing::sink_contract`](crate::testing::sink_contract).
#[async_trait]
pub trait Sink: Debug + Send + Sync {
    /// Stores `body` under `key` and returns what was stored.
    ///
    /// The object is visible only once `body` has reached its end and all of it is durable. After an error or a
    /// dropped future it is absent or whole. Never replaces: [`Kind::AlreadyExists`](crate::Kind::AlreadyExists).
    async fn put(&self, key: &Key, body: Body) -> Result<Put>;

    /// Opens `key`, or what of it lies in `range` (bytes from its start). [`Kind::NotFound`](crate::Kind::NotFound) if it is not there.
    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Body>;

    /// Lists what lies under `prefix/`, in byte order of the whole key, that of a group ending in `/`. An empty or missing place, or one
    /// that is an object, is an empty listing; a listing that cannot be read to its end ends in an error.
    fn list(&self, prefix: &Key, depth: Depth) -> BoxStream<'_, Result<Entry>>;

    /// Deletes `key`. One that is not there is no error.
    async fn delete(&self, key: &Key) -> Result<()>;

    /// Removes what puts of dead runs left under `prefix/` where no listing shows it, if it is at least so old.
    async fn sweep(&self, _prefix: &Key, _age: Duration) -> Result<()> {
        Ok(())
    }
}

/// What was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the stored bytes, taken while they passed.
    pub sha256: crate::Sha256,
}

/// How deep to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Only the names of the next level; groups of keys appear once, as [`Entry::Group`].
    One,
    /// Every object, however deep.
    All,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// An object and its size in bytes.
    Object(Key, u64),
    /// A prefix under which there are objects.
    Group(Key),
}

impl Entry {
    /// The key or prefix.
    pub fn key(&self) -> &Key {
        let (Entry::Object(key, _) | Entry::Group(key)) = self;
        key
    }
}
