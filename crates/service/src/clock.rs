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
        sleep_by(Timestamp::now, until).await;
    }
}

/// Sleeps until `now` says `until`, or an earlier time than before.
async fn sleep_by(now: impl Fn() -> Timestamp + Send, until: Timestamp) {
    let mut before = Timestamp::MIN;
    loop {
        let now = now();
        let left = until.duration_since(now);
        if !left.is_positive() || now < before {
            return;
        }
        before = now;
        tokio::time::sleep(left.unsigned_abs().min(NAP)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use jiff::SignedDuration;
    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    /// How long it sleeps for an hour if the clock is set by `by` after 5 seconds, and stands still else.
    async fn slept(by: SignedDuration) -> Option<Duration> {
        let start = Timestamp::UNIX_EPOCH;
        let shown = Mutex::new(start);
        let set = async {
            sleep(Duration::from_secs(5)).await;
            *shown.lock().expect("a time") += by;
        };
        let begun = Instant::now();
        let both = async { tokio::join!(sleep_by(|| *shown.lock().expect("a time"), start + HOUR), set) };
        timeout(Duration::from_secs(7200), both).await.ok().map(|_| begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_of_the_clock_is_seen_within_a_nap() {
        for step in [HOUR, HOUR * 24, -HOUR, SignedDuration::from_millis(-1)] {
            let slept = slept(step).await;
            assert!(slept.is_some_and(|slept| slept <= NAP), "{step}: {slept:?}");
        }
        // It goes by the clock, and not by how long it has slept.
        assert_eq!(slept(HOUR - SignedDuration::from_secs(1)).await, None);
    }
}
