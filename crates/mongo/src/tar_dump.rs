//! The archives of tsuru's `backup.bash` as dumps: `YYYY-MM-DD-HH-MM-SS-mongodb-dump.tar.gz`, holding `dump/DATABASE/…`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use async_compression::tokio::bufread::GzipDecoder;
use async_trait::async_trait;
use backup_core::{Body, Context, Depth, Doing, Entry, Error, Event, Key, Kind, Result, Sink, body};
use futures_util::TryStreamExt;
use tokio::io::BufReader;

use crate::described::{self, Described};
use crate::digest::Counted;
use crate::documents;
use crate::dump::{Dump, Listed};
use crate::dump_files::{Files, Found, listed};
use crate::heal::{Backup, Backups};
use crate::stored_name::Member;
use crate::tar::Tar;

/// How the name of such an archive ends.
pub const ENDING: &str = "mongodb-dump.tar.gz";
/// The folder in it.
const FOLDER: &str = "dump/";

/// An archive, read through once: it is whole, and what is in it is known.
#[derive(Debug)]
pub struct TarDump {
    sink: Arc<dyn Sink>,
    key: Key,
    /// By database and collection.
    collections: BTreeMap<(String, String), Found>,
    /// The path of the oplog, if there is one.
    oplog: Option<String>,
}

impl TarDump {
    /// Reads the archive to its end. Neither what is in it nor its names need be trusted.
    ///
    /// [`Kind::Damaged`] where it breaks off, where a file is there twice, and where documents are none.
    pub async fn open(sink: Arc<dyn Sink>, key: Key) -> Result<Self> {
        let (files, oplog) = read_through(&*sink, &key).await.doing(|| format!("read {key}"))?;
        Ok(Self { sink, key, collections: files.collections()?, oplog })
    }

    fn found(&self, listed: &Listed) -> Result<&Found> {
        let key = (listed.database.clone(), listed.collection.clone());
        self.collections.get(&key).ok_or_else(|| Error::new(Kind::NotFound, format!("{} has no {listed}", self.key)))
    }

    /// What lies at `path`: found by reading the archive from its beginning.
    fn member(&self, path: &str) -> Body {
        let (sink, key, path) = (self.sink.clone(), self.key.clone(), path.to_owned());
        body::piped(move |mut writer| async move {
            let mut tar = open(&*sink, &key).await?;
            while let Some(member) = tar.next().await? {
                if member.path == path {
                    return tar.copy(&mut writer).await;
                }
            }
            Err(Error::damaged(format!("{key} does not have {path} any more")))
        })
    }
}

#[async_trait]
impl Dump for TarDump {
    async fn collections(&self) -> Result<Vec<Listed>> {
        Ok(listed(&self.collections))
    }

    async fn describe(&self, listed: &Listed) -> Result<Described> {
        Ok(self.found(listed)?.described.clone().unwrap_or_default())
    }

    async fn documents(&self, listed: &Listed) -> Result<Body> {
        match &self.found(listed)?.documents {
            Some((path, _)) => Ok(self.member(path)),
            None => Ok(body::from_bytes("")),
        }
    }

    async fn oplog(&self) -> Result<Option<Body>> {
        Ok(self.oplog.as_deref().map(|path| self.member(path)))
    }
}

async fn open(sink: &dyn Sink, key: &Key) -> Result<Tar> {
    let mut gzip = GzipDecoder::new(BufReader::with_capacity(body::CHUNK, sink.get(key, None).await?));
    gzip.multiple_members(true);
    Ok(Tar::new(body::worded(gzip, |error| Error::damaged("it is no gzip, or breaks off").with_source(error))))
}

/// What is in the archive, and where its oplog is.
async fn read_through(sink: &dyn Sink, key: &Key) -> Result<(Files, Option<String>)> {
    let mut tar = open(sink, key).await?;
    let (mut all, mut oplog) = (Files::default(), None);
    while let Some(member) = tar.next().await? {
        let path = member.path.trim_start_matches("./");
        let Some(of) = path.strip_prefix(FOLDER).map(Member::of).transpose()?.flatten() else { continue };
        match of {
            Member::Metadata(stem) => {
                if member.size > described::LONGEST {
                    return Err(Error::damaged(format!("{path} is longer than can be")));
                }
                let mut json = Vec::new();
                tar.copy(&mut json).await?;
                all.describe(stem, path, &json)?;
            }
            Member::Documents(stem) => {
                let counted = count(&mut tar, path).await?;
                all.count(stem, &member.path, counted)?;
            }
            Member::Oplog if oplog.is_some() => return Err(Error::damaged(format!("{path} is there twice"))),
            Member::Oplog => oplog = Some(member.path),
            Member::Prelude => {}
        }
    }
    Ok((all, oplog))
}

/// Reads the documents of a member.
async fn count(tar: &mut Tar, path: &str) -> Result<Counted> {
    let (mut writer, reader) = tokio::io::duplex(body::PIPE);
    let copying = async move {
        let copied = tar.copy(&mut writer).await;
        drop(writer);
        copied
    };
    let counting = async { documents::count(Box::pin(reader), path).await };
    // What cannot be read first: then the documents break off too.
    let (copied, counted) = tokio::join!(copying, counting);
    match (copied, counted) {
        (Err(error), Ok(_)) => Err(error),
        (_, counted) => counted,
    }
}

/// The archives in a bucket or folder, newest first.
#[derive(Debug)]
pub struct Archives {
    sink: Arc<dyn Sink>,
    left: Option<VecDeque<Key>>,
    /// Those that were read through already.
    known: BTreeMap<Key, Arc<TarDump>>,
}

impl Archives {
    /// Those that lie in `sink` itself, not deeper.
    pub fn new(sink: Arc<dyn Sink>) -> Self {
        Self { sink, left: None, known: BTreeMap::new() }
    }

    /// Begins anew with what is the newest by now. What was read through is not read through again.
    pub fn again(&mut self) {
        self.left = None;
    }

    async fn open(&mut self, cx: &Context, key: &Key) -> Result<Arc<TarDump>> {
        if let Some(dump) = self.known.get(key) {
            return Ok(dump.clone());
        }
        let dump = Arc::new(cx.unless_cancelled(TarDump::open(self.sink.clone(), key.clone())).await?);
        self.known.insert(key.clone(), dump.clone());
        Ok(dump)
    }
}

#[async_trait]
impl Backups for Archives {
    async fn older(&mut self, cx: &Context) -> Result<Option<Backup>> {
        if self.left.is_none() {
            let mut entries = self.sink.list(&Key::root(), Depth::One);
            let mut keys = Vec::new();
            while let Some(entry) = cx.unless_cancelled(entries.try_next()).await? {
                match entry {
                    Entry::Object(key, _) if key.as_str().ends_with(ENDING) => keys.push(key),
                    Entry::Object(..) | Entry::Group(_) => {}
                }
            }
            drop(entries);
            // The name is the time.
            keys.sort_unstable_by(|one, other| other.cmp(one));
            self.known.retain(|key, _| keys.contains(key));
            self.left = Some(keys.into());
        }
        while let Some(key) = self.left.as_mut().and_then(VecDeque::pop_front) {
            match self.open(cx, &key).await {
                Ok(dump) => return Ok(Some(Backup { id: key.to_string(), dump })),
                Err(error) if error.kind() == Kind::Damaged => {
                    cx.tell(Event::Warning { what: &format!("{key} is passed over: {}", error.chain()) });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
