//! Pings a watcher that raises the alarm when pings stay away, as healthchecks.io does.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::{Name, Result};

use crate::notice::{Notice, What};
use crate::tell::{Address, Channel, Client, LONGEST, text};

/// A URL for one job: itself is asked for after a success (or if there was nothing to do), `…/start` when a run begins,
/// `…/fail` after a failure and when a run did not happen. That a run is late is left to the watcher to find.
#[derive(Debug, Clone)]
pub struct Ping {
    client: Arc<Client>,
    job: Name,
    done: Address,
    start: Address,
    fail: Address,
    says: bool,
}

impl Ping {
    /// Pings `address` for `job`, by GET.
    pub fn new(client: Arc<Client>, job: Name, address: Address) -> Result<Self> {
        let (start, fail) = (address.under("/start")?, address.under("/fail")?);
        Ok(Self { client, job, done: address, start, fail, says: false })
    }

    /// Says what happened too, by POST, as one line of text.
    pub fn with_message(mut self) -> Self {
        self.says = true;
        self
    }

    fn address(&self, notice: &Notice) -> Option<&Address> {
        match notice.what {
            What::Begun => Some(&self.start),
            What::Succeeded { .. } | What::Idle { .. } => Some(&self.done),
            What::Failed { .. } | What::Missed { .. } => Some(&self.fail),
            What::Started { .. } | What::Late { .. } => None,
        }
    }
}

#[async_trait]
impl Channel for Ping {
    fn wants(&self, notice: &Notice) -> bool {
        notice.job == self.job && self.address(notice).is_some()
    }

    async fn tell(&self, notice: &Notice) -> Result<()> {
        match self.address(notice) {
            None => Ok(()),
            Some(address) if self.says => self.client.post(address, "text/plain; charset=utf-8", text(notice, LONGEST)).await,
            Some(address) => self.client.get(address).await,
        }
    }
}

impl fmt::Display for Ping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ping {}", self.done)
    }
}
