//! Triggers an incident at PagerDuty, by the events API that the backup container speaks.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::Result;
use serde_json::json;

use crate::notice::Notice;
use crate::tell::{Address, Channel, Client, is_error, text};

/// How long a description may be, in characters.
const LONGEST: usize = 1024;

/// A service of PagerDuty: told of failures and of runs that did not happen, and of nothing else.
#[derive(Clone)]
pub struct PagerDuty {
    /// Who asks.
    pub client: Arc<Client>,
    /// Where events go.
    pub address: Address,
    /// The integration key of the service, which is a secret.
    pub service_key: String,
}

#[async_trait]
impl Channel for PagerDuty {
    fn wants(&self, notice: &Notice) -> bool {
        is_error(notice)
    }

    async fn tell(&self, notice: &Notice) -> Result<()> {
        let description = text(notice, LONGEST);
        let body = json!({ "service_key": self.service_key, "event_type": "trigger", "description": description });
        self.client.post(&self.address, "application/json", body.to_string()).await
    }
}

impl fmt::Display for PagerDuty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PagerDuty {}", self.address)
    }
}

impl fmt::Debug for PagerDuty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PagerDuty").field("address", &self.address).finish_non_exhaustive()
    }
}
