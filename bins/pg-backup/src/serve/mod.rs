//! `pg-backup serve`: backups on a schedule, configured as the backup container is.

mod configured;
mod container;
mod dump;
mod log;
mod once;
mod place;
mod task;

use std::sync::Arc;

use backup_cli::Face;
use backup_core::{Context, Doing, Name, Result};
use backup_service::{Job, Schedule, Service, Work};
use clap::Args;
use jiff::SignedDuration;

pub(crate) use configured::{Config, settings};
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

impl Serve {
    pub(crate) async fn run(self, face: &Face) -> Result<()> {
        let settings = settings()?;
        configured::not_yet(&settings)?;
        let cx = Context { monitor: Arc::new(Warnings { report: face.report }), ..face.cx.clone() };
        let tasks = container::tasks(&settings, &self, &cx)?;
        tasks.iter().try_for_each(|task| place::check(&task.place, self.ephemeral))?;
        if self.once {
            return once::once(face, &cx, &tasks).await;
        }
        let state = face.common.state.clone().unwrap_or_else(|| settings.root.join(STATE));
        let jobs = tasks.into_iter().map(|task| task.job).collect();
        let service = Service::new(jobs, &state, self.at_once)?.with_listener(Arc::new(Log { report: face.report }));
        let line =
            format!("serving {} databases, {}, into {}", settings.databases.len(), settings.backups, settings.root.display());
        face.report.result(&line, &serde_json::json!({"serving": settings.databases.len()}))?;
        service.run(&cx).await.doing(|| "serve")
    }

    /// A job as patient as the options say.
    fn job(&self, name: Name, schedule: Schedule, at_start: bool, work: Arc<dyn Work>) -> Job {
        Job {
            name,
            schedule,
            at_start,
            jitter: SignedDuration::from_secs(self.jitter.into()),
            late: SignedDuration::from_mins(self.late.into()),
            retries: self.retries,
            work,
        }
    }
}
