//! What every long operation is handed: whom to tell, when to stop, what to wait for at the end.

use std::future::Future;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{Error, Event, Monitor, Result, Silent};

/// Whom to tell, when to stop, and what to wait for. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct Context {
    /// Told what happens.
    pub monitor: Arc<dyn Monitor>,
    /// Cancelled when the run shall stop. What was paused is brought back all the same.
    pub cancel: CancellationToken,
    /// Holds what must not be cut: a program awaits it before it exits.
    pub tasks: TaskTracker,
    /// Has a token while something is stopped or being brought back: no signal that asks ends a program then.
    pub brackets: TaskTracker,
}

impl Context {
    /// A context that tells `monitor`.
    pub fn new(monitor: Arc<dyn Monitor>) -> Self {
        Self { monitor, cancel: CancellationToken::new(), tasks: TaskTracker::new(), brackets: TaskTracker::new() }
    }

    /// Tells the monitor.
    pub fn tell(&self, event: Event<'_>) {
        self.monitor.on(event);
    }

    /// Runs `work` until it ends or the run is cancelled; then `work` is dropped and the error is [`Kind::Cancelled`](crate::Kind::Cancelled).
    pub async fn unless_cancelled<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::cancelled()),
            done = work => done,
        }
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new(Arc::new(Silent))
    }
}
