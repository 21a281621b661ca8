//! A restore of files, step by step.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use backup_core::{Context, Doing, Error, Event, Journal, Kind, Lifecycle, Name, OnFailure, Result, Unit, paused, resume};

use super::plan::Plan;
use super::swap::comes_to;
use super::{Files, Step};
use crate::told::Told;
use crate::{Log, Progress};

/// What came back.
#[derive(Debug, Clone)]
pub struct Restored {
    /// What was stopped meanwhile, in start order.
    pub stopped: Vec<Unit>,
    /// From when the first service was told to stop to when the first was told to start.
    pub downtime_ms: Option<u64>,
    /// Where what was replaced is kept on the director; nothing if it is not.
    pub kept: Vec<PathBuf>,
    /// The log.
    pub log: PathBuf,
}

impl Files {
    /// Does what `plan` says.
    ///
    /// Files are unpacked on the director beside those that are there, while services run, and compared with what was to be unpacked.
    /// Only then are services stopped, under a [`Guard`](crate::Guard), and files put in place by renames: all of them, or what was
    /// there is put back. Then what ran is started again; if it does not come up on what came back, what was there is put back too, and
    /// started. What was replaced is removed last, unless it is kept. Whoever starts services after a run that was killed, the guard
    /// or the next run, puts back first what was not put in place as a whole. What a killed run has left goes with the next one.
    ///
    /// [`Kind::Cancelled`] once `cx` is: then nothing was replaced.
    pub async fn run(&self, cx: &Context, journal: &Arc<Journal>, plan: &Plan) -> Result<Restored> {
        let log = Arc::new(Log::of_run(&self.log_path, "bosh-backup-restore", &self.started)?);
        log.line(&format!("{} restores files of {}", self.program, self.director.name));
        let progress = Progress::default();
        let told = Told { whom: cx.monitor.clone(), log: log.clone(), progress: progress.clone() };
        let cx = Context { monitor: Arc::new(told), ..cx.clone() };
        let done = Box::pin(self.go(&cx, journal, plan, &progress)).await;
        match &done {
            Ok(_) => log.line("the restore is done"),
            Err(error) => log.line(&format!("failed: {}", error.chain())),
        }
        let (downtime_ms, kept) = done?;
        Ok(Restored { stopped: plan.units.clone(), downtime_ms, kept, log: log.path().to_owned() })
    }

    async fn go(
        &self,
        cx: &Context,
        journal: &Arc<Journal>,
        plan: &Plan,
        progress: &Progress,
    ) -> Result<(Option<u64>, Vec<PathBuf>)> {
        cx.tell(Event::Stage { what: Step::Unpack.name() });
        if let Err(error) = cx.unless_cancelled(Box::pin(self.beside(cx, plan))).await {
            self.cleared(cx, plan).await;
            return Err(error);
        }
        cx.tell(Event::Stage { what: Step::Stop.name() });
        let (stopping, lifecycle) = (Instant::now(), self.director.lifecycle_with_files(progress));
        let commit = |()| async {
            cx.tell(Event::Stage { what: Step::Swap.name() });
            self.swap("forward").await.doing(|| Step::Swap.name())?;
            cx.tell(Event::Stage { what: Step::Start.name() });
            Ok(stopping.elapsed())
        };
        let work = async { Ok(()) };
        let replaced = Box::pin(paused(cx, &lifecycle, journal, OnFailure::Resume, work, commit)).await;
        let down = match replaced {
            Ok(down) => down,
            Err(error) if error.kind() == Kind::StillPaused => {
                return Err(match Box::pin(self.put_back(cx, &lifecycle, journal, plan)).await {
                    Ok(()) => Error::failed("services did not start on what came back: what was there is back, and runs")
                        .with_source(error)
                        .with_hint("look at their logs there"),
                    Err(back) => {
                        cx.tell(Event::Warning { what: &format!("what was there was not put back: {}", back.chain()) });
                        error
                    }
                });
            }
            Err(error) => {
                self.cleared(cx, plan).await;
                return Err(error);
            }
        };
        let mut kept = Vec::new();
        if self.keep {
            cx.tell(Event::Stage { what: Step::Keep.name() });
            kept = self.keep_replaced(plan, &self.started.strftime("%Y%m%d%H%M%S").to_string()).await?;
        } else {
            cx.tell(Event::Stage { what: Step::Remove.name() });
        }
        self.cleared(cx, plan).await;
        Ok((u64::try_from(down.as_millis()).ok(), kept))
    }

    /// Unpacks all beside what is there, and compares it.
    async fn beside(&self, cx: &Context, plan: &Plan) -> Result<()> {
        if self.prepare(plan).await? {
            cx.tell(Event::Warning { what: "what a restore that died had left on the director was removed" });
        }
        let part: Name = "files".parse()?;
        cx.tell(Event::Begun { what: "restore", parts: 1, bytes: Some(plan.bytes) });
        cx.tell(Event::PartBegun { part: &part });
        let mut unpacked = Vec::new();
        for mount in comes_to(plan) {
            let expected = self.unpack(cx, plan, &mount, &part).await.doing(|| Step::Unpack.name())?;
            unpacked.push((mount, expected));
        }
        cx.tell(Event::PartDone { part: &part, bytes: plan.bytes });
        cx.tell(Event::Stage { what: Step::Compare.name() });
        for (mount, expected) in unpacked {
            self.compare(cx, plan, &mount, expected).await.doing(|| Step::Compare.name())?;
        }
        self.hand_over(plan).await
    }

    /// Stops what has started on what came back, puts back what was there, and starts all on that.
    async fn put_back(&self, cx: &Context, lifecycle: &Arc<dyn Lifecycle>, journal: &Arc<Journal>, plan: &Plan) -> Result<()> {
        cx.tell(Event::Stage { what: "put back what was there" });
        self.director.services(&Progress::default()).pause(&plan.units).await?;
        // A guard that has fired starts services by itself: then nothing can be renamed below them.
        lifecycle.held(&plan.units).await?;
        self.swap("undo").await?;
        resume(cx, lifecycle, journal).await?;
        self.cleared(cx, plan).await;
        Ok(())
    }

    /// Removes what is not needed any more; where that fails, it is told.
    async fn cleared(&self, cx: &Context, plan: &Plan) {
        if let Err(error) = self.clear(plan).await {
            cx.tell(Event::Warning { what: &error.chain() });
        }
    }
}
