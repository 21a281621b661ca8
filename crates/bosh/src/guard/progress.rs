//! Whether a run gets on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what a run gets done: bytes that have come, services that were looked at. Clones count together.
///
/// A lease is renewed by this and not by being alive, so that a run that hangs loses it.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Something was done.
    pub fn made(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How much was done so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
