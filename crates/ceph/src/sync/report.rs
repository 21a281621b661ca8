//! What a sync tells while it runs, and counts.

use std::sync::{Mutex, MutexGuard, PoisonError};

use backup_core::{Context, Error, Event};

/// What a sync did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Objects or files of the source.
    pub source: u64,
    /// Their size in bytes.
    pub source_bytes: u64,
    /// How many were copied, or would have been.
    pub copied: u64,
    /// Their size in bytes.
    pub copied_bytes: u64,
    /// How many of them came with no digest that tells their content: length and connection alone.
    pub unverified: u64,
    /// How many were there already.
    pub same: u64,
    /// How many were deleted, or would have been.
    pub deleted: u64,
    /// How many the source does not have that were left, since this sync did not write them or they were changed since.
    pub foreign: u64,
    /// How many could not be copied or deleted. Each was told.
    pub failed: u64,
}

/// Tells and counts.
#[derive(Debug)]
pub(super) struct Report {
    cx: Context,
    summary: Mutex<Summary>,
}

impl Report {
    pub(super) fn new(cx: Context) -> Self {
        Self { cx, summary: Mutex::default() }
    }

    pub(super) fn context(&self) -> &Context {
        &self.cx
    }

    pub(super) fn count(&self) -> MutexGuard<'_, Summary> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn summary(&self) -> Summary {
        self.count().clone()
    }

    pub(super) fn warn(&self, what: &str) {
        self.cx.tell(Event::Warning { what });
    }

    /// Tells what could not be done, and counts it.
    pub(super) fn failed(&self, error: &Error) {
        self.count().failed += 1;
        let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        self.warn(&format!("{}{hint}", error.chain()));
    }
}
