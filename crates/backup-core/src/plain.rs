//! How our backups lie in a sink, as `docs/format.md` tells it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use jiff::Timestamp;

use crate::attempt::{self, Failed};
use crate::draft::{Beginning, PlainDraft};
use crate::look::{Beside, look};
use crate::manifest::{Outline, OutlinedOrigin};
use crate::stored::{PlainStored, read_outline};
use crate::which::missing;
use crate::{BackupId, Context, Depth, Doing, Draft, Entry, Error, Facts, Kind, Name, Origin, Record, Records, Result};
use crate::{Repository, Seal, Sink, State, Stored, Unseal, layout};

/// How long an attempt lasts without a sign of life.
const LEASE: Duration = Duration::from_secs(60 * 60);

/// Backups as plain files, a folder each, that stock tools open.
#[derive(Debug, Clone)]
pub struct Plain {
    /// Where they lie.
    pub sink: Arc<dyn Sink>,
    /// How new ones are sealed.
    pub seal: Seal,
    /// What opens those that are there.
    pub unseal: Unseal,
    /// How long an attempt counts as running after its last sign of life, at most a day. It gives one each third of it.
    pub lease: Duration,
    /// Program and version, as new manifests tell it.
    pub program: String,
}

impl Plain {
    /// Backups in `sink`, compressed and not encrypted, with a lease of an hour.
    pub fn new(sink: Arc<dyn Sink>, program: impl Into<String>) -> Self {
        Self { sink, seal: Seal::default(), unseal: Unseal::default(), lease: LEASE, program: program.into() }
    }

    /// The IDs of all folders of `job`, whatever they hold, oldest first.
    async fn ids(&self, job: &Name) -> Result<BTreeSet<BackupId>> {
        let folder = layout::job_folder(job)?;
        let mut ids = BTreeSet::new();
        let mut entries = self.sink.list(&folder, Depth::One);
        while let Some(entry) = entries.try_next().await.doing(|| format!("list {job}"))? {
            if let Entry::Group(key) = entry {
                ids.extend(key.file_name().parse::<BackupId>());
            }
        }
        Ok(ids)
    }

    /// Deletes the folder of an attempt or of what is left of a backup. `Ok(false)`: it became a backup meanwhile.
    async fn clear(&self, job: &Name, id: BackupId) -> Result<bool> {
        let folder = layout::folder(job, id)?;
        // The attempt first, then the look for a manifest: see PlainDraft::publish.
        self.sink.delete(&folder.join(layout::ATTEMPT)?).await?;
        if self.beside(job, id).await?.is_listed() {
            return Ok(false);
        }
        let mut keys = Vec::new();
        let mut entries = self.sink.list(&folder, Depth::All);
        while let Some(entry) = entries.try_next().await? {
            keys.push(entry.key().clone());
        }
        drop(entries);
        for key in keys {
            self.sink.delete(&key).await?;
        }
        Ok(true)
    }

    async fn beside(&self, job: &Name, id: BackupId) -> Result<Beside<'_>> {
        Beside::list(&*self.sink, job, id).await
    }

    async fn must_be_listed(&self, job: &Name, id: BackupId) -> Result<Beside<'_>> {
        let beside = self.beside(job, id).await?;
        if beside.is_listed() { Ok(beside) } else { Err(self.missing(job, id).await) }
    }

    /// Why there is no such backup.
    async fn missing(&self, job: &Name, id: BackupId) -> Error {
        missing(&format!("{id} of {job}"), look(&*self.sink, job, id).await.as_ref())
    }

    async fn sealed(&self, job: &Name, id: BackupId) -> Result<PlainStored> {
        match PlainStored::sealed(&self.sink, job, id).await {
            Err(error) if error.kind() == Kind::NotFound => Err(self.missing(job, id).await),
            stored => stored,
        }
    }
}

#[async_trait]
impl Repository for Plain {
    async fn begin(&self, cx: &Context, job: &Name) -> Result<Box<dyn Draft>> {
        let newest = self.ids(job).await?.into_iter().next_back();
        let Self { sink, seal, lease, program, .. } = self;
        let beginning = Beginning { cx, sink, seal, lease: *lease, program, job, newest };
        Ok(Box::new(Box::pin(PlainDraft::begin(beginning)).await?))
    }

