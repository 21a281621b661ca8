//! One cycle: every backup is taken once, now.

use std::time::Instant;

use backup_cli::Face;
use backup_core::{Context, Doing, Error, Kind, Result};
use backup_service::tell::Telling;
use backup_service::{Job, Listener, Notice, Outcome, What, Why};
use futures_util::{FutureExt, StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use super::task::Task;

/// Tries every one of `tasks`, `at_once` at the same time; the first failure, in their order, is that of the cycle. Whether it
/// can be told changes nothing of that.
///
/// When it is cancelled no other begins, and those that run are awaited: they leave nothing half made.
pub(super) async fn once(face: &Face, cx: &Context, tasks: &[Task], at_once: usize, telling: Option<&Telling>) -> Result<()> {
    let turns = Semaphore::new(at_once.max(1));
    let runs: Vec<_> = tasks.iter().map(|task| run(cx, task, &turns, telling).boxed()).collect();
    let mut runs = stream::iter(runs).buffered(tasks.len().max(1));
    let (mut failed, mut cancelled) = (None, None);
    for Task { job: Job { name, .. }, .. } in tasks {
        let Some(ran) = runs.next().await else { break };
        match ran {
            Ok(Outcome::Done { line, bytes }) => {
                let value = serde_json::json!({"job": name, "done": line, "bytes": bytes});
                face.report.result(&format!("{name}: {line}"), &value)?;
            }
            Ok(Outcome::Idle(why)) => {
                let value = serde_json::json!({"job": name, "idle": why});
                face.report.result(&format!("{name}: nothing to do: {why}"), &value)?;
            }
            Err(error) if error.kind() == Kind::Cancelled => cancelled = cancelled.or(Some(error)),
            Err(error) => match &failed {
                None => failed = Some(error),
                Some(_) => face.report.error(&error, 1),
            },
        }
    }
    cancelled.or(failed).map_or(Ok(()), Err)
}

/// Does one of them when it is its turn, and tells what comes of it.
async fn run(cx: &Context, task: &Task, turns: &Semaphore, telling: Option<&Telling>) -> Result<Outcome> {
    let Task { job, doing, .. } = task;
    let _turn = turns.acquire().await.doing(|| "wait for others")?;
    if cx.cancel.is_cancelled() {
        return Err(Error::cancelled());
    }
    let tell = |what| {
        if let Some(telling) = telling {
            telling.on(&Notice { job: job.name.clone(), at: Timestamp::now(), what });
        }
    };
    tell(What::Begun);
    let begun = Instant::now();
    let ran = job.work.run(cx, Why::Asked).await.doing(|| doing.clone());
    tell(match &ran {
        Ok(Outcome::Done { line, .. }) => {
            let took = SignedDuration::try_from(begun.elapsed()).unwrap_or(SignedDuration::MAX);
            What::Succeeded { line: line.clone(), took, after: 0 }
        }
        Ok(Outcome::Idle(why)) => What::Idle { line: why.clone() },
        Err(error) => What::Failed { line: error.chain(), hint: error.hint().map(str::to_owned), failures: 1 },
    });
    ran
}
