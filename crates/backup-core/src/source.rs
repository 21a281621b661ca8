//! What can be captured, and where it can be brought back.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Body, Context, Key, Name, Result, Stored};

/// What is known about a part or an origin: counts, digests, the order of restore. The keys belong to whoever wrote them.
pub type Facts = serde_json::Map<String, serde_json::Value>;

/// A service or place whose state can be captured.
#[async_trait]
pub trait Source: Debug + Send + Sync {
    /// Fixes one instant and names the parts as of it, in restore order. `base` is the backup to be incremental to.
    async fn snapshot(&self, cx: &Context, base: Option<&dyn Stored>) -> Result<Box<dyn Snapshot>>;
}

/// One instant of a source, held open while its parts are read.
#[async_trait]
pub trait Snapshot: Debug + Send + Sync {
    /// Whose state this is, and of when.
    fn origin(&self) -> &Origin;

    /// The parts in restore order, at most 10^5 of them.
    fn parts(&self) -> &[Part];

    /// How many parts may be open at once: all connections have joined the instant before the first read.
    fn width(&self) -> usize;

    /// Opens a part. Dropping the body discards its connection (draining it would read gigabytes).
    async fn read(&self, part: &Name) -> Result<Reading>;

    /// Lets the instant go; fails if it was lost meanwhile, and then nothing that was read of it counts.
    async fn close(self: Box<Self>) -> Result<()>;
}

/// Whose state a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// What it is: `postgresql`, `mongodb`, `tree`.
    pub kind: String,
    /// What tells it from every other of its kind, such as the system identifier. A job takes backups of one identity only.
    pub identity: String,
    /// The version of the server or program that holds the state.
    pub version: String,
    /// The instant (time, LSN, oplog position) and whatever else is true of the whole.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
}

/// One named stream of a snapshot, before it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name, unique in the snapshot.
    pub name: Name,
    /// The end of the stored file's name that says what is inside: `sql`, `bson`, `tar`.
    pub extension: &'static str,
    /// The folder in the backup where its file goes, such as `db/0003/data`; `parts` if it does not matter.
    pub folder: Option<Key>,
    /// About how many bytes it has, for progress.
    pub estimate: Option<u64>,
}

/// A part that is being read.
pub struct Reading {
    /// Its bytes.
    pub body: Body,
    /// What is known of it, set before end of file.
    pub facts: Arc<OnceLock<Facts>>,
}

/// A place where a backup can be brought back: a server, a directory.
#[async_trait]
pub trait Target: Debug + Send + Sync {
    /// Brings back what this target was configured to take out of `backup`. Refuses to replace what is there, unless it was
    /// configured to.
    async fn restore(&self, cx: &Context, backup: &dyn Stored) -> Result<Restored>;

    /// Reads what is there now and compares it with what `backup` says of itself.
    async fn compare(&self, cx: &Context, backup: &dyn Stored) -> Result<Checked>;
}

/// What a restore brought back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Restored {
    /// What there is now, in the words of the source: databases, collections, paths.
    pub what: Vec<String>,
    /// How many things of which kind: `tables`, `rows`, `files`.
    pub counts: std::collections::BTreeMap<String, u64>,
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Checked {
    /// Whether all of the backup was restored and compared. A part that is equal proves nothing of the others.
    #[serde(default)]
    pub whole: bool,
    /// How many things of which kind were compared: `tables`, `rows`, `objects`.
    pub counts: std::collections::BTreeMap<String, u64>,
    /// Where the two differ; empty means equal.
    pub differences: Vec<Difference>,
}

impl Checked {
    /// Whether it proves the backup: all of it was compared, and is equal.
    pub fn is_proof(&self) -> bool {
        self.whole && self.differences.is_empty()
    }

    /// What everyone may know of it if the backup is encrypted: whether all was compared, and how many differences there are.
    pub(crate) fn sealed(&self) -> Self {
        let sealed = || "sealed".to_owned();
        let difference = |_: &Difference| Difference { what: sealed(), expected: sealed(), found: sealed() };
        let differences = self.differences.iter().map(difference).collect();
        Self { whole: self.whole, counts: std::collections::BTreeMap::new(), differences }
    }
}

/// One place in which what was restored is not what was backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Where: `table app.users of database shop`.
    pub what: String,
    /// What the backup says.
    pub expected: String,
    /// What is there.
    pub found: String,
}
