//! A backup that is being taken: parts first, then the sums, the manifest last.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_util::task::AbortOnDropHandle;

use crate::attempt::{self, Attempt, Failed};
use crate::body::{self, Body};
use crate::manifest::{self, File, Manifest, Sealed, StoredPart};
use crate::seal::{Seal, Sealer};
use crate::{
    BackupId, Context, Depth, Doing, Draft, Entry, Error, Event, Facts, Key, Kind, Name, Origin, Part, Result, Sink, Tally,
};
use crate::{checked, layout, sums};

/// How often the sink is asked whether an attempt was swept before that counts as unknown.
const TRIES: u32 = 4;
/// How long it waits after the first failure; twice as long after each further one: 7 s in all.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// What the manifest of an encrypted backup does not tell everyone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Details {
    pub(crate) parts: Vec<StoredPart>,
    pub(crate) facts: Facts,
}

/// How an attempt is begun.
pub(crate) struct Beginning<'a> {
    pub(crate) cx: &'a Context,
    pub(crate) sink: &'a Arc<dyn Sink>,
    pub(crate) seal: &'a Seal,
    pub(crate) lease: Duration,
    pub(crate) program: &'a str,
    pub(crate) job: &'a Name,
    /// The newest there is, backup or not.
    pub(crate) newest: Option<BackupId>,
}

/// A draft of [`Plain`](crate::Plain).
pub(crate) struct PlainDraft {
    cx: Context,
    sink: Arc<dyn Sink>,
    folder: Key,
    attempt: Attempt,
    sealer: Sealer,
    sealed: Sealed,
    key: Option<File>,
    parts: Mutex<Parts>,
    _lease: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Parts {
    names: BTreeSet<Name>,
    /// The parts and their files, by their place in the order of restore.
    stored: BTreeMap<u64, (StoredPart, File)>,
}

impl PlainDraft {
    /// Puts an attempt under the first ID that is free and not older than the newest.
    pub(crate) async fn begin(beginning: Beginning<'_>) -> Result<Self> {
        let Beginning { cx, sink, seal, lease, program, job, mut newest } = beginning;
        let (sealer, key) = seal.sealer().await?;
        // Each turn is lost to another run that began in the same second.
        for _ in 0..100 {
            let started = Timestamp::now();
            let id = BackupId::next(started, newest);
            let folder = layout::folder(job, id)?;
            let until = attempt::until(lease);
            let attempt = Attempt { job: job.clone(), id, program: program.to_owned(), started, until };
            match attempt::write(&**sink, &folder, layout::ATTEMPT, &attempt).await {
                Err(error) if error.kind() == Kind::AlreadyExists => newest = Some(id),
                written => {
                    written.doing(|| format!("begin a backup of {job}"))?;
                    let sealed = Sealed {
                        compression: seal.compression.name().to_owned(),
                        encryption: seal.encrypts().then(|| "age".to_owned()),
                        key: None,
                        details: None,
                    };
                    let _lease = attempt::renewed(cx, sink, &folder, lease);
                    let (cx, sink, parts) = (cx.clone(), sink.clone(), Mutex::default());
                    let draft = Self { cx, sink, folder, attempt, sealer, sealed, key: None, parts, _lease };
                    return draft.with_key(key).await;
                }
            }
        }
        Err(Error::failed(format!("found no free ID for a backup of {job}"))
            .with_hint("is the clock right, and are its newest IDs?"))
    }

    async fn with_key(mut self, key: Option<Vec<u8>>) -> Result<Self> {
        if let Some(bytes) = key {
            match self.store(layout::KEY, body::from_bytes(bytes)).await {
                Ok(file) => {
                    self.sealed.key = Some(file.key.clone());
                    self.key = Some(file);
                }
                Err(error) => {
                    self.give_up(&error, true).await;
                    return Err(error);
                }
            }
        }
        Ok(self)
    }

    /// Stores a file of the backup as it is.
    async fn store(&self, name: &str, body: Body) -> Result<File> {
        let put = self.sink.put(&self.folder.join(name)?, body).await?;
        Ok(File { key: name.parse()?, size: put.size, sha256: put.sha256 })
    }

    /// Writes all but the manifest, and returns the manifest.
    async fn finish(&self, origin: Origin) -> Result<Manifest> {
        let stored = std::mem::take(&mut *self.parts.lock().unwrap_or_else(PoisonError::into_inner)).stored;
        let (mut parts, mut files): (Vec<_>, Vec<_>) = stored.into_values().unzip();
        let mut sealed = self.sealed.clone();
        let mut origin = origin;
        if sealed.encryption.is_some() {
            let details = Details { parts: std::mem::take(&mut parts), facts: std::mem::take(&mut origin.facts) };
            let json = serde_json::to_vec(&details).doing(|| "write the details as JSON")?;
            let name = format!("{}{}", layout::DETAILS, self.sealer.suffix());
            let file = self.store(&name, self.sealer.seal(body::from_bytes(json))).await?;
            sealed.details = Some(file.key.clone());
            files.insert(0, file);
        }
        files.splice(0..0, self.key.clone());
        let text = sums::render(&files);
        let sums = sums::file(&text);
        self.store(layout::SUMS, body::from_bytes(text)).await?;
        let Attempt { job, id, program, started, .. } = &self.attempt;
        let manifest = Manifest {
            format: manifest::FORMAT,
            job: job.clone(),
            id: *id,
            program: program.clone(),
            started: *started,
            finished: Timestamp::now(),
            origin,
            needs: Vec::new(),
            seal: sealed,
            sums,
            parts,
            files,
        };
        // What nobody could open must not be listed.
        manifest.check().map(|()| manifest)
    }

