//! `pg-backup serve`: backups on a schedule, configured as the backup container is.

mod ask;
mod configured;
mod container;
mod dump;
mod log;
mod machines;
mod once;
mod place;
mod task;
mod telling;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backup_cli::Face;
use backup_core::{Context, Doing, Name, Result};
use backup_service::container::Settings;
use backup_service::{Job, Listener, Notice, Schedule, Service, What, Work};
use clap::Args;
use jiff::{SignedDuration, Timestamp};

pub(crate) use ask::Ask;
pub(crate) use configured::{Config, settings};
use log::{Log, Warnings};
use machines::{MachineArgs, Machines};
use telling::TellArgs;

/// Where the state of the service lies within the tree, unless `--state` says otherwise: it must outlive the container.
const STATE: &str = ".state";

/// How long notices that are under way may take once all is done. Whoever stops a service waits for this.
const LAST_WORDS: Duration = Duration::from_secs(5);

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
    #[command(flatten)]
    tell: TellArgs,
    #[command(flatten)]
    machines: MachineArgs,
}

/// Where the service keeps how its jobs stand.
fn state(face: &Face, settings: &Settings) -> PathBuf {
    face.common.state.clone().unwrap_or_else(|| settings.root.join(STATE))
}

impl Serve {
    pub(crate) async fn run(self, face: &Face) -> Result<()> {
        let settings = settings()?;
        configured::not_yet(&settings)?;
        let cx = Context { monitor: Arc::new(Warnings { report: face.report }), ..face.cx.clone() };
        let mut tasks = container::tasks(&settings, &self, &cx)?;
        tasks.iter().try_for_each(|task| place::check(&task.place, self.ephemeral))?;
        tasks.retain(|task| !self.once || !task.job.work.is_proof());
        let names: Vec<Name> = tasks.iter().map(|task| task.job.name.clone()).collect();
        let state = state(face, &settings);
        if self.once {
            let telling = self.tell.telling(&settings, &names)?;
            let ended = once::once(face, &cx, &tasks, telling.as_deref()).await;
            if let Some(telling) = telling {
                telling.finish(LAST_WORDS).await;
            }
            return ended;
        }
        let places = tasks.iter().map(|task| (task.job.name.clone(), task.place.clone())).collect();
        let jobs = tasks.into_iter().map(|task| task.job).collect();
        let mut service = Service::new(jobs, &state, self.at_once)?.with_listener(Arc::new(Log { report: face.report }));
        let machines = Machines::open(self.machines, service.desk(), places).await?;
        let telling = self.tell.telling(&settings, &names)?;
        let line =
            format!("serving {} databases, {}, into {}", settings.databases.len(), settings.backups, settings.root.display());
        face.report.result(&line, &serde_json::json!({"serving": settings.databases.len()}))?;
        if let Some(address) = machines.address() {
            face.report.result(&format!("listening at http://{address}"), &serde_json::json!({"listening": address}))?;
        }
        if let Some(telling) = &telling {
            let job = "pg-backup".parse()?;
            telling.on(&Notice { job, at: Timestamp::now(), what: What::Started { line } });
            service = service.with_listener(telling.clone());
        }
        let (served, answered) = tokio::join!(service.run(&cx), machines.run(&cx));
        if let Some(telling) = telling {
            telling.finish(LAST_WORDS).await;
        }
        served.and(answered).doing(|| "serve")
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
