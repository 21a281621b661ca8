//! Notices on their way to people: webhooks, pings, pagers.
//!
//! [`Telling`] is a [`Listener`] that sends in the background. A receiver that is away, slow or hostile delays no run and
//! fails none.

mod address;
mod client;
mod outbox;
mod pagerduty;
mod ping;
mod webhook;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::Result;
use tokio::task::JoinSet;

use crate::notice::{Level, Listener, Notice, What};

pub use address::Address;
pub use client::Client;
use outbox::Outbox;
pub use pagerduty::PagerDuty;
pub use ping::Ping;
pub use webhook::{Form, Webhook};

/// The most that is told in one message, in characters.
const LONGEST: usize = 4096;

/// A way to tell people. [`Display`](fmt::Display) names it in logs, without secrets.
#[async_trait]
pub trait Channel: fmt::Debug + fmt::Display + Send + Sync {
    /// Whether it tells such a notice at all.
    fn wants(&self, notice: &Notice) -> bool;

    /// Tells it once. An error says that it was not told, and it will be tried again. Ends by itself within some seconds.
    async fn tell(&self, notice: &Notice) -> Result<()>;
}

/// Which notices a channel is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wants {
    /// Failures, runs that did not happen or are late, and recoveries.
    #[default]
    Troubles,
    /// The start of the service and every success too.
    Successes,
    /// Everything: also that a run begins, and that there was nothing to do.
    All,
}

impl Wants {
    /// Whether `notice` is among them.
    pub fn wants(self, notice: &Notice) -> bool {
        match notice.what {
            What::Begun | What::Idle { .. } => self == Self::All,
            What::Started { .. } => self != Self::Troubles,
            What::Succeeded { .. } => self != Self::Troubles || notice.is_recovery(),
            _ => true,
        }
    }
}

/// How patient a [`Telling`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How many notices wait for one channel at most. Beyond that the oldest of the least grave ones is dropped.
    pub queue: usize,
    /// How long a notice is tried to be told, from when it is heard.
    pub total: Duration,
    /// How long after a failure it is tried again; twice as long after each further one, with some chance added.
    pub first: Duration,
    /// How long it waits between two attempts at most.
    pub longest: Duration,
}

impl Default for Patience {
    /// 100 notices; an hour each; a second after the first failure, 5 minutes at most.
    fn default() -> Self {
        Self {
            queue: 100,
            total: Duration::from_secs(60 * 60),
            first: Duration::from_secs(1),
            longest: Duration::from_secs(5 * 60),
        }
    }
}

/// Tells channels what it hears. Each channel has a queue and a task of its own; in a queue the order is kept.
#[derive(Debug)]
pub struct Telling {
    outboxes: Vec<Arc<Outbox>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Telling {
    /// Begins to tell `channels`. Dropped without [`finish`](Self::finish), it forgets what is queued.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn new(channels: impl IntoIterator<Item = Arc<dyn Channel>>, patience: Patience) -> Self {
        let outboxes: Vec<_> = channels.into_iter().map(|channel| Arc::new(Outbox::new(channel, patience))).collect();
        let tasks = outboxes.iter().cloned().map(Outbox::work).collect();
        Self { outboxes, tasks: Mutex::new(tasks) }
    }

    /// Ends it: what is queued is tried once more at once, and again each second, until `grace` is over. What is not told by
    /// then is logged.
    pub async fn finish(&self, grace: Duration) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        self.outboxes.iter().for_each(|outbox| outbox.close());
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_err() {
            self.outboxes.iter().for_each(|outbox| outbox.cut());
            while tasks.join_next().await.is_some() {}
        }
    }
}

impl Listener for Telling {
    fn on(&self, notice: &Notice) {
        for outbox in &self.outboxes {
            outbox.put(notice);
        }
    }
}

/// A notice as one line for people, with what to do about it, of `longest` characters at most.
fn text(notice: &Notice, longest: usize) -> String {
    let mut text = notice.to_string();
    if let What::Failed { hint: Some(hint), .. } = &notice.what {
        text = format!("{text} ({hint})");
    }
    let mut short: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(longest).collect();
    if text.chars().nth(longest).is_some() {
        short.pop();
        short.push('…');
    }
    short
}

/// Whether it is grave enough for somebody's sleep.
fn is_error(notice: &Notice) -> bool {
    notice.level() == Level::Error
}
