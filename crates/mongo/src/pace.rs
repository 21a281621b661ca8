//! How much of a deployment is in memory at once: of what is large one at a time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What takes more bytes of memory is large, with all copies of it that the driver has for a moment.
const LARGE: u64 = 4 << 20;
/// A reply is read into one place, and taken apart into another. By itself a server sends up to 16 MiB.
const REPLY: u64 = 2;

/// With it all that reads a deployment, or writes to it, takes turns where that is large.
#[derive(Debug, Clone)]
pub(crate) struct Pace(Arc<Semaphore>);

/// The replies of one cursor.
#[derive(Debug)]
pub(crate) struct Replies {
    pace: Pace,
    /// The bytes of the largest so far; before there was one, of the documents that are asked for.
    largest: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Pace {
    /// Those of a cursor whose first one is expected to have so many bytes.
    pub(crate) fn replies(&self, expected: u64) -> Replies {
        Replies { pace: self.clone(), largest: expected }
    }

    /// Waits until what takes so many bytes of memory may come, if that is much. It is kept until they are gone.
    pub(crate) async fn turn(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        match bytes > LARGE {
            // The semaphore is never closed.
            true => Arc::clone(&self.0).acquire_owned().await.ok(),
            false => None,
        }
    }
}

impl Replies {
    /// Waits until the next may come. It is kept until its bytes have gone on.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.pace.turn(self.largest.saturating_mul(REPLY)).await
    }

    /// One of so many bytes came.
    pub(crate) fn came(&mut self, bytes: usize) {
        self.largest = self.largest.max(bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_replies_come_one_after_the_other_and_others_as_they_like() {
        let pace = Pace::default();
        let (mut small, large) = (pace.replies(1 << 20), pace.replies(16 << 20));
        let turn = large.turn().await;
        assert!(turn.is_some() && small.turn().await.is_none());
        small.came(5 << 20);
        small.came(1);
        let waits = small.turn();
        tokio::pin!(waits);
        assert!(futures_util::poll!(waits.as_mut()).is_pending(), "it was large once");
        drop(turn);
        assert!(waits.await.is_some());
    }
}
