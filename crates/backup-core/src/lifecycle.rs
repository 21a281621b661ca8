//! What must be stopped before a source can be read, and brought back after.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Something that runs and can be stopped: a monit job, a container, a deployment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unit(pub String);

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Stops and starts what stands in the way of a consistent copy.
///
/// Called by [`paused`](crate::paused()), which writes down what runs before it stops anything, and by
/// [`recover`](crate::recover()) and [`resume`](crate::resume()) after it. Any of its futures may be dropped at any point.
///
/// The contract is a function that every lifecycle passes:
/// [`testing_lifecycle::lifecycle_contract`](crate::testing_lifecycle::lifecycle_contract).
#[async_trait]
pub trait Lifecycle: fmt::Debug + Send + Sync {
    /// Names what runs now, in start order. Changes nothing.
    async fn running(&self) -> Result<Vec<Unit>>;

    /// Stops `units` and waits until they have stopped.
    async fn pause(&self, units: &[Unit]) -> Result<()>;

    /// After the work, before the resume: fails if anyone (a guard, a restart policy) started a unit meanwhile.
    async fn held(&self, units: &[Unit]) -> Result<()>;

    /// Starts `units` and waits until they run. Follows every pause, also a half-failed one, maybe in another process,
    /// from any state. Idempotent. Starts nothing else. A unit that is not there is an error, never passed over.
    ///
    /// A unit that was told to stop and is not down yet does not run: it is waited for and started again. Whoever told it may
    /// have been killed right after.
    async fn resume(&self, units: &[Unit]) -> Result<()>;

    /// What a guard on the spot would run to resume, if there can be one.
    fn resume_script(&self, _units: &[Unit]) -> Option<String> {
        None
    }
}
