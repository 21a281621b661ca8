//! Whom a service tells: the receivers of the container's variables, and a ping of our own.

use std::fmt;
use std::sync::Arc;

use backup_core::{Doing, Error, Name, Result};
use backup_service::container::Settings;
use backup_service::tell::{Address, Channel, Client, Form, PagerDuty, Patience, Ping, Telling, Wants, Webhook};
use clap::{Args, ValueEnum};

/// What in the URL of a ping stands for the job.
const JOB: &str = "{job}";

/// How receivers are told.
#[derive(Debug, Clone, Args)]
pub(crate) struct TellArgs {
    /// How the body of what WEBHOOK_URL gets is written
    #[arg(long, value_enum, default_value = "form")]
    webhook_form: Body,
    /// What WEBHOOK_URL is told of
    #[arg(long, value_enum, default_value = "successes")]
    webhook_tells: Tells,
    /// Ask for this URL after each success, for it with /fail after each failure and with /start before; {job} in it is the job
    #[arg(long, value_name = "URL", hide_env_values = true)]
    ping_url: Option<Secret>,
}

/// The body of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Body {
    /// The four fields of the backup container
    Form,
    /// The same and more as JSON
    Json,
}

/// Which notices a webhook gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tells {
    /// Failures, runs that did not happen or are late, and recoveries
    Troubles,
    /// The start of the service and every success too
    Successes,
    /// Also that a run begins, and that there was nothing to do
    All,
}

/// A URL that no message shows.
#[derive(Clone, PartialEq, Eq)]
struct Secret(String);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl TellArgs {
    /// Who is told of `jobs`.
    pub(super) fn channels(&self, settings: &Settings, jobs: &[Name]) -> Result<Vec<Arc<dyn Channel>>> {
        if (&settings.webhook, &settings.pager, &self.ping_url) == (&None, &None, &None) {
            return Ok(Vec::new());
        }
        let client = client()?;
        let mut channels: Vec<Arc<dyn Channel>> = Vec::new();
        if let Some(url) = &settings.webhook {
            let (name, friendly_name) = settings.environment.clone();
            let form = match self.webhook_form {
                Body::Form => Form::UrlEncoded,
                Body::Json => Form::Json,
            };
            let wants = match self.webhook_tells {
                Tells::Troubles => Wants::Troubles,
                Tells::Successes => Wants::Successes,
                Tells::All => Wants::All,
            };
            let address = address("WEBHOOK_URL", url.expose())?;
            channels.push(Arc::new(Webhook { client: client.clone(), address, friendly_name, name, form, wants }));
        }
        if let Some((url, key)) = &settings.pager {
            let (address, service_key) = (address("PGDUTY_URL", url)?, key.expose().to_owned());
            channels.push(Arc::new(PagerDuty { client: client.clone(), address, service_key }));
        }
        for (job, address) in self.pings(jobs)? {
            channels.push(Arc::new(Ping::new(client.clone(), job, address)?.with_message()));
        }
        Ok(channels)
    }

    /// The URL of each job. One for all of them would say that all is well as soon as one of them is.
    fn pings(&self, jobs: &[Name]) -> Result<Vec<(Name, Address)>> {
        let Some(Secret(url)) = &self.ping_url else { return Ok(Vec::new()) };
        if jobs.len() > 1 && !url.contains(JOB) {
            return Err(Error::usage(format!("--ping-url is one URL for {} jobs", jobs.len()))
                .with_hint("write {job} into it, where the name of the job goes"));
        }
        let ping = |job: &Name| Ok((job.clone(), address("--ping-url", &url.replace(JOB, &slug(job)))?));
        jobs.iter().map(ping).collect()
    }
}

/// Who asks receivers.
pub(super) fn client() -> Result<Arc<Client>> {
    Ok(Arc::new(Client::new([])?.with_proxies_of_environment()))
}

/// Begins to tell `channels`, if there are any.
pub(super) fn telling(channels: Vec<Arc<dyn Channel>>) -> Option<Arc<Telling>> {
    (!channels.is_empty()).then(|| Arc::new(Telling::new(channels, Patience::default())))
}

/// Whether the URLs of the configuration can be understood.
pub(super) fn check(settings: &Settings) -> Result<()> {
    if let Some(url) = &settings.webhook {
        address("WEBHOOK_URL", url.expose())?;
    }
    if let Some((url, _)) = &settings.pager {
        address("PGDUTY_URL", url)?;
    }
    Ok(())
}

/// The URL that `name` says. No error shows it.
fn address(name: &str, url: &str) -> Result<Address> {
    url.parse().doing(|| format!("understand {name}"))
}

/// A name as it can stand in a URL, in small letters, digits and hyphens: what names of checks are made of.
fn slug(job: &Name) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    job.as_str().chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_ping_is_a_secret_and_is_that_of_one_job() {
        let args = |url: &str| TellArgs {
            webhook_form: Body::Form,
            webhook_tells: Tells::Successes,
            ping_url: Some(Secret::from(url.to_owned())),
        };
        let [one, two]: [Name; 2] = ["shop", "blog"].map(|job| job.parse().expect("a name"));
        let own = args("https://h.example/t0ken/{job}");
        assert!(!format!("{own:?}").contains("t0ken"));
        assert_eq!(own.pings(&[one.clone(), two.clone()]).expect("a ping each").len(), 2);
        let shared = args("https://h.example/t0ken");
        assert_eq!(shared.pings(std::slice::from_ref(&one)).expect("a ping").len(), 1);
        let refused = shared.pings(&[one, two]).expect_err("it would say that all is well");
        assert!(refused.hint().is_some_and(|hint| hint.contains("{job}")), "{refused:?}");
        assert_eq!(slug(&"127.0.0.1-Shop/proof".parse().expect("a name")), "127-0-0-1-shop-proof");
    }
}
