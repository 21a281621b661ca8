//! Tells a webhook, with the fields that receivers of the backup container know.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::Result;
use serde_json::json;

use crate::notice::Notice;
use crate::tell::{Address, Channel, Client, LONGEST, Wants, text};

/// How a webhook's body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// `application/x-www-form-urlencoded`, four fields: `projectFriendlyName`, `projectName`, `statusCode`, `message`.
    #[default]
    UrlEncoded,
    /// JSON: the same four, and `job`, `at` (RFC 3339) and `what` (`started`, `begun`, `succeeded`, `idle`, `failed`, `missed`, `late`).
    Json,
}

/// A URL that is POSTed each notice. `statusCode` is `INFO`, `WARN` or `ERROR`; `message` is one line.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Who asks.
    pub client: Arc<Client>,
    /// Where it is.
    pub address: Address,
    /// What people call this installation: `projectFriendlyName`.
    pub friendly_name: String,
    /// What machines call it: `projectName`.
    pub name: String,
    /// How the body is written.
    pub form: Form,
    /// Which notices it gets.
    pub wants: Wants,
}

#[async_trait]
impl Channel for Webhook {
    fn wants(&self, notice: &Notice) -> bool {
        self.wants.wants(notice)
    }

    async fn tell(&self, notice: &Notice) -> Result<()> {
        let (status, message) = (notice.level().to_string(), text(notice, LONGEST));
        let fields = [
            ("projectFriendlyName", self.friendly_name.as_str()),
            ("projectName", self.name.as_str()),
            ("statusCode", status.as_str()),
            ("message", message.as_str()),
        ];
        match self.form {
            Form::UrlEncoded => {
                let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
                self.client.post(&self.address, "application/x-www-form-urlencoded", body).await
            }
            Form::Json => {
                let mut body = json!({ "job": notice.job, "at": notice.at, "what": notice.what.word() });
                for (field, value) in fields {
                    body[field] = value.into();
                }
                self.client.post(&self.address, "application/json", body.to_string()).await
            }
        }
    }
}

impl fmt::Display for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "webhook {}", self.address)
    }
}
