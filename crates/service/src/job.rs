//! What is done, and when.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::{Context, Name, Result};
use jiff::{SignedDuration, Timestamp};

use crate::Schedule;

/// What a job does.
#[async_trait]
pub trait Work: Debug + Send + Sync {
    /// Does it once. An error of [`Kind::Busy`](backup_core::Kind::Busy) says that another process does it already.
    ///
    /// It ends soon when `cx` is cancelled, and leaves nothing half made however it ends.
    async fn run(&self, cx: &Context, why: Why) -> Result<Outcome>;

    /// Whether what it does is a proof: once it is [done](Outcome::Done), a backup was restored and compared.
    fn is_proof(&self) -> bool {
        false
    }
}

/// Why a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is due since this time.
    Due(Timestamp),
    /// The service has started.
    Start,
    /// The last run has failed a short while ago.
    Again,
    /// Somebody has asked for it.
    Asked,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It has done what it should.
    Done {
        /// What, in one line.
        line: String,
        /// How many bytes it stored, if it stored any.
        bytes: Option<u64>,
    },
    /// There was nothing to do, and why.
    Idle(String),
}

/// Something that is done again and again.
#[derive(Debug, Clone)]
pub struct Job {
    /// What it is called; each job of a service has another name.
    pub name: Name,
    /// When it is due.
    pub schedule: Schedule,
    /// Whether it is due when the service starts too.
    pub at_start: bool,
    /// By how much a run is put off at most, at random, so that many services do not begin in the same second.
    pub jitter: SignedDuration,
    /// How long after it was due a run that has not ended counts as late.
    pub late: SignedDuration,
    /// How often it is tried again after a failure before it is due again: after 5 minutes, then 10, then 20, and so on.
    pub retries: u32,
    /// What is done.
    pub work: Arc<dyn Work>,
}
