//! MongoDB: read over the wire as mongodump has it.
//!
//! [`Deployment`] is a deployment, or one database of it, as a source of `backup-core`. Its parts are the files of mongodump's
//! folder, byte for byte: `DB/COLL.bson`, `DB/COLL.metadata.json`, `prelude.json` and `oplog.bson`. Documents pass undecoded; they are
//! counted and hashed on the way ([`PartFacts`]). Nothing is ever written to the server that is read.
//!
//! [`Restore`] is a server into which a backup comes back; [`heal`] looks for collections that are lost, and brings those back alone.

pub mod archive;
pub mod archive_dump;
pub mod bson_check;
mod catalog;
mod config;
mod connect;
mod cursor;
mod deployment;
mod described;
pub mod diagnose;
mod digest;
pub mod documents;
pub mod dump;
mod dump_archive;
mod dump_at;
mod dump_files;
mod dump_tar;
pub mod extended_json;
mod extjson;
mod facts;
pub mod folder_dump;
pub mod heal;
pub mod layout;
mod metadata;
mod mongo_error;
mod oplog;
mod oplog_entry;
mod oplog_share;
mod pace;
mod plan;
mod ranges;
pub mod restore;
mod scratch;
mod secret;
pub mod stored_name;
pub mod tar;
pub mod tar_dump;
mod target;
mod tls;

pub use config::Config;
pub use connect::{Server, Shape, connect};
pub use deployment::{Deployment, Options};
pub use described::Described;
pub use digest::{Counted, Sum};
pub use dump_archive::dump_archive;
pub use dump_at::dump_at;
pub use dump_tar::dump_tar;
pub use extjson::to_json;
pub use facts::{CollectionType, Content, Instant, PartFacts, Window};
pub use mongo_error::mongo_error;
pub use scratch::Scratch;
pub use secret::Secret;
pub use target::Restore;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
