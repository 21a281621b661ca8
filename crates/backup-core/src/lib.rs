//! Backups that end whole or do not exist.
//!
//! The three promises, each kept in one place:
//!
//! 1. **End of file means whole** ([`body`]): bytes that break off end with an error, and keep failing.
//! 2. **Visible means whole** ([`Sink`]): an object appears once all of it is stored, or never.
//! 3. **Listed means whole** ([`Repository`]): a backup exists once its manifest, written last, exists.
//!
//! ```
//! use std::sync::Arc;
//!
//! use backup_core::testing::FakeSource;
//! use backup_core::{Context, Memory, Name, Options, Plain, Repository, Result, backup, verify};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let cx = Context::default();
//! let repo = Plain::new(Arc::new(Memory::default()), "example 1.0");
//! let job: Name = "fake".parse()?;
//!
//! let sources = async { Ok([Box::new(FakeSource::with_parts(3))]) };
//! let manifest = backup(&cx, &repo, &job, sources, Options::default()).await?;
//! let bytes = verify(&cx, &repo, &job, manifest.id, true).await?;
//!
//! let records = repo.records(&job).await?;
//! assert_eq!((records[0].id, records[0].size), (manifest.id, Some(bytes)));
//! assert!(records[0].verified.is_some());
//! # Ok(())
//! # }
//! ```
//!
//! This crate knows no database, no cloud and no command line; it prints nothing, reads no environment
//! variable and handles no signal.

mod attempt;
pub mod body;
mod checked;
mod compression;
mod context;
mod digest;
mod directory;
mod draft;
mod error;
mod folder;
mod frames;
mod id;
pub mod journal;
mod keys;
mod layout;
mod lifecycle;
mod lines;
mod look;
pub mod manifest;
mod memory;
mod monitor;
mod name;
mod own_digest;
mod paused;
mod plain;
pub mod process;
mod prove;
mod prune;
mod read_lock;
mod record;
mod recover;
mod repository;
mod restore;
mod retention;
pub mod scratch;
mod seal;
mod sink;
pub mod sorted;
mod source;
mod stored;
mod sums;
mod take;
pub mod testing;
pub mod testing_lifecycle;
mod verify;
mod which;

pub use body::Body;
pub use compression::Compression;
pub use context::Context;
pub use digest::{Sha256, Tally, Tallying};
pub use directory::Directory;
pub use error::{BoxError, Doing, Error, Kind, Result};
pub use id::BackupId;
pub use journal::{Journal, OnFailure};
pub use keys::{Identity, Passphrase, Recipient};
pub use lifecycle::{Lifecycle, Unit};
pub use manifest::Manifest;
pub use memory::Memory;
pub use monitor::{Event, Monitor, Recorder, Silent};
pub use name::{Key, Name};
pub use paused::paused;
pub use plain::Plain;
pub use prove::prove;
pub use prune::prune;
pub use read_lock::ReadLock;
pub use record::{Record, Records, State};
pub use recover::{recover, resume};
pub use repository::{Draft, Repository, Stored};
pub use restore::restore;
pub use retention::{Keep, Period, Reason, Verdict, judge};
pub use seal::{Seal, Unseal};
pub use sink::{Depth, Entry, Put, Sink};
pub use source::{Checked, Difference, Facts, Origin, Part, Reading, Restored, Snapshot, Source, Target};
pub use take::{Options, backup, same_source, take};
pub use verify::verify;
pub use which::{Which, which};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
