//! Which director, and what stops, starts and guards its services.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backup_core::{Context, Error, Event, Lifecycle, Name, Result, Unit};
use backup_host::{Command, Host};

use crate::lifecycle::WithFiles;
use crate::{Guard, Guarded, Postgres, Progress, Services, Settings};

/// How long PostgreSQL may take from when monit finds it running to when it answers.
const RECOVERY: Duration = Duration::from_secs(600);

/// The folder of a director in which all of it lies that is backed up.
pub(crate) const ROOT: &str = "/var/vcap";

/// A director. Plain data: nobody was asked for anything.
#[derive(Debug, Clone)]
pub struct Director {
    /// Which one it is: the same for all runs against it, as there is one at a time.
    pub name: Name,
    /// Where it is.
    pub host: Arc<dyn Host>,
    /// What stops and starts its services.
    pub settings: Settings,
    /// How long the guard waits there for a sign of life before it starts services again; whole seconds.
    pub lease: Duration,
    /// The longest that services may be stopped, whatever a run does; whole seconds.
    pub max_pause: Duration,
    /// How its PostgreSQL is reached.
    pub postgres: Postgres,
}

impl Director {
    /// Its services, with the guard that brings them back: what [`recover`](backup_core::recover()) and
    /// [`resume`](backup_core::resume()) take too.
    pub fn lifecycle(&self, progress: &Progress) -> Arc<dyn Lifecycle> {
        self.guarded(Arc::new(self.services(progress)), progress)
    }

    /// Its services and the files that a restore puts in place, with the guard that brings both to where services can run.
    pub(crate) fn lifecycle_with_files(&self, progress: &Progress) -> Arc<dyn Lifecycle> {
        self.guarded(Arc::new(WithFiles(Arc::new(self.services(progress)))), progress)
    }

    fn guarded(&self, inner: Arc<dyn Lifecycle>, progress: &Progress) -> Arc<dyn Lifecycle> {
        Arc::new(Guarded::new(inner, self.guard(), progress.clone()))
    }

    /// The guard that a run leaves there.
    pub fn guard(&self) -> Guard {
        Guard::new(self.host.clone(), &self.name, self.lease, self.max_pause)
    }

    /// Whether `find` and `tar` are there, are GNU's, and may be run as root.
    pub(crate) async fn programs_are_gnu(&self) -> Result<()> {
        let host = &self.host;
        for program in ["find", "tar"] {
            let answer = host.answer(&Command::new(program).arg("--version").sudo()).await?;
            let said = answer.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
            if answer.status != 0 && said.contains("sudo: ") {
                return Err(Error::failed(format!("sudo does not let {program} run on {}", host.name()))
                    .with_source(said)
                    .with_hint("let the login user run monit, sv, find, tar and kill by sudo without a password"));
            }
            if answer.status != 0 || !String::from_utf8_lossy(&answer.stdout).contains("GNU") {
                return Err(Error::failed(format!("{program} on {} is not GNU {program}", host.name()))
                    .with_hint(format!("install GNU {program} there")));
            }
        }
        Ok(())
    }

    /// Its services without a guard.
    pub(crate) fn services(&self, progress: &Progress) -> Services {
        Services::new(self.host.clone(), self.settings.clone()).with_progress(progress.clone())
    }

    /// PostgreSQL as a service.
    pub(crate) fn database(&self) -> Unit {
        Unit(format!("monit/{}", self.postgres.service))
    }

    /// Returns once PostgreSQL answers: monit finds it running before it has recovered.
    pub(crate) async fn answers(&self, cx: &Context) -> Result<()> {
        let since = Instant::now();
        loop {
            match self.postgres.version(&*self.host).await {
                Err(_) if since.elapsed() < RECOVERY.min(self.settings.time_limit) => {
                    cx.tell(Event::Stage { what: "wait until postgres answers" });
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                answer => return answer.map(drop),
            }
        }
    }
}
