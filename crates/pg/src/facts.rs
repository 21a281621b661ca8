//! What the manifest says of each part of a PostgreSQL backup.

use std::collections::BTreeMap;

use backup_core::{Doing, Facts, Name, Result};
use serde::{Deserialize, Serialize};

use crate::digest::Rows;
use crate::globals::{DatabaseRecord, Tablespace};

/// The version of what reads definitions. The same object can have other statements when another reads it.
pub(crate) const READER: &str = env!("CARGO_PKG_VERSION");

/// When a part is played in a restore. Parts of one stage and database can be played at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Roles, memberships, their settings; privileges on parameters.
    Roles,
    /// Tablespaces.
    Tablespaces,
    /// `CREATE DATABASE` and `\connect`.
    Database,
    /// Everything in a database, as one script: from PostgreSQL's own programs.
    Script,
    /// Definitions that rows need.
    Pre,
    /// Rows, values of sequences, large objects.
    Data,
    /// Indexes and keys, each of one table only.
    Indexes,
    /// Everything else that comes after the rows, in order.
    Post,
    /// Owner, settings and privileges of the database.
    Properties,
    /// Settings of roles, and the attributes of the role that restores: at the very end.
    Last,
}

/// What the manifest says of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartFacts {
    /// When it is played.
    pub stage: Stage,
    /// The database that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// How the database is made; in parts of [`Stage::Database`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<DatabaseRecord>,
    /// The tablespaces; in parts of [`Stage::Tablespaces`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tablespaces: Vec<Tablespace>,
    /// The instant of the database; in parts of [`Stage::Database`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instant: Option<Instant>,
    /// The tables whose rows it holds, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableFacts>,
    /// The objects that it creates, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ObjectFacts>,
    /// Sequences and their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sequences: Vec<SequenceFacts>,
    /// Large objects: how many, and the sum of the hashes of their pieces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_objects: Option<Rows>,
    /// How many objects of which kind there are, counted by the server and not by the reader; in parts of [`Stage::Post`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
}

/// When a database was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instant {
    /// Begin of the transaction, RFC 3339, UTC.
    pub time: String,
    /// Where the write-ahead log was, as text; empty where the server does not say.
    pub lsn: String,
}

/// The rows of a table, or of a range of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFacts {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The columns, in the order in which they were read.
    pub columns: Vec<String>,
    /// Only rows for which this holds (configuration tables of extensions).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// The table that the rows are loaded through, where it is another one: a partitioned table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<(String, String)>,
    /// Which range of a table that was cut, from 0. Ranges add up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<u32>,
    /// The encoding of the rows where it is not the one that the part's header sets: that of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Its rows.
    #[serde(flatten)]
    pub rows: Rows,
}

/// An object that a part creates. In the manifest an array of these fields in their order: there can be many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ObjectRow", into = "ObjectRow")]
pub struct ObjectFacts {
    /// What it is: `Relation`, `Index`, `Acl`.
    pub kind: String,
    /// Its OID in the source: with `kind` what identifies it in `needs`.
    pub oid: u32,
    /// Its schema, or empty.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The table that it belongs to.
    pub table: Option<u32>,
    /// Length of its statements in the part, in bytes; objects follow each other behind the part's header.
    pub length: usize,
    /// What must be there first: kinds and OIDs.
    pub needs: Vec<(String, u32)>,
}

type ObjectRow = (String, u32, String, String, Option<u32>, usize, Vec<(String, u32)>);

impl From<ObjectRow> for ObjectFacts {
    fn from((kind, oid, schema, name, table, length, needs): ObjectRow) -> Self {
        Self { kind, oid, schema, name, table, length, needs }
    }
}

impl From<ObjectFacts> for ObjectRow {
    fn from(object: ObjectFacts) -> Self {
        let ObjectFacts { kind, oid, schema, name, table, length, needs } = object;
        (kind, oid, schema, name, table, length, needs)
    }
}

/// A sequence and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceFacts {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The last value handed out.
    pub last: i64,
    /// Whether it has been.
    pub called: bool,
}

impl PartFacts {
    /// Facts of a part of `stage` with nothing else to it.
    pub fn new(stage: Stage, database: Option<&str>) -> Self {
        Self {
            stage,
            database: database.map(str::to_owned),
            record: None,
            tablespaces: Vec::new(),
            instant: None,
            tables: Vec::new(),
            objects: Vec::new(),
            sequences: Vec::new(),
            large_objects: None,
            counts: BTreeMap::new(),
        }
    }

    /// As they go into the manifest.
    pub fn to_facts(&self) -> Facts {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(facts)) => facts,
            _ => Facts::new(),
        }
    }

    /// As they come out of a manifest, which is not trusted.
    pub fn from_facts(part: &Name, facts: &Facts) -> Result<Self> {
        Self::deserialize(facts)
            .doing(|| format!("read what the manifest says of {part}"))
            .map_err(|error| error.with_kind(backup_core::Kind::Damaged))
    }
}

/// What tells one cluster from another, from `pg_control_system()`.
pub(crate) fn identity(number: i64) -> String {
    // The function shows an unsigned number as a signed one.
    u64::from_ne_bytes(number.to_ne_bytes()).to_string()
}
