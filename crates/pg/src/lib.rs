//! PostgreSQL dumped and restored over the wire: no client programs, any cluster, proof of every restore.

mod acl;
mod catalog;
mod check_sql;
mod cluster;
mod compare;
pub mod config;
mod connect;
mod copy;
mod counts;
mod data_directory;
mod definition;
mod digest;
mod dump;
pub mod external;
mod external_cluster;
pub mod extract;
pub mod facts;
pub mod globals;
mod graph;
mod inventory;
mod large_object;
mod large_objects;
mod lock;
pub mod object;
mod origin;
mod pg_error;
mod plan;
mod pool;
pub mod quote;
mod raw_text;
pub mod restore;
pub mod scratch;
pub mod script;
mod single;
mod snapshot;
mod tls;
mod version;

pub use check_sql::{Table, check_sql};
pub use cluster::{Cluster, ClusterOptions};
pub use config::Config;
pub use connect::{Canceller, Purpose, Session, connect, pin};
pub use data_directory::data_directory;
pub use definition::{Definition, definition, header};
pub use digest::{Rows, Sum};
pub use dump::{RANGE, dump};
pub use external_cluster::{ExternalCluster, needs_external};
pub use globals::DatabaseRecord;
pub use pg_error::pg_error;
pub use scratch::{Scratch, ServerShape};
pub use single::single;
pub use snapshot::{Database, Options};
pub use version::{NATIVE, Version};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
