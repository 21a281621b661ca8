//! Backups that end whole or do not exist.
//!
//! The three promises, each kept in one place:
//!
//! 1. **End of file means whole** ([`body`]): bytes that break off end with an error, and keep failing.
//! 2. **Visible means whole** ([`Sink`]): an object appears once all of it is stored, or never.
//! 3. **Listed means whole** ([`Repository`]): a backup exists once its manifest, written last, exists.
//!
//! This crate knows no database, no cloud and no command line; it prints nothing, reads no environment
//! variable and handles no signal.

pub mod body;
mod context;
mod digest;
mod error;
mod id;
pub mod journal;
mod lifecycle;
pub mod manifest;
mod monitor;
mod name;
mod paused;
pub mod process;
mod prune;
mod record;
mod recover;
mod repository;
mod retention;
mod sink;
mod source;
pub mod testing_lifecycle;

pub use body::Body;
pub use context::Context;
pub use digest::{Sha256, Tally, Tallying};
pub use error::{BoxError, Doing, Error, Kind, Result};
pub use id::BackupId;
pub use journal::{Journal, OnFailure};
pub use lifecycle::{Lifecycle, Unit};
pub use manifest::Manifest;
pub use monitor::{Event, Monitor, Recorder, Silent};
pub use name::{Key, Name};
pub use paused::paused;
pub use prune::prune;
pub use record::{Record, Records, State};
pub use recover::{recover, resume};
pub use repository::{Draft, Repository, Stored};
pub use retention::{Keep, Period, Reason, Verdict, judge};
pub use sink::{Depth, Entry, Put, Sink};
pub use source::{Checked, Difference, Facts, Origin, Part, Reading, Restored, Snapshot, Source, Target};
