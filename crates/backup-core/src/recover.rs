//! Brings back what a run has stopped: at its end, or after a run that died.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::journal::{Entry, Phase};
use crate::{Context, Error, Event, Journal, Kind, Lifecycle, Result, Unit};

/// How often bringing back is tried before it has failed for good.
const TRIES: u32 = 5;

/// How long it waits after the first failure; twice as long after each further one: 15 s in all.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Brings back what an earlier run that died left stopped, and answers what that was; `None` if nothing was left.
///
/// To be called before every run. What a broken restore holds stays as it is: [`Kind::StillPaused`], until [`resume`].
/// Not cut short by [`Context::cancel`], nor by dropping the future: the rest is done by a task in [`Context::tasks`].
pub async fn recover(cx: &Context, lifecycle: &Arc<dyn Lifecycle>, journal: &Arc<Journal>) -> Result<Option<Entry>> {
    match journal.entry()? {
        Some(entry) if entry.is_held() => Err(left_held(&entry)),
        Some(entry) => bring_back(cx, lifecycle, journal, entry).await.map(Some),
        None => Ok(None),
    }
}

/// Brings back whatever is stopped, also what a broken restore holds, and answers what that was; `None` if nothing was.
///
/// For people who know that the state behind it may be served. Otherwise as [`recover`].
pub async fn resume(cx: &Context, lifecycle: &Arc<dyn Lifecycle>, journal: &Arc<Journal>) -> Result<Option<Entry>> {
    match journal.entry()? {
        Some(entry) => bring_back(cx, lifecycle, journal, entry).await.map(Some),
        None => Ok(None),
    }
}

/// Brings back the units of `entry` and strikes it; it answers the entry. Nothing cuts it short but the end of the runtime.
pub(crate) async fn bring_back(
    cx: &Context,
    lifecycle: &Arc<dyn Lifecycle>,
    journal: &Arc<Journal>,
    entry: Entry,
) -> Result<Entry> {
    let units = names(&entry.units);
    let task = bringing_back(cx.clone(), lifecycle.clone(), journal.clone(), entry);
    cx.tasks.spawn(task).await.unwrap_or_else(|error| Err(not_brought_back(&units).with_source(error)))
}

/// The task that owns all it needs: lifecycle, journal and with it the job.
pub(crate) async fn bringing_back(
    cx: Context,
    lifecycle: Arc<dyn Lifecycle>,
    journal: Arc<Journal>,
    mut entry: Entry,
) -> Result<Entry> {
    let _bracket = cx.brackets.token();
    entry.phase = Phase::Resuming;
    if let Err(error) = journal.record(&entry) {
        // Not a reason to leave anything stopped.
        cx.tell(Event::Warning { what: &error.chain() });
    }
    let mut wait = FIRST_WAIT;
    for attempt in 1.. {
        let Err(error) = caught(lifecycle.resume(&entry.units)).await else { break };
        if attempt == TRIES {
            return Err(not_brought_back(&names(&entry.units)).with_source(error));
        }
        cx.tell(Event::Warning { what: &format!("failed to start {}, trying again: {}", names(&entry.units), error.chain()) });
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
    cx.tell(Event::Resumed { units: &entry.units });
    journal.strike()?;
    Ok(entry)
}

/// Makes an error of a panic.
pub(crate) async fn caught<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
        let text = (panic.as_ref() as &dyn Any).downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        Err(Error::failed(format!("panicked: {text}")).with_hint("report this as a bug of this program"))
    })
}

/// The units for a line of text.
pub(crate) fn names(units: &[Unit]) -> String {
    match units {
        [] => "nothing".to_owned(),
        units => units.iter().map(|unit| unit.0.as_str()).collect::<Vec<_>>().join(", "),
    }
}

/// Why nothing can begin: that is held.
pub(crate) fn left_held(entry: &Entry) -> Error {
    let (units, at, host) = (names(&entry.units), entry.at, &entry.host);
    let message =
        format!("{units} stopped on {host} since {at}: a restore broke off halfway, and half of it must not be served");
    Error::new(Kind::StillPaused, message).with_hint("restore again, or make the state whole by hand, then resume")
}

fn not_brought_back(units: &str) -> Error {
    let hint = "start what is stopped by hand if need be, then resume, which also clears the journal";
    Error::new(Kind::StillPaused, format!("still stopped and cannot be started: {units}")).with_hint(hint)
}
