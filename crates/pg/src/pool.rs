//! Connections that share one instant, each used by one reader at a time.

use std::sync::{Arc, Mutex, PoisonError};

use backup_core::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::Client;

use crate::connect::Session;

/// Connections that have joined one snapshot.
#[derive(Debug)]
pub(crate) struct Pool {
    free: Mutex<Vec<Session>>,
    turns: Arc<Semaphore>,
    width: usize,
}

/// A connection that is being read from. Dropped without [`give_back`](Lease::give_back) it is closed: what is left of a
/// COPY is not drained.
#[derive(Debug)]
pub(crate) struct Lease {
    session: Session,
    pool: Arc<Pool>,
    _turn: OwnedSemaphorePermit,
}

impl Pool {
    pub(crate) fn new(sessions: Vec<Session>) -> Arc<Self> {
        let width = sessions.len();
        Arc::new(Self { free: Mutex::new(sessions), turns: Arc::new(Semaphore::new(width)), width })
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Waits for a free connection. Fails if all that were left have been closed by readers that broke off.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Lease> {
        let lost = || Error::failed("no connection of the snapshot is left: readers broke off");
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| lost())?;
        let session = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop().ok_or_else(lost)?;
        Ok(Lease { session, pool: Arc::clone(self), _turn: turn })
    }
}

impl Lease {
    pub(crate) fn client(&self) -> &Client {
        &self.session.client
    }

    /// The connection is as it was and can be used again.
    pub(crate) fn give_back(self) {
        let Self { session, pool, _turn } = self;
        pool.free.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }
}
