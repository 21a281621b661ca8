//! Reads a backup and says whether it is what was written.

use jiff::Timestamp;

use crate::{BackupId, Context, Error, Event, Kind, Name, Record, Repository, Result};

/// Reads every stored byte of a backup and compares it with what was written; returns how many there are. `unseal` opens
/// the parts too and compares what is inside, for which the repository must have the key.
///
/// Records what it found. All is read whatever is damaged: [`Kind::Damaged`] names the first few files and counts the others.
pub async fn verify(cx: &Context, repo: &dyn Repository, job: &Name, id: BackupId, unseal: bool) -> Result<u64> {
    let verified = read(cx, repo, job, id, unseal).await;
    match &verified {
        Ok(bytes) => {
            let verified = Record::Verified { at: Timestamp::now(), bytes: *bytes, unsealed: unseal };
            record(cx, repo, job, id, &verified).await;
        }
        Err(error) => record_damage(cx, repo, job, id, error).await,
    }
    verified
}

/// As [`verify`], after someone came upon damage: records that if it is damage of the stored bytes.
pub(crate) async fn look_for_damage(cx: &Context, repo: &dyn Repository, job: &Name, id: BackupId) {
    if let Err(error) = read(cx, repo, job, id, true).await {
        record_damage(cx, repo, job, id, &error).await;
    }
}

async fn read(cx: &Context, repo: &dyn Repository, job: &Name, id: BackupId, unseal: bool) -> Result<u64> {
    let open = async { if unseal { repo.open(job, id).await } else { repo.open_sealed(job, id).await } };
    cx.unless_cancelled(open).await?.verify(cx, unseal).await
}

async fn record_damage(cx: &Context, repo: &dyn Repository, job: &Name, id: BackupId, error: &Error) {
    if error.kind() == Kind::Damaged {
        record(cx, repo, job, id, &Record::Damaged { at: Timestamp::now(), what: error.chain() }).await;
    }
}

/// Puts a record beside a backup. One that cannot be put, such as into a read-only sink, is a warning: what was found is
/// true all the same.
pub(crate) async fn record(cx: &Context, repo: &dyn Repository, job: &Name, id: BackupId, record: &Record) {
    if let Err(error) = repo.record(job, id, record).await {
        cx.tell(Event::Warning { what: &error.chain() });
    }
}
