//! PostgreSQL dumped and restored over the wire: no client programs, any cluster, proof of every restore.

mod acl;
mod catalog;
pub mod config;
mod definition;
mod graph;
pub mod object;
pub mod quote;
pub mod script;
mod version;

pub use config::Config;
pub use definition::{Definition, definition, header};
pub use version::Version;
