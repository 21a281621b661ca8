//! Bytes that pass, of all transfers of a sync together: told, and held up where they are too fast.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backup_core::{Context, Event, Name};
use tokio::time::Instant;

/// A limit in bytes per second, or none.
#[derive(Debug)]
pub(super) struct Pace {
    cx: Context,
    part: Option<Name>,
    rate: Option<u64>,
    /// When the bytes that were taken so far may all have passed.
    free: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn new(cx: Context, rate: Option<u64>) -> Self {
        Self { cx, part: "sync".parse().ok(), rate: rate.filter(|rate| *rate > 0), free: Mutex::new(None) }
    }

    /// Waits until `bytes` more may pass.
    pub(super) async fn take(&self, bytes: usize) {
        if let Some(part) = &self.part {
            self.cx.tell(Event::Progress { part, bytes: bytes as u64 });
        }
        let Some(rate) = self.rate else { return };
        let lasts = Duration::from_secs_f64(bytes as f64 / rate as f64);
        let now = Instant::now();
        let until = {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            let from = free.map_or(now, |free| free.max(now));
            *free.insert(from + lasts)
        };
        tokio::time::sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_together_are_no_faster_than_the_limit() {
        let (pace, begin) = (Pace::new(Context::default(), Some(1000)), Instant::now());
        let one = async {
            for _ in 0..10 {
                pace.take(500).await;
            }
        };
        tokio::join!(one, async { pace.take(5000).await });
        assert_eq!(begin.elapsed().as_secs(), 10);
        Pace::new(Context::default(), None).take(usize::MAX).await;
        assert_eq!(begin.elapsed().as_secs(), 10);
    }
}
