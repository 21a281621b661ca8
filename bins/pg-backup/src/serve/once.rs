//! One cycle: every backup is taken once, now.

use std::time::Instant;

use backup_cli::Face;
use backup_core::{Context, Doing, Kind, Result};
use backup_service::tell::Telling;
use backup_service::{Listener, Notice, Outcome, What, Why};
use jiff::{SignedDuration, Timestamp};

use super::task::Task;

/// Tries every one of `tasks`; the first failure is that of the cycle. Whether it can be told changes nothing of that.
pub(super) async fn once(face: &Face, cx: &Context, tasks: &[Task], telling: Option<&Telling>) -> Result<()> {
    let mut failed = None;
    for Task { job, doing, .. } in tasks {
        let (name, begun) = (&job.name, Instant::now());
        let tell = |what| {
            if let Some(telling) = telling {
                telling.on(&Notice { job: name.clone(), at: Timestamp::now(), what });
            }
        };
        tell(What::Begun);
        match job.work.run(cx, Why::Asked).await {
            Ok(Outcome::Done { line, bytes }) => {
                let value = serde_json::json!({"job": name, "done": line, "bytes": bytes});
                let took = SignedDuration::try_from(begun.elapsed()).unwrap_or(SignedDuration::MAX);
                tell(What::Succeeded { line: line.clone(), took, after: 0 });
                face.report.result(&format!("{name}: {line}"), &value)?;
            }
            Ok(Outcome::Idle(why)) => {
                let value = serde_json::json!({"job": name, "idle": why});
                tell(What::Idle { line: why.clone() });
                face.report.result(&format!("{name}: nothing to do: {why}"), &value)?;
            }
            Err(error) => {
                let error = Err::<(), _>(error).doing(|| doing.clone());
                let Err(error) = error else { continue };
                tell(What::Failed { line: error.chain(), hint: error.hint().map(str::to_owned), failures: 1 });
                if error.kind() == Kind::Cancelled {
                    return Err(error);
                }
                match &failed {
                    None => failed = Some(error),
                    Some(_) => face.report.error(&error, 1),
                }
            }
        }
    }
    failed.map_or(Ok(()), Err)
}