    /// Puts the manifest; then, and not before, a look at whether the attempt was swept meanwhile. Also where the put failed:
    /// the manifest may be there all the same.
    ///
    /// Whoever sweeps deletes the attempt first and looks for a manifest then, so that one of the two always sees the other.
    async fn publish(&self, manifest: &Manifest) -> Result<()> {
        let put = self.store(layout::MANIFEST, body::from_bytes(manifest.to_bytes()?)).await;
        match self.was_swept().await {
            Ok(true) => {
                self.sink.delete(&self.folder.join(layout::MANIFEST)?).await?;
                Err(Error::failed("the attempt was swept since its lease had run out")
                    .with_hint("run it again; did the machine sleep, or its clock step?"))
            }
            Ok(false) => put.map(drop),
            Err(error) => put.and(Err(error)),
        }
    }

    async fn was_swept(&self) -> Result<bool> {
        let attempt = self.folder.join(layout::ATTEMPT)?;
        let mut wait = FIRST_WAIT;
        for _ in 1..TRIES {
            match self.sink.get(&attempt, None).await {
                Ok(_) => return Ok(false),
                Err(error) if error.kind() == Kind::NotFound => return Ok(true),
                Err(_) => tokio::time::sleep(wait).await,
            }
            wait *= 2;
        }
        match self.sink.get(&attempt, None).await {
            Err(error) if error.kind() == Kind::NotFound => Ok(true),
            got => {
                let doing = || "see whether its files were swept meanwhile";
                let hint = "the backup may be there, and whole, all the same: list shows it, and verify tells";
                got.map(|_| false).doing(doing).map_err(|error| error.with_hint(hint))
            }
        }
    }

    /// Says why there will be no backup, and frees what was stored unless a manifest might be there.
    async fn give_up(&self, why: &Error, free: bool) {
        // An error may name what is inside, and this is for everyone to read.
        let why =
            if self.sealed.encryption.is_some() { format!("{}: why was told to who ran it", why.kind()) } else { why.chain() };
        let failed = Failed { at: Timestamp::now(), why };
        if let Err(error) = attempt::write(&*self.sink, &self.folder, layout::FAILED, &failed).await {
            tracing::debug!(%error, "failed to say why the attempt failed");
        }
        if free && let Err(error) = self.free().await {
            tracing::debug!(%error, "failed to free what the attempt stored");
        }
    }

    async fn free(&self) -> Result<()> {
        let mut entries = self.sink.list(&self.folder, Depth::All);
        while let Some(entry) = entries.try_next().await? {
            let Entry::Object(key, _) = entry else { continue };
            let name = key.strip(&self.folder).unwrap_or_default();
            if name == layout::SUMS || !layout::is_ours(name) {
                self.sink.delete(&key).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Draft for PlainDraft {
    fn id(&self) -> BackupId {
        self.attempt.id
    }

    async fn put(&self, order: u64, part: &Part, body: Body, facts: &OnceLock<Facts>) -> Result<u64> {
        let name = part.name.clone();
        if !self.parts.lock().unwrap_or_else(PoisonError::into_inner).names.insert(name.clone()) {
            return Err(Error::failed(format!("part {:?} is there twice", name.as_str())));
        }
        let folder = part.folder.as_ref().map_or(layout::PARTS, Key::as_str);
        let file = format!("{folder}/{order:05}.{}{}", part.extension, self.sealer.suffix());
        let tally = Tally::default();
        // On a task of its own: compression is what takes the time, and parts are stored side by side.
        let plain = tally.of(checked::told(&self.cx, &name, body));
        let body = body::spawned(&self.cx.tasks, self.sealer.seal(Box::pin(plain)));
        let file = self.store(&file, body).await.doing(|| format!("store part {}", name.as_str()))?;
        let (size, sha256) = tally.get();
        let facts = facts.get().cloned().unwrap_or_default();
        let stored = StoredPart { name, size, sha256, facts, files: vec![file.key.clone()] };
        let there = self.parts.lock().unwrap_or_else(PoisonError::into_inner).stored.insert(order, (stored, file));
        there.map_or(Ok(size), |_| Err(Error::failed(format!("two parts have place {order} in the order"))))
    }

    async fn commit(self: Box<Self>, origin: Origin) -> Result<Manifest> {
        let manifest = match self.finish(origin).await {
            Ok(manifest) => manifest,
            Err(error) => {
                self.give_up(&error, true).await;
                return Err(error).doing(|| format!("finish backup {}", self.attempt.id));
            }
        };
        if let Err(error) = self.publish(&manifest).await {
            // The manifest may be there all the same: what it names stays.
            self.give_up(&error, false).await;
            return Err(error).doing(|| format!("publish backup {}", self.attempt.id));
        }
        self.cx.tell(Event::Committed { id: self.attempt.id });
        Ok(manifest)
    }

    async fn abort(self: Box<Self>, why: &Error) {
        self.give_up(why, true).await;
    }
}

impl fmt::Debug for PlainDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainDraft").field("folder", &self.folder).finish_non_exhaustive()
    }
}
