//! A restore, step by step.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use backup_core::{Context, Doing, Error, Event, Journal, Lifecycle, OnFailure, Result, Unit, paused};

use super::plan::Plan;
use super::{Choice, Planned, Restore, Step};
use crate::told::Told;
use crate::{Log, Progress};

/// What came back.
#[derive(Debug, Clone)]
pub struct Restored {
    /// The databases.
    pub databases: Vec<Planned>,
    /// What was stopped meanwhile, in start order.
    pub stopped: Vec<Unit>,
    /// From when the last service was told to stop to when the first was told to start; `None` where nothing was stopped.
    pub downtime_ms: Option<u64>,
    /// The log.
    pub log: PathBuf,
}

impl Restore {
    /// Does what `plan` says.
    ///
    /// Each database is loaded beside what is there, while services run, and its rows are counted. Only then are services stopped,
    /// under a [`Guard`](crate::Guard), and all databases renamed in one transaction: what was there gets another name. Then
    /// what ran is started again, however that ends, and what was replaced is dropped, unless it is kept. So at each moment
    /// what has the name is whole: what was there, or what came back. What a run that was killed has loaded goes with the next one.
    ///
    /// [`Kind::Cancelled`](backup_core::Kind::Cancelled) once `cx` is: then nothing was replaced.
    pub async fn run(&self, cx: &Context, journal: &Arc<Journal>, plan: &Plan) -> Result<Restored> {
        let log = Arc::new(Log::of_run(&self.log_path, "bosh-backup-restore", &self.started)?);
        log.line(&format!("{} restores {} out of {}", self.program, self.director.name, self.archive.display()));
        let progress = Progress::default();
        let told = Told { whom: cx.monitor.clone(), log: log.clone(), progress: progress.clone() };
        let cx = Context { monitor: Arc::new(told), ..cx.clone() };
        let done = Box::pin(self.go(&cx, journal, plan, &progress)).await;
        match &done {
            Ok(_) => log.line("the restore is done"),
            Err(error) => log.line(&format!("failed: {}", error.chain())),
        }
        let downtime_ms = done?;
        let (databases, stopped, log) = (plan.databases.clone(), plan.units.clone(), log.path().to_owned());
        Ok(Restored { databases, stopped, downtime_ms, log })
    }

    async fn go(&self, cx: &Context, journal: &Arc<Journal>, plan: &Plan, progress: &Progress) -> Result<Option<u64>> {
        cx.tell(Event::Stage { what: Step::Load.name() });
        self.drop_all(cx, plan.left.iter().map(String::as_str)).await;
        self.load_all(cx, plan).await?;
        if matches!(self.choice, Choice::Beside(..)) {
            if let Err(error) = self.rename(cx, plan).await {
                self.drop_all(cx, plan.databases.iter().map(|planned| planned.working.as_str())).await;
                return Err(error);
            }
            return Ok(None);
        }
        cx.tell(Event::Stage { what: Step::Stop.name() });
        let (stopping, lifecycle) = (Instant::now(), self.director.lifecycle(progress));
        // Renaming is what makes all of it count: it comes once it is sure that nobody was started meanwhile.
        let commit = |()| async {
            cx.tell(Event::Stage { what: Step::StartPostgres.name() });
            let services = self.director.services(progress);
            services.resume(&[self.director.database()]).await.doing(|| Step::StartPostgres.name())?;
            self.director.answers(cx).await?;
            self.rename(cx, plan).await?;
            cx.tell(Event::Stage { what: Step::Start.name() });
            Ok(stopping.elapsed())
        };
        let work = async { Ok(()) };
        let replaced = Box::pin(paused(cx, &lifecycle, journal, OnFailure::Resume, work, commit)).await;
        let down = match replaced {
            Ok(down) => down,
            Err(error) => {
                // Those that got their names are not there any more under these.
                self.drop_all(cx, plan.databases.iter().map(|planned| planned.working.as_str())).await;
                return Err(self.with_way_back(error, plan).await);
            }
        };
        if !self.keep {
            cx.tell(Event::Stage { what: Step::Drop.name() });
            self.drop_all(cx, plan.databases.iter().filter_map(|planned| planned.replaced.as_deref())).await;
        }
        Ok(u64::try_from(down.as_millis()).ok())
    }

    /// Gives all databases their names at once, or none.
    async fn rename(&self, cx: &Context, plan: &Plan) -> Result<()> {
        cx.tell(Event::Stage { what: Step::Rename.name() });
        let mut names: Vec<(&str, &str)> = Vec::new();
        for planned in &plan.databases {
            names.extend(planned.replaced.as_deref().map(|replaced| (planned.target.as_str(), replaced)));
            names.push((&planned.working, &planned.target));
        }
        self.director.postgres.rename(&*self.director.host, &names).await.doing(|| Step::Rename.name())
    }

    /// If services did not come up on what came back, what was replaced is there still, under the name that is told.
    async fn with_way_back(&self, error: Error, plan: &Plan) -> Error {
        let Ok(names) = self.director.postgres.databases(&*self.director.host).await else { return error };
        let replaced = plan.databases.iter().filter_map(|planned| planned.replaced.as_deref());
        let kept: Vec<&str> = replaced.filter(|replaced| names.iter().any(|name| name == replaced)).collect();
        if kept.is_empty() {
            return error;
        }
        let hint = error.hint().map(|hint| format!("{hint}; ")).unwrap_or_default();
        error.with_hint(format!("{hint}databases were replaced; those that were there are {} now", kept.join(", ")))
    }
}
