//! Stops what stands in the way, works, and brings it back, however the work ends.

use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::runtime::Handle;

use crate::journal::{Entry, OnFailure, Phase};
use crate::recover::{bring_back, bringing_back, caught, left_held, names};
use crate::{Context, Doing, Error, Event, Journal, Kind, Lifecycle, Result};

/// Stops what `lifecycle` says runs, does `work`, and brings back what was stopped; `commit` makes the work count.
///
/// What runs is in `journal`, on disk, before anything stops. After the work [`Lifecycle::held`] is asked, and only if
/// nobody started a unit meanwhile `commit` gets what the work returned: a backup's manifest is written there, and so
/// never of a state that moved. The entry is struck once all units run again. There is one bracket in a run, for all
/// that any stage of it stops; a second one inside finds the entry of the first and is refused.
///
/// | how it ends | [`OnFailure::Resume`] | [`OnFailure::Hold`] |
/// | --- | --- | --- |
/// | all is well | units run, entry struck, what `commit` returned | the same |
/// | asking what runs, or the journal, fails; cancelled before the pause | nothing was stopped, the error | the same |
/// | the pause fails or is cancelled halfway | units run, entry struck, the error | the same: the work has not begun |
/// | work or commit fail or panic, work is cancelled | units run, entry struck, the error | units stay stopped, entry stays, [`Kind::StillPaused`] with the error behind it |
/// | `held` fails | nothing committed, else as above | the same as above |
/// | bringing back fails up to four times | tried again after 1, 2, 4 and 8 s, then as without the failure | the same |
/// | bringing back fails for good | [`Kind::StillPaused`], entry stays; it outranks every other error, which is behind it | the same |
/// | the future is dropped | a task in [`Context::tasks`] owns the journal and brings the units back | before and after the work the same; during it they stay stopped, entry stays |
/// | the process is killed | the entry stays, [`recover`](crate::recover()) brings the units back | before and after the work the same; during it `recover` says [`Kind::StillPaused`] and only [`resume`](crate::resume) brings them back |
///
/// [`Context::cancel`] (a program's SIGINT, SIGTERM, SIGHUP) cuts the pause and the work short, not the commit and never
/// the way back. A program awaits [`Context::tasks`] before it exits.
pub async fn paused<T, U, F>(
    cx: &Context,
    lifecycle: &Arc<dyn Lifecycle>,
    journal: &Arc<Journal>,
    on_failure: OnFailure,
    work: impl Future<Output = Result<T>>,
    commit: impl FnOnce(T) -> F,
) -> Result<U>
where
    F: Future<Output = Result<U>>,
{
    if let Some(entry) = journal.entry()? {
        return Err(left_behind(&entry));
    }
    let at = Timestamp::now();
    let units =
        cx.unless_cancelled(caught(lifecycle.running())).await.doing(|| format!("ask what runs for {}", journal.job()))?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let entry =
        Entry { job: journal.job().clone(), units, on_failure, phase: Phase::Pausing, at, host, pid: std::process::id() };
    let _bracket = cx.brackets.token();
    journal.record(&entry)?;

    let mut bracket = Bracket { cx, lifecycle, journal, entry: Some(entry) };
    let done = bracket.pause_and(work, commit).await;
    bracket.close(done).await
}

/// What was, or is about to be, stopped. Dropped, it brings that back by a task of its own, or leaves it held.
struct Bracket<'a> {
    cx: &'a Context,
    lifecycle: &'a Arc<dyn Lifecycle>,
    journal: &'a Arc<Journal>,
    /// Taken by whoever sees to it that the units come back, or decides that they do not.
    entry: Option<Entry>,
}

impl Bracket<'_> {
    async fn pause_and<T, U, F>(&mut self, work: impl Future<Output = Result<T>>, commit: impl FnOnce(T) -> F) -> Result<U>
    where
        F: Future<Output = Result<U>>,
    {
        let Some(entry) = &mut self.entry else { return Err(Error::failed("the bracket is closed")) };
        let stop = caught(self.lifecycle.pause(&entry.units));
        self.cx.unless_cancelled(stop).await.doing(|| format!("stop {}", names(&entry.units)))?;
        self.cx.tell(Event::Paused { units: &entry.units });

        // On disk before the work touches anything: from here on a Hold holds.
        self.journal.record(&Entry { phase: Phase::Working, ..entry.clone() })?;
        entry.phase = Phase::Working;
        let value = self.cx.unless_cancelled(caught(work)).await?;

        let held = caught(self.lifecycle.held(&entry.units));
        self.cx.unless_cancelled(held).await.doing(|| format!("hold {} until the work was done", names(&entry.units)))?;
        // Not cut short: it is quick, and a commit that was dropped leaves open whether it took place.
        caught(async move { commit(value).await }).await
    }

    async fn close<U>(mut self, done: Result<U>) -> Result<U> {
        let Some(entry) = self.entry.take() else { return done };
        match done {
            Err(error) if entry.is_held() => Err(left_held(&entry).with_source(error)),
            done => outrank(self.cx, done, bring_back(self.cx, self.lifecycle, self.journal, entry).await.map(drop)),
        }
    }
}

impl Drop for Bracket<'_> {
    fn drop(&mut self) {
        let Some(entry) = self.entry.take() else { return };
        if entry.is_held() {
            tracing::warn!(units = %names(&entry.units), "a restore was dropped halfway; what it stopped stays stopped");
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            tracing::error!(units = %names(&entry.units), "dropped outside of a runtime; what was stopped stays in the journal");
            return;
        };
        let task = bringing_back(self.cx.clone(), self.lifecycle.clone(), self.journal.clone(), entry);
        let (monitor, bracket) = (self.cx.monitor.clone(), self.cx.brackets.token());
        self.cx.tasks.spawn_on(
            async move {
                let _bracket = bracket;
                if let Err(error) = task.await {
                    monitor.on(Event::Warning { what: &error.chain() });
                }
            },
            &runtime,
        );
    }
}

/// Services that stay down are worse than a run that failed, and a run that failed is worse than an entry too many.
fn outrank<U>(cx: &Context, done: Result<U>, back: Result<()>) -> Result<U> {
    match (done, back) {
        (done, Ok(())) => done,
        (Err(work), Err(back)) if back.kind() == Kind::StillPaused => {
            // One chain has room for one cause: why the units stay down is in the message, why the run failed behind it.
            let hint = back.hint().map(str::to_owned).unwrap_or_default();
            Err(Error::new(Kind::StillPaused, back.chain()).with_hint(hint).with_source(work))
        }
        (Err(work), Err(back)) => {
            cx.tell(Event::Warning { what: &back.chain() });
            Err(work)
        }
        (Ok(_), Err(back)) => Err(back),
    }
}

/// Why no bracket can begin: an earlier run's is not closed.
fn left_behind(entry: &Entry) -> Error {
    if entry.is_held() {
        return left_held(entry);
    }
    let message = format!("{} stopped since {} by process {}, and not resumed", names(&entry.units), entry.at, entry.pid);
    Error::new(Kind::StillPaused, message).with_hint("resume first")
}
