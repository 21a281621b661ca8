//! `pg-backup serve`: backups on a schedule, configured as the backup container is, or by a TOML file of ours.

mod ask;
mod asked;
mod configured;
mod container;
mod dump;
mod log;
mod machines;
mod once;
mod own;
mod own_backup;
mod own_proof;
mod place;
mod proof;
mod task;
mod telling;
mod volume;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backup_cli::Face;
use backup_core::{Context, Doing, Name, Result};
use backup_pg::data_directory;
use backup_service::tell::Telling;
use backup_service::{Job, Listener, Notice, Schedule, Service, What, Work};
use clap::Args;
use jiff::{SignedDuration, Timestamp};

pub(crate) use ask::Ask;
use asked::Asked;
pub(crate) use asked::shelf;
pub(crate) use configured::Config;
use log::{Log, Warnings};
use machines::{MachineArgs, Machines};
use place::Mounted;
use proof::ScratchArgs;
use task::Task;
use telling::TellArgs;

/// What the TOML file says itself, for each job or for all.
const IN_FILE: [&str; 13] = [
    "at_once",
    "ephemeral",
    "jitter",
    "late",
    "listen",
    "pg_bin",
    "ping_url",
    "retries",
    "scratch_dir",
    "textfile",
    "token_file",
    "webhook_form",
    "webhook_tells",
];

/// How long notices that are under way may take once all is done. Whoever stops a service waits for this.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How the service runs. What it does is in the environment and in `backup.conf`, or all of it in a TOML file.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Go by this TOML file, in place of the container's environment and its backup.conf
    #[arg(long, value_name = "FILE", conflicts_with_all = IN_FILE)]
    config: Option<PathBuf>,
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
    #[command(flatten)]
    scratch: ScratchArgs,
}

impl Serve {
    pub(crate) async fn run(self, face: &Face) -> Result<()> {
        let cx = Context { monitor: Arc::new(Warnings { report: face.report }), ..face.cx.clone() };
        let mut asked = match &self.config {
            Some(file) => own::asked(file, face, &cx)?,
            None => container::asked(&self, face, &cx)?,
        };
        for Task { job, place, .. } in &mut asked.tasks {
            if let Some(place) = place {
                place::check(place, asked.ephemeral)?;
                job.work = Arc::new(Mounted::new(place, Arc::clone(&job.work)));
            }
        }
        let telling = telling::telling(std::mem::take(&mut asked.channels));
        let ended = if self.once {
            asked.tasks.retain(|task| !task.job.work.is_proof());
            once::once(face, &cx, &asked.tasks, asked.at_once, telling.as_deref()).await
        } else {
            let served = serve(face, &cx, asked, telling.as_ref()).await;
            if let (Err(error), Some(telling)) = (&served, &telling) {
                // Nobody may be looking at the log.
                let (line, hint) = (error.chain(), error.hint().map(str::to_owned));
                told(telling, What::Failed { line, hint, failures: 1 })?;
            }
            served
        };
        if let Some(telling) = telling {
            telling.finish(LAST_WORDS).await;
        }
        ended
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

/// Runs the tasks until it is told to stop.
async fn serve(face: &Face, cx: &Context, asked: Asked, telling: Option<&Arc<Telling>>) -> Result<()> {
    let Asked { tasks, doors, state, at_once, line: (line, count), .. } = asked;
    let places = tasks.iter().filter_map(|task| Some((task.job.name.clone(), task.place.clone()?))).collect();
    let volumes: Vec<_> = tasks.iter().filter_map(|task| task.server.clone().zip(task.place.clone())).collect();
    let jobs = tasks.into_iter().map(|task| task.job).collect();
    let mut service = Service::new(jobs, &state, at_once)?.with_listener(Arc::new(Log { report: face.report }));
    let machines = Machines::open(doors, service.desk(), places).await?;
    face.report.result(&line, &serde_json::json!({"serving": count}))?;
    if let Some(address) = machines.address() {
        face.report.result(&format!("listening at http://{address}"), &serde_json::json!({"listening": address}))?;
    }
    if let Some(telling) = telling {
        told(telling, What::Started { line })?;
        service = service.with_listener(telling.clone());
    }
    for (server, place) in volumes {
        let cx = cx.clone();
        face.cx.tasks.spawn(async move { volume::warn(&cx, &place, data_directory(&server)).await });
    }
    // A service that has ended answers nobody.
    let serving = async {
        let served = service.run(cx).await;
        cx.cancel.cancel();
        served
    };
    let (served, answered) = tokio::join!(serving, machines.run(cx));
    served.and(answered).doing(|| "serve")
}

/// Tells of the service itself.
fn told(telling: &Telling, what: What) -> Result<()> {
    telling.on(&Notice { job: "pg-backup".parse()?, at: Timestamp::now(), what });
    Ok(())
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use backup_service::{Outcome, Why};
    use clap::Parser;

    use super::*;

    #[derive(Debug)]
    struct Nothing;

    #[async_trait]
    impl Work for Nothing {
        async fn run(&self, _: &Context, _: Why) -> Result<Outcome> {
            Ok(Outcome::Idle("nothing".into()))
        }
    }

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        serve: Serve,
    }

    #[test]
    fn a_job_is_as_patient_as_the_options_say() {
        let line = Line::parse_from(["serve", "--jitter", "7", "--late", "8", "--retries", "9"]);
        let job = line.serve.job("shop".parse().expect("a name"), Schedule::never(), true, Arc::new(Nothing));
        assert_eq!((job.jitter, job.late), (SignedDuration::from_secs(7), SignedDuration::from_mins(8)));
        assert_eq!((job.retries, job.at_start), (9, true));
    }
}
