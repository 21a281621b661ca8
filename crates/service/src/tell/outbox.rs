//! What waits to be told over one channel, and the task that tells it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::notice::Notice;
use crate::tell::{Channel, LONGEST, Patience, text};

/// How long it waits between two attempts at most once the service ends.
const HURRY: Duration = Duration::from_secs(1);

/// A bounded queue before a channel.
#[derive(Debug)]
pub(crate) struct Outbox {
    channel: Arc<dyn Channel>,
    patience: Patience,
    queue: Mutex<VecDeque<(Notice, Instant)>>,
    more: Notify,
    /// Nothing more comes; hurry.
    closing: CancellationToken,
    /// The time is up.
    cut: CancellationToken,
}

impl Outbox {
    pub(crate) fn new(channel: Arc<dyn Channel>, patience: Patience) -> Self {
        let (closing, cut) = (CancellationToken::new(), CancellationToken::new());
        Self { channel, patience, queue: Mutex::default(), more: Notify::new(), closing, cut }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<(Notice, Instant)>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self, notice: &Notice, why: &str) {
        let channel = &self.channel;
        tracing::warn!(%channel, level = %notice.level(), "not told, as {why}: {}", text(notice, LONGEST));
    }

    /// Queues a notice that the channel wants. Returns at once.
    pub(crate) fn put(&self, notice: &Notice) {
        if !self.channel.wants(notice) {
            return;
        }
        let dropped = {
            let mut queue = self.queue();
            if self.closing.is_cancelled() {
                drop(queue);
                return self.lost(notice, "the service has ended");
            }
            queue.push_back((notice.clone(), Instant::now()));
            // The first of the least grave ones, which may be the one that has just come.
            let least = queue.iter().enumerate().min_by_key(|(_, (notice, _))| notice.level()).map(|(nth, _)| nth);
            least.filter(|_| queue.len() > self.patience.queue.max(1)).and_then(|nth| queue.remove(nth))
        };
        if let Some((dropped, _)) = dropped {
            self.lost(&dropped, "too many wait");
        }
        self.more.notify_one();
    }

    /// Lets the task end once the queue is empty.
    pub(crate) fn close(&self) {
        // Under the lock, so that the task sees whatever was queued before.
        let _queue = self.queue();
        self.closing.cancel();
    }

    /// Ends the task now.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }

    /// Tells one after the other until it is closed and empty, or cut.
    pub(crate) async fn work(self: Arc<Self>) {
        loop {
            let (next, is_closing) = {
                let mut queue = self.queue();
                (queue.pop_front(), self.closing.is_cancelled())
            };
            match next {
                Some((notice, heard)) => tokio::select! {
                    biased;
                    () = self.cut.cancelled() => self.lost(&notice, "the service ends"),
                    () = self.tell(&notice, heard) => {}
                },
                None if is_closing => return,
                None => tokio::select! {
                    () = self.more.notified() => {}
                    () = self.closing.cancelled() => {}
                },
            }
        }
    }

    /// Tells one notice, again and again until it is told or its time is over.
    async fn tell(&self, notice: &Notice, heard: Instant) {
        let waits = ExponentialBuilder::new()
            .with_min_delay(self.patience.first)
            .with_max_delay(self.patience.longest)
            .with_jitter()
            .without_max_times();
        let closing = self.closing.clone();
        let channel = &self.channel;
        let telling = (|| self.channel.tell(notice))
            .retry(waits)
            .sleep(move |wait| nap(closing.clone(), wait))
            .notify(|error, wait| tracing::warn!(%channel, "{}{}; again in {wait:.1?}", error.chain(), hint(error)));
        match tokio::time::timeout_at(heard + self.patience.total, telling).await {
            Ok(Ok(())) => tracing::debug!(%channel, level = %notice.level(), "told"),
            Ok(Err(error)) => self.lost(notice, &error.chain()),
            Err(_) => self.lost(notice, "its time is over"),
        }
    }
}

fn hint(error: &backup_core::Error) -> String {
    error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default()
}

/// Waits, and hurries once the service ends.
async fn nap(closing: CancellationToken, wait: Duration) {
    if closing.is_cancelled() {
        return tokio::time::sleep(wait.min(HURRY)).await;
    }
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        () = closing.cancelled() => {}
    }
}
