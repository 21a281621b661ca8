//! `pg-backup serve`: backups on a schedule, configured as the backup container is.

mod dump;
mod log;
mod place;

use std::sync::Arc;

use backup_cli::Face;
use backup_core::{Context, Doing, Error, Kind, Result};
use backup_service::container::{Settings, Wanted};
use backup_service::tree::{Layout, Tree};
use backup_service::{Job, Outcome, Service};
use clap::{Args, Subcommand};
use jiff::SignedDuration;

use dump::Dump;
use log::{Log, Warnings};

/// Where the state of the service lies within the tree, unless `--state` says otherwise: it must outlive the container.
const STATE: &str = ".state";

/// How the service runs. What it does is in the environment and in `backup.conf`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Take one backup of each database now, and end
    #[arg(long, env = "BACKUP_ONCE")]
    once: bool,
    /// How many databases are backed up at the same time
    #[arg(long, value_name = "N", default_value_t = 2, env = "BACKUP_AT_ONCE")]
    at_once: usize,
    /// How often a backup that failed is tried again before its next time: after 5 minutes, then 10, and so on
    #[arg(long, value_name = "N", default_value_t = 3, env = "BACKUP_RETRIES")]
    retries: u32,
    /// Put each run off by up to so many seconds, at random
    #[arg(long, value_name = "SECONDS", default_value_t = 0, env = "BACKUP_JITTER")]
    jitter: u32,
    /// How many minutes after its time a backup that has not ended is told of as late
    #[arg(long, value_name = "MINUTES", default_value_t = 60, env = "BACKUP_LATE")]
    late: u32,
    /// Keep dumps although their folder does not outlive the container
    #[arg(long, env = "BACKUP_EPHEMERAL")]
    ephemeral: bool,
}

/// What is understood of the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print each value of the container's configuration and where it came from, or what is wrong with it
    Check,
}

/// Reads the configuration of the container.
fn settings() -> Result<Settings> {
    let file = |path: &std::path::Path| {
        let kind = |error: &std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => Kind::NotFound,
            _ => Kind::Failed,
        };
        let failed = |error| Error::new(kind(&error), format!("failed to read {}", path.display())).with_source(error);
        std::fs::read_to_string(path).map_err(failed)
    };
    Settings::read(&|name| std::env::var(name).ok(), &file)
}

impl Config {
    pub(crate) fn run(self, face: &Face) -> Result<()> {
        let Self::Check = self;
        let settings = settings()?;
        for found in &settings.found {
            let text = format!("{:<24}  {:<32}  {}", found.name, found.value, found.from);
            let value = serde_json::json!({"name": found.name, "value": found.value, "from": found.from});
            face.report.result(&text, &value)?;
        }
        Ok(())
    }
}

/// Refuses what is understood and not done yet: whoever set it must not believe that it happens.
fn not_yet(settings: &Settings) -> Result<()> {
    let what = match settings {
        Settings { webhook: Some(_), .. } => "WEBHOOK_URL is set, and webhooks are not called yet",
        Settings { pager: Some(_), .. } => "PGDUTY_URL is set, and nobody is paged yet",
        Settings { verifications, .. } if !verifications.is_empty() => {
            "backup.conf has a line with -v, and nothing is verified on schedule yet"
        }
        _ => return Ok(()),
    };
    Err(Error::usage(what).with_hint("take it out, and watch the log or the exit code of serve --once instead"))
}

impl Serve {
    pub(crate) async fn run(self, face: &Face) -> Result<()> {
        let settings = settings()?;
        place::check(&settings.root, self.ephemeral)?;
        not_yet(&settings)?;
        let tree = Arc::new(Tree::new(&settings.root, settings.layout, settings.zone.clone()));
        let cx = Context { monitor: Arc::new(Warnings { report: face.report }), ..face.cx.clone() };
        let roles = !matches!(settings.layout, Layout::First(_));
        let works = settings.databases.iter().map(|wanted| Dump::new(wanted, &tree, roles, &cx));
        let works: Vec<(&Wanted, Dump)> = settings.databases.iter().zip(works.collect::<Result<Vec<_>>>()?).collect();
        if self.once {
            return self.once(face, &cx, works).await;
        }
        let state = face.common.state.clone().unwrap_or_else(|| settings.root.join(STATE));
        let job = |(wanted, work): (&Wanted, Dump)| {
            Ok(Job {
                name: wanted.core.parse()?,
                schedule: settings.backups.clone(),
                at_start: settings.at_start,
                jitter: SignedDuration::from_secs(self.jitter.into()),
                late: SignedDuration::from_mins(self.late.into()),
                retries: self.retries,
                work: Arc::new(work),
            })
        };
        let jobs = works.into_iter().map(job).collect::<Result<Vec<_>>>()?;
        let service = Service::new(jobs, &state, self.at_once)?.with_listener(Arc::new(Log { report: face.report }));
        let line =
            format!("serving {} databases, {}, into {}", settings.databases.len(), settings.backups, settings.root.display());
        face.report.result(&line, &serde_json::json!({"serving": settings.databases.len()}))?;
        service.run(&cx).await.doing(|| "serve")
    }

    /// One cycle: every database is tried, and the first failure is that of the cycle.
    async fn once(&self, face: &Face, cx: &Context, works: Vec<(&Wanted, Dump)>) -> Result<()> {
        let mut failed = None;
        for (wanted, work) in works {
            match work.take(cx).await {
                Ok(Outcome::Done { line, bytes }) => {
                    let value = serde_json::json!({"job": wanted.core, "done": line, "bytes": bytes});
                    face.report.result(&format!("{}: {line}", wanted.core), &value)?;
                }
                Ok(Outcome::Idle(why)) => {
                    let value = serde_json::json!({"job": wanted.core, "idle": why});
                    face.report.result(&format!("{}: nothing to do: {why}", wanted.core), &value)?;
                }
                Err(error) => {
                    let error = Err::<(), _>(error).doing(|| format!("back up {}", wanted.spec));
                    let Err(error) = error else { continue };
                    if error.kind() == Kind::Cancelled {
                        return Err(error);
                    }
                    match &failed {
                        None => failed = Some(error),
                        Some(_) => face.report.error(&error, 1),
                    }
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }
}
