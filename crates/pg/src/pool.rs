//! Connections that share one instant, each used by one reader at a time.

use std::sync::{Arc, Mutex, PoisonError};

use backup_core::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::Client;

use crate::connect::Session;

/// Connections that have joined one snapshot.
#[derive(Debug)]
pub(crate) struct Pool {
    free: Mutex<Free>,
    /// A turn for each connection that is left.
    turns: Arc<Semaphore>,
}

#[derive(Debug)]
struct Free {
    sessions: Vec<Session>,
    /// How many connections are left, those that are being read from included.
    left: usize,
}

/// A connection that is being read from. Dropped without [`give_back`](Lease::give_back) it is closed: what is left of a
/// COPY is not drained.
#[derive(Debug)]
pub(crate) struct Lease {
    /// Both until it is given back.
    session: Option<Session>,
    turn: Option<OwnedSemaphorePermit>,
    pool: Arc<Pool>,
}

impl Pool {
    pub(crate) fn new(sessions: Vec<Session>) -> Arc<Self> {
        let left = sessions.len();
        Arc::new(Self { free: Mutex::new(Free { sessions, left }), turns: Arc::new(Semaphore::new(left)) })
    }

    /// Waits for a free connection. Fails if all have been closed by readers that broke off.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Lease> {
        let lost = || Error::failed("no connection of the snapshot is left: readers broke off");
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| lost())?;
        let session = self.free().sessions.pop().ok_or_else(lost)?;
        Ok(Lease { session: Some(session), turn: Some(turn), pool: Arc::clone(self) })
    }

    /// Takes leave of the server on every connection that is not being read from.
    pub(crate) async fn close(&self) {
        self.turns.close();
        let sessions = std::mem::take(&mut self.free().sessions);
        for session in sessions {
            session.close().await;
        }
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    pub(crate) fn client(&self) -> &Client {
        &self.session.as_ref().expect("it is there until it is given back").client
    }

    /// The connection is used for something else from now on.
    pub(crate) fn keep(mut self) -> Session {
        self.session.take().expect("it is there until it is given back")
    }

    /// The connection is as it was and can be used again.
    pub(crate) fn give_back(mut self) {
        self.pool.free().sessions.extend(self.session.take());
        // After the connection is there for whose turn it is then.
        drop(self.turn.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(turn) = self.turn.take() else { return };
        turn.forget();
        let mut free = self.pool.free();
        free.left -= 1;
        if free.left == 0 {
            self.pool.turns.close();
        }
    }
}
