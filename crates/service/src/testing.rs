//! A clock that a test moves, and a listener that remembers.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use crate::{Clock, Listener, Notice};

/// A clock that stands still until it is moved, forward or back.
#[derive(Debug)]
pub struct MovedClock(watch::Sender<Timestamp>);

impl MovedClock {
    /// One that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(watch::Sender::new(now))
    }

    /// Sets it.
    pub fn set(&self, now: Timestamp) {
        self.0.send_replace(now);
    }

    /// Moves it by `by`; stays where it is if time would end.
    pub fn forward(&self, by: SignedDuration) {
        self.0.send_modify(|now| *now = now.saturating_add(by).unwrap_or(*now));
    }
}

#[async_trait]
impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    async fn sleep_until(&self, until: Timestamp) {
        let mut before = Timestamp::MIN;
        let mut is_over = |now: &Timestamp| *now >= until || *now < std::mem::replace(&mut before, *now);
        // Fails only without a sender, and that is `self`.
        let _ = self.0.subscribe().wait_for(|now| is_over(now)).await;
    }
}

/// Remembers each notice as the line that it is.
#[derive(Debug, Default)]
pub struct Remembered(Mutex<Vec<String>>);

impl Remembered {
    /// The lines so far, which are forgotten.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Listener for Remembered {
    fn on(&self, notice: &Notice) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(notice.to_string());
    }
}
