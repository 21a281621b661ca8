//! What time it is, and waiting until it is later.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// Tells the time. A service asks nobody else, so that a test can move it.
#[async_trait]
pub trait Clock: Debug + Send + Sync {
    /// What time it is.
    fn now(&self) -> Timestamp;

    /// Returns once [`now`](Self::now) is `until` or later, also if that comes about by a step of the clock or while the
    /// machine slept; earlier if the clock is set back meanwhile. Cancel-safe.
    async fn sleep_until(&self, until: Timestamp);
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// How long one sleep lasts at most: a timer does not see that the clock was set or that the machine slept.
const NAP: Duration = Duration::from_secs(20);

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep_until(&self, until: Timestamp) {
        let mut before = Timestamp::MIN;
        loop {
            let now = self.now();
            let left = until.duration_since(now);
            if !left.is_positive() || now < before {
                return;
            }
            before = now;
            tokio::time::sleep(left.unsigned_abs().min(NAP)).await;
        }
    }
}
