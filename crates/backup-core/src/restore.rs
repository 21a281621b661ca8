//! Brings a backup back.

use crate::{BackupId, Context, Name, Repository, Restored, Result, Target};

/// Brings `id` of `job` back into `target`, which refuses to replace what is there unless it was configured to.
///
/// Nothing is touched unless the backup opens: its manifest is sound and there is a key for its parts. When the run is
/// cancelled it is the target that ends, as it was handed `cx`.
pub async fn restore(cx: &Context, repo: &dyn Repository, job: &Name, id: BackupId, target: &dyn Target) -> Result<Restored> {
    let stored = cx.unless_cancelled(repo.open(job, id)).await?;
    target.restore(cx, &*stored).await
}
