//! PostgreSQL dumped and restored over the wire: no client programs, any cluster, proof of every restore.

#[expect(dead_code, reason = "the readers of catalogs use it one after the other")]
mod acl;
mod catalog;
pub mod config;
mod connect;
mod definition;
pub mod external;
pub mod extract;
pub mod globals;
mod graph;
pub mod object;
mod pg_error;
pub mod quote;
pub mod scratch;
pub mod script;
mod tls;
mod version;

pub use config::Config;
pub use connect::{Canceller, Purpose, Session, connect, pin};
pub use definition::{Definition, definition, header};
pub use pg_error::pg_error;
pub use scratch::{Scratch, ServerShape};
pub use version::Version;
