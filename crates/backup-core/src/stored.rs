//! A backup that exists: its parts, checked while they are read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio::io::AsyncReadExt;

use crate::body::{self, Body};
use crate::checked::{checked, told};
use crate::draft::Details;
use crate::manifest::{self, File, Manifest, Outline, StoredPart};
use crate::seal::{Opener, Unseal, no_key};
use crate::{BackupId, BoxError, Context, Depth, Doing, Error, Event, Key, Kind, Name, Result, Sink, Stored, attempt, layout};

/// The longest stored key, in bytes.
const LONGEST_KEY: u64 = 64 * 1024;
/// How many damaged files an error names.
const NAMED: usize = 5;

/// A backup of [`Plain`](crate::Plain).
#[derive(Debug)]
pub(crate) struct PlainStored {
    sink: Arc<dyn Sink>,
    folder: Key,
    manifest: Manifest,
    files: BTreeMap<Key, File>,
    opener: Option<Opener>,
}

impl PlainStored {
    /// Reads and checks the manifest.
    pub(crate) async fn sealed(sink: &Arc<dyn Sink>, job: &Name, id: BackupId) -> Result<Self> {
        let folder = layout::folder(job, id)?;
        let manifest = read_manifest(&**sink, job, id).await?;
        let files = manifest.files.iter().map(|file| (file.key.clone(), file.clone())).collect();
        Ok(Self { sink: sink.clone(), folder, manifest, files, opener: None })
    }

    /// Finds the key, and what the manifest keeps to those who have it.
    pub(crate) async fn unsealed(mut self, unseal: &Unseal) -> Result<Self> {
        let seal = self.manifest.seal.clone();
        if seal.encryption.is_some() && unseal.is_empty() {
            return Err(no_key());
        }
        let mut opener = unseal.opener(&seal.compression, seal.encryption.as_deref())?;
        if let Some(key) = &seal.details {
            // Its digest first: what does not open then is not damaged, it is the key that does not fit.
            let bytes = Bytes::from(body::to_vec(self.file(key).await?, manifest::LONGEST).await?);
            let open = async |opener: &Opener| {
                let body = opener.open(body::from_bytes(bytes.clone()), key.as_str());
                body::to_vec(body, manifest::LONGEST).await.doing(|| format!("open {}", self.manifest.id))
            };
            let mut json = open(&opener).await;
            if json.as_ref().is_err_and(|error| error.kind() == Kind::Failed)
                && let (Some(passphrase), Some(key)) = (&unseal.passphrase, &seal.key)
            {
                opener = opener.with(passphrase.unlock(body::to_vec(self.file(key).await?, LONGEST_KEY).await?).await?);
                json = open(&opener).await;
            }
            let json = json?;
            // What is wrong with it has names in it, and damage is recorded where everyone can read it.
            let wrong = |error: BoxError| {
                tracing::debug!(%error, "what is sealed in {key} is wrong");
                Error::damaged(format!("{key} does not say what it must"))
            };
            let Details { parts, facts } = serde_json::from_slice(&json).map_err(|error| wrong(error.into()))?;
            self.manifest.parts = parts;
            self.manifest.origin.facts = facts;
            self.manifest.check().map_err(|error| wrong(error.into()))?;
        }
        self.opener = Some(opener);
        Ok(self)
    }

    /// Opens a stored file as it lies; its end comes only if it is what was written.
    async fn file(&self, key: &Key) -> Result<Body> {
        let missing = || Error::damaged(format!("{key} is missing"));
        let file = if *key == self.manifest.sums.key { Some(&self.manifest.sums) } else { self.files.get(key) };
        let file = file.ok_or_else(missing)?;
        match self.sink.get(&self.folder.join(key.as_str())?, None).await {
            Err(error) if error.kind() == Kind::NotFound => Err(missing()),
            body => Ok(checked(body?, key.as_str(), file.size, file.sha256)),
        }
    }

    /// Opens a part; what passes of its stored bytes is told to `cx`.
    async fn part(&self, part: &StoredPart, cx: Option<&Context>) -> Result<Body> {
        let opener = self.opener.as_ref().ok_or_else(no_key)?;
        let mut body: Body = body::from_bytes("");
        for key in &part.files {
            let file = self.file(key).await?;
            let file = if let Some(cx) = cx { told(cx, &part.name, file) } else { file };
            body = Box::pin(body.chain(opener.open(file, key.as_str())));
        }
        Ok(checked(body, self.describe(part), part.size, part.sha256))
    }

    /// A part in words that everyone may read: of an encrypted backup the names of the files.
    fn describe(&self, part: &StoredPart) -> String {
        if self.manifest.seal.encryption.is_none() {
            return format!("part {}", part.name.as_str());
        }
        let files: Vec<&str> = part.files.iter().map(Key::as_str).collect();
        format!("what is sealed in {}", files.join(", "))
    }

    /// Reads `body` to its end. An error that is no damage ends the whole; damage is kept in `damage`.
    async fn look(&self, cx: &Context, body: Result<Body>, damage: &mut Vec<String>) -> Result<()> {
        let read = match body {
            Ok(body) => cx.unless_cancelled(body::drain(body)).await,
            Err(error) => Err(error),
        };
        match read {
            Err(error) if error.kind() == Kind::Damaged => damage.push(error.chain()),
            read => drop(read?),
        }
        Ok(())
    }

