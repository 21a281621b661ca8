//! Listed means whole: how backups lie in a sink.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{BackupId, Body, Context, Facts, Manifest, Name, Origin, Part, Record, Records, Result};

/// How backups lie in a sink. [`Plain`](crate::Plain) is ours.
#[async_trait]
pub trait Repository: Debug + Send + Sync {
    /// Begins a backup of `job`: from here on there is an attempt, and no backup yet.
    async fn begin(&self, cx: &Context, job: &Name) -> Result<Box<dyn Draft>>;

    /// What there is of `job`, attempts included, oldest first. A backup whose manifest is damaged or cannot be read is
    /// among them: it is listed, has no size, and says why. An error only if not even their IDs can be told.
    async fn records(&self, job: &Name) -> Result<Vec<Records>>;

    /// Whose state the newest backup of `job` holds, without facts; `None` if there is no backup. Those whose manifests are
    /// damaged or cannot be read are passed over; if there are no others, that is an error.
    async fn origin(&self, job: &Name) -> Result<Option<Origin>>;

    /// Opens a backup: its manifest was read and is sound. [`Kind::NotFound`](crate::Kind::NotFound) if it is not
    /// listed; [`Kind::Failed`](crate::Kind::Failed) with a hint if it is encrypted and there is no key that opens it.
    async fn open(&self, job: &Name, id: BackupId) -> Result<Arc<dyn Stored>>;

    /// As [`open`](Self::open), and needs no key: then the parts of an encrypted backup are not known.
    async fn open_sealed(&self, job: &Name, id: BackupId) -> Result<Arc<dyn Stored>>;

    /// Puts a record beside a backup: that it was verified, proven, pinned.
    async fn record(&self, job: &Name, id: BackupId, record: &Record) -> Result<()>;

    /// Takes the pin from a backup.
    async fn unpin(&self, job: &Name, id: BackupId) -> Result<()>;

    /// Deletes a backup or a failed attempt, the manifest first. [`Kind::Busy`](crate::Kind::Busy) for an attempt that runs.
    async fn delete(&self, job: &Name, id: BackupId) -> Result<()>;

    /// Removes what dead runs left of `job` that is neither backup nor attempt: ends of deletions that broke off,
    /// partial files.
    async fn sweep(&self, _job: &Name) -> Result<()> {
        Ok(())
    }
}

/// A backup that is being taken. Dropped: it never was.
#[async_trait]
pub trait Draft: Debug + Send + Sync {
    /// What the backup will be called.
    fn id(&self) -> BackupId;

    /// Stores a part and returns how many bytes it had before it was sealed. `facts` are read once `body` has ended.
    /// Several may be stored at once; the manifest keeps the order of `order`, which is unique and rises in restore order.
    async fn put(&self, order: u64, part: &Part, body: Body, facts: &std::sync::OnceLock<Facts>) -> Result<u64>;

    /// Makes it a backup: writes the sums, then the manifest.
    async fn commit(self: Box<Self>, origin: Origin) -> Result<Manifest>;

    /// Says why it never became one, and frees what can be freed: best effort, since something is wrong already.
    async fn abort(self: Box<Self>, why: &crate::Error);
}

/// A backup that exists.
#[async_trait]
pub trait Stored: Debug + Send + Sync {
    /// What it holds.
    fn manifest(&self) -> &Manifest;

    /// Opens a part as it was before it was sealed. Its digests are checked on the way:
    /// [`Kind::Damaged`](crate::Kind::Damaged) before end of file if they are not those of the manifest.
    async fn read(&self, part: &Name) -> Result<Body>;

    /// Reads every stored file to its end and compares size and digest, which needs no key; `unseal` compares the parts
    /// inside too. Returns how many stored bytes were read; [`Kind::Damaged`](crate::Kind::Damaged), told once all was read,
    /// names the first few files and counts the others. Of an encrypted backup it names no part.
    async fn verify(&self, cx: &Context, unseal: bool) -> Result<u64>;
}
