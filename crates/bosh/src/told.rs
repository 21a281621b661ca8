//! What happens in a run, passed on, written into its log, and counted as progress.

use std::sync::Arc;

use backup_core::{Event, Monitor};

use crate::{Log, Progress};

/// Tells `whom` and the log, and counts whatever happens.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) whom: Arc<dyn Monitor>,
    pub(crate) log: Arc<Log>,
    pub(crate) progress: Progress,
}

impl Monitor for Told {
    fn on(&self, event: Event<'_>) {
        self.progress.made();
        self.log.on(event);
        self.whom.on(event);
    }
}
