//! How our backups lie in a sink, as `docs/format.md` tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};

use crate::attempt::{self, Attempt, Failed, Lease};
use crate::draft::{Beginning, PlainDraft};
use crate::stored::{PlainStored, read_manifest};
use crate::{BackupId, Context, Depth, Doing, Draft, Entry, Error, Key, Kind, Manifest, Name, Record, Records, Result};
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

    /// The names of the files beside the parts of a backup.
    async fn beside(&self, folder: &Key) -> Result<BTreeSet<String>> {
        let entries = self.sink.list(folder, Depth::One).try_filter_map(async |entry| {
            Ok(if let Entry::Object(key, _) = entry { Some(key.file_name().to_owned()) } else { None })
        });
        entries.try_collect().await.doing(|| format!("list {folder}"))
    }

    /// What there is of a backup; `None` for what a deletion left that broke off.
    async fn look(&self, job: &Name, id: BackupId) -> Result<Option<Records>> {
        let folder = layout::folder(job, id)?;
        let files = self.beside(&folder).await?;
        let state = self.state(&folder, &files).await?;
        let Some((state, why)) = state else { return Ok(None) };
        let mut records =
            Records { id, state, verified: None, proven: None, pinned: false, needs: Vec::new(), size: None, why };
        if state != State::Listed {
            return Ok(Some(records));
        }
        match read_manifest(&*self.sink, job, id).await {
            Ok(manifest) => {
                records.size = Some(manifest.stored_size());
                records.needs = manifest.needs;
            }
            // Someone deletes it just now.
            Err(error) if error.kind() == Kind::NotFound => return Ok(None),
            Err(error) if error.kind() == Kind::Damaged => records.why = Some(error.chain()),
            Err(error) => return Err(error),
        }
        records.pinned = files.contains(layout::PIN);
        // A record that cannot be read counts for nothing; damage found after a good record takes it back.
        let verified = self.newest_record(&folder, &files, layout::VERIFIED).await?;
        let proof = self.newest_record(&folder, &files, layout::PROOF).await?;
        let damaged = self.newest_record(&folder, &files, layout::DAMAGED).await?;
        let mut bad = None;
        if let Some(Record::Damaged { at, what }) = damaged {
            bad = Some(at);
            records.why.get_or_insert(what);
        }
        if let Some(Record::Verified { at, .. }) = verified {
            records.verified = Some(at).filter(|at| bad < Some(*at));
            if records.verified.is_some() && records.size.is_some() {
                records.why = None;
            }
        }
        if let Some(Record::Proven { at, checked }) = proof {
            records.proven = Some(at).filter(|at| checked.differences.is_empty() && bad < Some(*at));
        }
        if records.size.is_none() {
            (records.verified, records.proven) = (None, None);
        }
        Ok(Some(records))
    }

    async fn state(&self, folder: &Key, files: &BTreeSet<String>) -> Result<Option<(State, Option<String>)>> {
        if files.contains(layout::MANIFEST) {
            return Ok(Some((State::Listed, None)));
        }
        if files.contains(layout::FAILED) {
            let failed = soft(attempt::read::<Failed>(&*self.sink, folder, layout::FAILED).await)?;
            return Ok(Some((State::Failed, failed.map(|failed| failed.why))));
        }
        if !files.contains(layout::ATTEMPT) {
            return Ok(None);
        }
        let mut until =
            soft(attempt::read::<Attempt>(&*self.sink, folder, layout::ATTEMPT).await)?.map(|attempt| attempt.until);
        let leases = files.iter().filter_map(|name| Some((layout::between(name, layout::LEASE)?.parse::<u64>().ok()?, name)));
        if let Some((_, name)) = leases.max() {
            until = until.max(soft(attempt::read::<Lease>(&*self.sink, folder, name).await)?.map(|lease| lease.until));
        }
        let died = || {
            Some(until.map_or("its attempt.json is damaged".into(), |until| format!("its run died: the lease ended {until}")))
        };
        let runs = until.is_some_and(|until| attempt::runs(until, Timestamp::now()));
        Ok(Some(if runs { (State::Running, None) } else { (State::Failed, died()) }))
    }

    async fn newest_record(&self, folder: &Key, files: &BTreeSet<String>, prefix: &str) -> Result<Option<Record>> {
        let times = files.iter().filter_map(|name| Some((layout::between(name, prefix)?.parse::<BackupId>().ok()?, name)));
        match times.max() {
            Some((_, name)) => soft(attempt::read(&*self.sink, folder, name).await),
            None => Ok(None),
        }
    }

    /// Deletes the folder of an attempt or of what is left of a backup. `Ok(false)`: it became a backup meanwhile.
    async fn clear(&self, folder: &Key) -> Result<bool> {
        // The attempt first, then the look for a manifest: see PlainDraft::publish.
        self.sink.delete(&folder.join(layout::ATTEMPT)?).await?;
        if self.beside(folder).await?.contains(layout::MANIFEST) {
            return Ok(false);
        }
        let mut keys = Vec::new();
        let mut entries = self.sink.list(folder, Depth::All);
        while let Some(entry) = entries.try_next().await? {
            keys.push(entry.key().clone());
        }
        drop(entries);
        for key in keys {
            self.sink.delete(&key).await?;
        }
        Ok(true)
    }

    async fn must_be_listed(&self, job: &Name, id: BackupId) -> Result<Key> {
        let folder = layout::folder(job, id)?;
        if self.beside(&folder).await?.contains(layout::MANIFEST) {
            return Ok(folder);
        }
        Err(Error::new(Kind::NotFound, format!("there is no backup {id} of {job}")))
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
            records.extend(self.look(job, id).await.doing(|| format!("look at {id} of {job}"))?);
        }
        Ok(records)
    }

    async fn newest(&self, job: &Name) -> Result<Option<Manifest>> {
        for id in self.ids(job).await?.into_iter().rev() {
            match read_manifest(&*self.sink, job, id).await {
                Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Damaged) => {}
                manifest => return manifest.map(Some),
            }
        }
        Ok(None)
    }

    async fn open(&self, job: &Name, id: BackupId) -> Result<Arc<dyn Stored>> {
        let stored = PlainStored::sealed(&self.sink, job, id).await?;
        Ok(Arc::new(Box::pin(stored.unsealed(&self.unseal)).await?))
    }

    async fn open_sealed(&self, job: &Name, id: BackupId) -> Result<Arc<dyn Stored>> {
        Ok(Arc::new(PlainStored::sealed(&self.sink, job, id).await?))
    }

    async fn record(&self, job: &Name, id: BackupId, record: &Record) -> Result<()> {
        let folder = self.must_be_listed(job, id).await?;
        let (prefix, at) = match record {
            Record::Verified { at, .. } => (layout::VERIFIED, at),
            Record::Damaged { at, .. } => (layout::DAMAGED, at),
            Record::Proven { at, .. } => (layout::PROOF, at),
            Record::Pinned { .. } => {
                let pinned = attempt::write(&*self.sink, &folder, layout::PIN, record).await;
                return pinned.or_else(|error| if error.kind() == Kind::AlreadyExists { Ok(()) } else { Err(error) });
            }
        };
        // Of two in the same second the later one takes the next.
        let mut written = Err(Error::failed("found no free name for the record"));
        for second in 0..100 {
            let time = at.saturating_add(SignedDuration::from_secs(second)).unwrap_or(*at);
            written = attempt::write(&*self.sink, &folder, &format!("{prefix}{}.json", BackupId::at(time)), record).await;
            if !matches!(&written, Err(error) if error.kind() == Kind::AlreadyExists) {
                break;
            }
        }
        written.doing(|| format!("put a record beside {id} of {job}"))
    }

    async fn unpin(&self, job: &Name, id: BackupId) -> Result<()> {
        let folder = self.must_be_listed(job, id).await?;
        self.sink.delete(&folder.join(layout::PIN)?).await.doing(|| format!("unpin {id} of {job}"))
    }

    async fn delete(&self, job: &Name, id: BackupId) -> Result<()> {
        let folder = layout::folder(job, id)?;
        let files = self.beside(&folder).await?;
        if let Some((State::Running, _)) = self.state(&folder, &files).await? {
            return Err(Error::new(Kind::Busy, format!("backup {id} of {job} is being taken"))
                .with_hint("wait until it has ended, or its lease has"));
        }
        if files.is_empty() && !self.ids(job).await?.contains(&id) {
            return Err(Error::new(Kind::NotFound, format!("there is no backup {id} of {job}")));
        }
        let doing = || format!("delete {id} of {job}");
        if files.contains(layout::MANIFEST) {
            // Best effort, so that a deletion that breaks off is not taken for an attempt that runs.
            let failed = Failed { at: Timestamp::now(), why: "its deletion broke off".into() };
            let _ = attempt::write(&*self.sink, &folder, layout::FAILED, &failed).await;
            self.sink.delete(&folder.join(layout::MANIFEST)?).await.doing(doing)?;
        }
        if self.clear(&folder).await.doing(doing)? {
            return Ok(());
        }
        Err(Error::new(Kind::Busy, format!("backup {id} of {job} came into being just now, and stays")))
    }

    async fn sweep(&self, job: &Name) -> Result<()> {
        let folders: BTreeMap<BackupId, Key> =
            self.ids(job).await?.into_iter().map(|id| Ok((id, layout::folder(job, id)?))).collect::<Result<_>>()?;
        for (id, folder) in folders {
            let files = self.beside(&folder).await?;
            if self.state(&folder, &files).await?.is_none() {
                self.clear(&folder).await.doing(|| format!("sweep {id} of {job}"))?;
            }
        }
        self.sink.sweep(&layout::job_folder(job)?, self.lease).await
    }
}

/// What is read beside a backup may be damaged; then it counts for nothing.
fn soft<T>(read: Result<Option<T>>) -> Result<Option<T>> {
    match read {
        Err(error) if error.kind() == Kind::Damaged => {
            tracing::warn!(error = error.chain(), "a file beside a backup counts for nothing");
            Ok(None)
        }
        read => read,
    }
}
