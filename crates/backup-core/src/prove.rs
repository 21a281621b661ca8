//! Proves a backup: restores it for real and compares what is there then.

use jiff::Timestamp;

use crate::verify::{look_for_damage, record};
use crate::{BackupId, Checked, Context, Difference, Error, Event, Kind, Name, Record, Repository, Result, Target};

/// How many differences an error names.
const NAMED: usize = 3;
/// How many differences are told.
const TOLD: usize = 100;

/// Restores `id` of `job` into `target`, a scratch place, compares what is there with what the backup says, and records
/// the proof if all of the backup was compared: a part that is equal is no proof, and nothing is recorded.
///
/// [`Kind::Differs`] if the two differ, which is recorded too, and each difference is told, of very many the first hundred. A
/// backup that is not there is [`Kind::NotFound`], a damaged one [`Kind::Damaged`], which is recorded once all of it was read
/// and that agrees, a cancelled run [`Kind::Cancelled`], a target that cannot be meant [`Kind::Usage`]. Whatever else kept it
/// from being told, a key that is missing too, is [`Kind::Unproven`], never a pass.
pub async fn prove(cx: &Context, repo: &dyn Repository, job: &Name, id: BackupId, target: &dyn Target) -> Result<Checked> {
    match compared(cx, repo, job, id, target).await {
        Ok(checked) => {
            if checked.differences.is_empty() {
                Ok(checked)
            } else {
                for difference in checked.differences.iter().take(TOLD) {
                    cx.tell(Event::Differs { difference });
                }
                Err(differs(id, &checked.differences))
            }
        }
        Err(error) => {
            if error.kind() == Kind::Damaged {
                look_for_damage(cx, repo, job, id).await;
            }
            Err(error)
        }
    }
}

/// Restores, compares, and records what was found.
async fn compared(cx: &Context, repo: &dyn Repository, job: &Name, id: BackupId, target: &dyn Target) -> Result<Checked> {
    let stored = cx.unless_cancelled(repo.open(job, id)).await.map_err(|error| match error.kind() {
        Kind::NotFound => error,
        _ => unproven(error),
    })?;
    target.restore(cx, &*stored).await.map_err(unproven)?;
    let checked = target.compare(cx, &*stored).await.map_err(unproven)?;
    if checked.counts.values().all(|count| *count == 0) && checked.differences.is_empty() {
        return Err(Error::new(Kind::Unproven, "nothing was compared"));
    }
    if checked.is_proof() || !checked.differences.is_empty() {
        let is_encrypted = stored.manifest().seal.encryption.is_some();
        let told = if is_encrypted { checked.sealed() } else { checked.clone() };
        record(cx, repo, job, id, &Record::Proven { at: Timestamp::now(), checked: told }).await;
    }
    if !checked.whole && checked.differences.is_empty() {
        cx.tell(Event::Warning {
            what: "what was compared is equal; it is a part of the backup only, so no proof is recorded",
        });
    }
    Ok(checked)
}

fn unproven(error: Error) -> Error {
    match error.kind() {
        Kind::Damaged | Kind::Cancelled | Kind::StillPaused | Kind::Unproven | Kind::Usage => error,
        _ => error.with_kind(Kind::Unproven),
    }
}

fn differs(id: BackupId, differences: &[Difference]) -> Error {
    let tell = |difference: &Difference| {
        let Difference { what, expected, found } = difference;
        format!("{what}: {expected} in the backup, {found} restored")
    };
    let named: Vec<String> = differences.iter().take(NAMED).map(tell).collect();
    let count = differences.len();
    Error::new(Kind::Differs, format!("backup {id} restores with {count} differences: {}", named.join("; ")))
}