    /// What is wrong with the small files beside the parts: the attempt, leases, earlier records.
    async fn damaged_records(&self, cx: &Context) -> Result<Vec<String>> {
        let mut entries = self.sink.list(&self.folder, Depth::One);
        let mut damage = Vec::new();
        while let Some(entry) = cx.unless_cancelled(entries.try_next()).await? {
            let name = entry.key().strip(&self.folder).unwrap_or_default();
            if !layout::is_ours(name) || [layout::MANIFEST, layout::SUMS].contains(&name) {
                continue;
            }
            match attempt::read::<serde_json::Value>(&*self.sink, &self.folder, name).await {
                Err(error) if error.kind() == Kind::Damaged => damage.push(error.chain()),
                read => drop(read?),
            }
        }
        Ok(damage)
    }

    /// Warns of files that nobody listed.
    async fn warn_of_others(&self, cx: &Context) -> Result<()> {
        let mut entries = self.sink.list(&self.folder, Depth::All);
        let (mut others, mut first) = (0_u64, None);
        while let Some(entry) = cx.unless_cancelled(entries.try_next()).await? {
            let name = entry.key().strip(&self.folder).unwrap_or_default();
            if !layout::is_ours(name) && !name.parse().is_ok_and(|key: Key| self.files.contains_key(&key)) {
                others += 1;
                first.get_or_insert_with(|| name.to_owned());
            }
        }
        if let Some(first) = first {
            let id = self.manifest.id;
            cx.tell(Event::Warning { what: &format!("backup {id} has {others} files that it does not list, such as {first}") });
        }
        Ok(())
    }
}

#[async_trait]
impl Stored for PlainStored {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn read(&self, part: &Name) -> Result<Body> {
        self.part(self.manifest.part(part)?, None).await
    }

    async fn verify(&self, cx: &Context, unseal: bool) -> Result<u64> {
        if unseal && self.opener.is_none() {
            return Err(no_key());
        }
        let manifest = &self.manifest;
        let mut damage = Vec::new();
        cx.tell(Event::Begun { what: "verify", parts: manifest.files.len() + 1, bytes: Some(manifest.stored_size()) });
        let mut in_parts = BTreeSet::new();
        for part in manifest.parts.iter().filter(|_| unseal) {
            let (mut of_part, mut of_files) = (Vec::new(), Vec::new());
            self.look(cx, self.part(part, Some(cx)).await, &mut of_part).await?;
            for key in &part.files {
                in_parts.insert(key);
                if !of_part.is_empty() {
                    // Which of its files, and how, is told by the files themselves if they can.
                    self.look(cx, self.file(key).await, &mut of_files).await?;
                }
            }
            damage.extend(if of_files.is_empty() { of_part } else { of_files });
            cx.tell(Event::PartDone { part: &part.name, bytes: part.size });
        }
        for file in std::iter::once(&manifest.sums).chain(&manifest.files).filter(|file| !in_parts.contains(&file.key)) {
            let name: Name = file.key.as_str().parse()?;
            let body = self.file(&file.key).await.map(|body| told(cx, &name, body));
            self.look(cx, body, &mut damage).await?;
            cx.tell(Event::PartDone { part: &name, bytes: file.size });
        }
        damage.extend(self.damaged_records(cx).await?);
        self.warn_of_others(cx).await?;
        if damage.is_empty() {
            return Ok(manifest.stored_size());
        }
        let more = damage.len().checked_sub(NAMED).filter(|more| *more > 0).map(|more| format!("; and {more} more"));
        let named: Vec<&str> = damage.iter().take(NAMED).map(String::as_str).collect();
        let named = format!("{}{}", named.join("; "), more.unwrap_or_default());
        Err(Error::damaged(format!("backup {} is damaged: {named}", manifest.id)).with_hint("use another backup of the job"))
    }
}

/// Reads the manifest of a backup as it is stored.
pub(crate) async fn read_manifest(sink: &dyn Sink, job: &Name, id: BackupId) -> Result<Manifest> {
    let read = |bytes: &[u8]| Manifest::from_bytes(bytes).map(|manifest| (manifest.job.clone(), manifest.id, manifest));
    read_stored(sink, job, id, read).await
}

/// Reads of the manifest of a backup what a listing needs.
pub(crate) async fn read_outline(sink: &dyn Sink, job: &Name, id: BackupId) -> Result<Outline> {
    let read = |bytes: &[u8]| Outline::from_bytes(bytes).map(|outline| (outline.job.clone(), outline.id, outline));
    read_stored(sink, job, id, read).await
}

/// Hands the manifest's bytes to `read`, which says whose they are as well: elsewhere they are damage.
async fn read_stored<T>(
    sink: &dyn Sink,
    job: &Name,
    id: BackupId,
    read: impl FnOnce(&[u8]) -> Result<(Name, BackupId, T)>,
) -> Result<T> {
    let body = match sink.get(&layout::folder(job, id)?.join(layout::MANIFEST)?, None).await {
        Err(error) if error.kind() == Kind::NotFound => {
            return Err(Error::new(Kind::NotFound, format!("there is no backup {id} of {job}")));
        }
        body => body?,
    };
    let bytes = body::to_vec(body, manifest::LONGEST).await.doing(|| format!("read the manifest of {id}"))?;
    let (its_job, its_id, manifest) = read(&bytes).doing(|| format!("read the manifest of {id}"))?;
    if (&its_job, its_id) != (job, id) {
        return Err(Error::damaged(format!("backup {id} of {job} says that it is {its_id} of {its_job}")));
    }
    Ok(manifest)
}
