//! Proves a backup: restores it for real and compares what is there then.

use jiff::Timestamp;

use crate::verify::record;
use crate::{BackupId, Checked, Context, Difference, Error, Kind, Name, Record, Repository, Result, Target};

/// How many differences an error names.
const NAMED: usize = 3;

/// Restores `id` of `job` into `target`, a scratch place, compares what is there with what the backup says, and records
/// the proof.
///
/// [`Kind::Differs`] if the two differ, which is recorded too. Whatever else kept it from being told is
/// [`Kind::Unproven`], never a pass; a damaged backup stays [`Kind::Damaged`], a cancelled run [`Kind::Cancelled`].
pub async fn prove(cx: &Context, repo: &dyn Repository, job: &Name, id: BackupId, target: &dyn Target) -> Result<Checked> {
    let stored = cx.unless_cancelled(repo.open(job, id)).await?;
    let compared = async {
        target.restore(cx, &*stored).await?;
        let checked = target.compare(cx, &*stored).await?;
        if checked.counts.values().all(|count| *count == 0) && checked.differences.is_empty() {
            return Err(Error::new(Kind::Unproven, "nothing was compared"));
        }
        Ok(checked)
    };
    let checked = compared.await.map_err(unproven)?;
    record(cx, repo, job, id, &Record::Proven { at: Timestamp::now(), checked: checked.clone() }).await;
    if checked.differences.is_empty() { Ok(checked) } else { Err(differs(id, &checked.differences)) }
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
