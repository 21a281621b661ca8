//! `pg-backup ask`: a running service is asked for runs.

use std::path::PathBuf;
use std::time::Duration;

use backup_cli::{Face, one_line};
use backup_core::{Error, Name, Result};
use backup_service::{Status, Wish};
use clap::Args;
use serde_json::json;

use super::asked;

/// How long a service may take to answer: it looks each second.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which runs.
#[derive(Debug, Args)]
pub(crate) struct Ask {
    /// Which jobs, as the log calls them; every backup if none is named
    #[arg(value_name = "JOB")]
    jobs: Vec<Name>,
    /// Wait until the runs have ended, and fail if one of them did
    #[arg(long)]
    wait: bool,
    /// The TOML file that the service goes by, if it goes by one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Ask {
    pub(crate) async fn run(self, face: &Face) -> Result<()> {
        let (backups, state) = asked::backups(face, self.config.as_deref())?;
        let jobs = if self.jobs.is_empty() { backups } else { self.jobs };
        let wishes = jobs.iter().map(|job| Wish::put(&state, job)).collect::<Result<Vec<_>>>()?;
        for (job, wish) in jobs.iter().zip(&wishes) {
            face.cx.unless_cancelled(wish.seen(PATIENCE)).await?;
            if !self.wait {
                face.report
                    .result(&one_line(&format!("{job}: it runs as soon as it can")), &json!({"job": job, "asked": true}))?;
            }
        }
        let mut failed = None;
        for (job, wish) in jobs.iter().zip(&wishes).filter(|_| self.wait) {
            match ended(face, job, face.cx.unless_cancelled(wish.ended()).await?) {
                Err(error) if failed.is_some() => face.report.error(&error, 1),
                Err(error) => failed = Some(error),
                Ok(()) => {}
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Tells how a run ended.
fn ended(face: &Face, job: &Name, status: Status) -> Result<()> {
    if let Some(error) = status.error {
        return Err(Error::failed(format!("{job}: {error}")).with_hint("the log of the service says more"));
    }
    let is_done = status.succeeded >= status.begun;
    let bytes = status.bytes.map(|bytes| format!(", {bytes} bytes stored")).unwrap_or_default();
    let text = if is_done { format!("{job}: done{bytes}") } else { format!("{job}: nothing to do") };
    Ok(face.report.result(&one_line(&text), &json!({"job": job, "done": is_done, "bytes": status.bytes}))?)
}