    async fn records(&self, job: &Name) -> Result<Vec<Records>> {
        let mut records = Vec::new();
        for id in self.ids(job).await? {
            records.extend(look(&*self.sink, job, id).await);
        }
        Ok(records)
    }

    async fn origin(&self, job: &Name) -> Result<Option<Origin>> {
        let mut unread = None;
        for id in self.ids(job).await?.into_iter().rev() {
            match read_outline(&*self.sink, job, id).await {
                Ok(Outline { origin: OutlinedOrigin { kind, identity, version }, .. }) => {
                    return Ok(Some(Origin { kind, identity, version, facts: Facts::new() }));
                }
                Err(error) if error.kind() == Kind::NotFound => {}
                // An older one says the same. A backup that waits for this one to be readable would not be taken at all.
                Err(error) => drop(unread.get_or_insert(error)),
            }
        }
        // Where none says whose they are, another source would be taken for it in silence.
        unread.map_or(Ok(None), |error| {
            let failed = format!("of the backups of {job} none can be read, so whose they are is not known");
            let kind = error.kind();
            Err(Error::new(kind, failed).with_source(error).with_hint("see to them, or say that the job has a new source"))
        })
    }

    async fn open(&self, job: &Name, id: BackupId) -> Result<Arc<dyn Stored>> {
        let stored = self.sealed(job, id).await?;
        Ok(Arc::new(Box::pin(stored.unsealed(&self.unseal)).await?))
    }

    async fn open_sealed(&self, job: &Name, id: BackupId) -> Result<Arc<dyn Stored>> {
        Ok(Arc::new(self.sealed(job, id).await?))
    }

    async fn record(&self, job: &Name, id: BackupId, record: &Record) -> Result<()> {
        let mut beside = self.must_be_listed(job, id).await?;
        let written = match record {
            Record::Verified { at, .. } => beside.put(layout::VERIFIED, *at, record).await,
            Record::Damaged { at, .. } => beside.put(layout::DAMAGED, *at, record).await,
            Record::Proven { at, .. } => beside.put(layout::PROOF, *at, record).await,
            Record::Pinned { .. } => beside.pin(record).await,
        };
        written.doing(|| format!("put a record beside {id} of {job}"))
    }

    async fn unpin(&self, job: &Name, id: BackupId) -> Result<()> {
        self.must_be_listed(job, id).await?;
        let pin = layout::folder(job, id)?.join(layout::PIN)?;
        self.sink.delete(&pin).await.doing(|| format!("unpin {id} of {job}"))
    }

    async fn delete(&self, job: &Name, id: BackupId) -> Result<()> {
        let folder = layout::folder(job, id)?;
        let beside = self.beside(job, id).await?;
        if let Some((State::Running, _)) = beside.state().await? {
            return Err(Error::new(Kind::Busy, format!("backup {id} of {job} is being taken"))
                .with_hint("wait until it has ended, or its lease has"));
        }
        if beside.is_empty() && !self.ids(job).await?.contains(&id) {
            return Err(Error::new(Kind::NotFound, format!("there is no backup {id} of {job}")));
        }
        let doing = || format!("delete {id} of {job}");
        if beside.is_listed() {
            // Best effort, so that a deletion that breaks off is not taken for an attempt that runs.
            let failed = Failed { at: Timestamp::now(), why: "its deletion broke off".into() };
            let _ = attempt::write(&*self.sink, &folder, layout::FAILED, &failed).await;
            self.sink.delete(&folder.join(layout::MANIFEST)?).await.doing(doing)?;
        }
        if self.clear(job, id).await.doing(doing)? {
            return Ok(());
        }
        Err(Error::new(Kind::Busy, format!("backup {id} of {job} came into being just now, and stays")))
    }

    async fn sweep(&self, job: &Name) -> Result<()> {
        for id in self.ids(job).await? {
            if self.beside(job, id).await?.state().await?.is_none() {
                self.clear(job, id).await.doing(|| format!("sweep {id} of {job}"))?;
            }
        }
        self.sink.sweep(&layout::job_folder(job)?, self.lease).await
    }
}
