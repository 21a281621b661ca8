//! What a database holds, read from its catalogs: one small file per object type.
//!
//! Every query runs with an empty `search_path`, so that whatever the server deparses comes out qualified. A new object
//! type is a file with `async fn read(reader: &mut Reader<'_>) -> Result<()>` and a line in [`Catalog::read`].

mod access_method;
mod aggregate;
mod cast;
mod collation;
mod conversion;
mod default;
mod default_acl;
mod event_trigger;
mod extension;
mod foreign_data_wrapper;
mod foreign_key;
mod foreign_server;
mod function;
mod index;
mod language;
mod materialized_view;
mod operator;
mod operator_class;
mod options;
mod policy;
mod publication;
mod reader;
mod relation;
mod row;
mod rule;
mod schema;
mod sequence;
mod statistics;
mod subscription;
mod system_acl;
mod table;
mod text_search;
mod transform;
mod trigger;
mod types;
mod uncovered;
mod user_mapping;
mod view;

use backup_core::{Error, Result};
use tokio_postgres::Client;

pub(crate) use reader::Reader;
pub(crate) use row::Row;

use crate::inventory::Inventory;
use crate::object::{Id, Object};
use crate::version::Version;

/// What one database holds, in the order of the dump.
#[derive(Debug)]
pub(crate) struct Catalog {
    /// Every object, unordered; [`graph::order`](crate::graph::order) orders them by `edges`.
    pub(crate) objects: Vec<Object>,
    /// Which object needs which, from `pg_depend`.
    pub(crate) edges: Vec<(Id, Id)>,
    /// Tables whose rows are dumped.
    pub(crate) tables: Vec<TableData>,
    /// Sequences and their state.
    pub(crate) sequences: Vec<SequenceData>,
    /// Unlogged tables and sequences of which a standby has no more than the definition.
    pub(crate) left_out: Vec<String>,
}

/// A table whose rows are dumped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableData {
    /// OID of the table.
    pub(crate) oid: u32,
    /// Its schema.
    pub(crate) schema: String,
    /// Its name.
    pub(crate) name: String,
    /// The columns that are dumped, in their order: all but generated and dropped ones.
    pub(crate) columns: Vec<String>,
    /// Only rows for which this holds, with its `WHERE`: for configuration tables of extensions.
    pub(crate) condition: Option<String>,
    /// The partitioned table to load through, where a row can belong to another partition after a restore
    /// (hash partitions of an enum: `pg_dump --load-via-partition-root`).
    pub(crate) load_via: Option<(String, String)>,
    /// Tables that must be loaded before it: targets of foreign keys among configuration tables, which exist before data.
    pub(crate) after: Vec<u32>,
}

/// A sequence and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SequenceData {
    /// Its schema.
    pub(crate) schema: String,
    /// Its name.
    pub(crate) name: String,
    /// The last value handed out.
    pub(crate) last: i64,
    /// Whether `last` has been handed out.
    pub(crate) called: bool,
}

impl Catalog {
    /// Reads the catalogs of the database that `client` is connected to, within the transaction that it has open. `inventory` was
    /// taken in the same: where it has nothing for a reader, the server is not asked.
    pub(crate) async fn read(client: &Client, version: Version, inventory: Inventory) -> Result<Self> {
        let mut reader = Reader::new(client, version, inventory).await?;
        // One line per object type.
        schema::read(&mut reader).await?;
        language::read(&mut reader).await?;
        collation::read(&mut reader).await?;
        extension::read(&mut reader).await?;
        types::read(&mut reader).await?;
        cast::read(&mut reader).await?;
        function::read(&mut reader).await?;
        aggregate::read(&mut reader).await?;
        access_method::read(&mut reader).await?;
        operator::read(&mut reader).await?;
        operator_class::read(&mut reader).await?;
        conversion::read(&mut reader).await?;
        text_search::read(&mut reader).await?;
        transform::read(&mut reader).await?;
        foreign_data_wrapper::read(&mut reader).await?;
        foreign_server::read(&mut reader).await?;
        user_mapping::read(&mut reader).await?;
        table::read(&mut reader).await?;
        sequence::read(&mut reader).await?;
        view::read(&mut reader).await?;
        materialized_view::read(&mut reader).await?;
        default::read(&mut reader).await?;
        index::read(&mut reader).await?;
        statistics::read(&mut reader).await?;
        rule::read(&mut reader).await?;
        trigger::read(&mut reader).await?;
        foreign_key::read(&mut reader).await?;
        policy::read(&mut reader).await?;
        publication::read(&mut reader).await?;
        subscription::read(&mut reader).await?;
        system_acl::read(&mut reader).await?;
        default_acl::read(&mut reader).await?;
        event_trigger::read(&mut reader).await?;
        uncovered::check(&reader).await?;
        reader.finish().await
    }
}

impl Catalog {
    /// The same without rows and values of sequences.
    pub(crate) fn without_data(self) -> Self {
        Self { tables: Vec::new(), sequences: Vec::new(), left_out: Vec::new(), ..self }
    }
}

/// The error where the server no longer knows what its catalogs have as of the instant: what was asked for as SQL is not there.
fn dropped(label: &str) -> Error {
    Error::failed(format!("failed to read the {label}: it was dropped meanwhile")).with_hint("run the backup again")
}

/// How many objects a message names.
const NAMED: usize = 5;

/// The first few of `count` names, and how many more there are.
pub(crate) fn few(names: &[String], count: usize) -> String {
    let named = names.get(..NAMED).unwrap_or(names);
    let more = if count > named.len() { format!(" and {} more", count - named.len()) } else { String::new() };
    format!("{}{more}", named.join(", "))
}
