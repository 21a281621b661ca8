//! What a restore needs to know of SQL, which this crate knows nothing of.

use std::collections::BTreeMap;
use std::fmt::Debug;

use async_trait::async_trait;
use backup_core::{Body, Result};

/// Reads what `pg_dumpall` and `pg_dump --create` wrote.
#[async_trait]
pub trait Dumps: Debug + Send + Sync {
    /// Reads a dump to its end. [`Kind::Damaged`](backup_core::Kind::Damaged) where it breaks off, or does not say itself that it is
    /// complete.
    async fn inspect(&self, dump: Body) -> Result<Inspected>;

    /// What psql is told, logged in to `postgres`, to have of `dump` what `wanted` says and nothing else. It ends well only if
    /// all of that was there, and nothing in it can make psql do more than SQL.
    fn script(&self, dump: Body, wanted: &Wanted) -> Body;
}

/// What a dump has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspected {
    /// Its databases, in its order, each once.
    pub databases: Vec<Found>,
    /// The roles that it makes.
    pub roles: Vec<String>,
    /// The version of the server that it is of, as it says: `15.18`.
    pub version: Option<String>,
}

/// A database in a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is called there.
    pub name: String,
    /// The rows of its tables.
    pub rows: u64,
    /// How much of the dump is about it, in bytes.
    pub bytes: u64,
    /// The ids that [`Dumps::script`] replaces in its rows, each with how often it stands there.
    pub replaced: BTreeMap<String, u64>,
}

/// What of a dump is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The database, as it is called there.
    pub database: String,
    /// What it is to be called.
    pub working: String,
    /// The roles that are to be made first, with what the dump says of them.
    pub roles: Vec<String>,
}
