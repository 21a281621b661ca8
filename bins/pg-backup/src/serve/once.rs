//! One cycle: every backup is taken once, now.

use backup_cli::Face;
use backup_core::{Context, Doing, Kind, Result};
use backup_service::{Outcome, Why};

use super::task::Task;

/// Tries every one of `tasks`; the first failure is that of the cycle.
pub(super) async fn once(face: &Face, cx: &Context, tasks: &[Task]) -> Result<()> {
    let mut failed = None;
    for Task { job, doing, .. } in tasks {
        let name = &job.name;
        match job.work.run(cx, Why::Asked).await {
            Ok(Outcome::Done { line, bytes }) => {
                let value = serde_json::json!({"job": name, "done": line, "bytes": bytes});
                face.report.result(&format!("{name}: {line}"), &value)?;
            }
            Ok(Outcome::Idle(why)) => {
                let value = serde_json::json!({"job": name, "idle": why});
                face.report.result(&format!("{name}: nothing to do: {why}"), &value)?;
            }
            Err(error) => {
                let error = Err::<(), _>(error).doing(|| doing.clone());
                let Err(error) = error else { continue };
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
