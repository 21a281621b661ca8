//! Reads a backup and says whether it is what was written.

use jiff::Timestamp;

use crate::{BackupId, Context, Event, Kind, Name, Record, Repository, Result};

/// Reads every stored byte of a backup and compares it with what was written; returns how many there are. `unseal` opens
/// the parts too and compares what is inside, for which the repository must have the key.
///
/// Records what it found. [`Kind::Damaged`] tells all that is damaged, not only the first.
pub async fn verify(cx: &Context, repo: &dyn Repository, job: &Name, id: BackupId, unseal: bool) -> Result<u64> {
    let open = async { if unseal { repo.open(job, id).await } else { repo.open_sealed(job, id).await } };
    let verified = match cx.unless_cancelled(open).await {
        Ok(stored) => stored.verify(cx, unseal).await,
        Err(error) => Err(error),
    };
    let at = Timestamp::now();
    match &verified {
        Ok(bytes) => record(cx, repo, job, id, &Record::Verified { at, bytes: *bytes, unsealed: unseal }).await,
        Err(error) if error.kind() == Kind::Damaged => {
            record(cx, repo, job, id, &Record::Damaged { at, what: error.chain() }).await;
        }
        Err(_) => {}
    }
    verified
}

/// Puts a record beside a backup. One that cannot be put, such as into a read-only sink, is a warning: what was found is
/// true all the same.
pub(crate) async fn record(cx: &Context, repo: &dyn Repository, job: &Name, id: BackupId, record: &Record) {
    if let Err(error) = repo.record(job, id, record).await {
        cx.tell(Event::Warning { what: &error.chain() });
    }
}
