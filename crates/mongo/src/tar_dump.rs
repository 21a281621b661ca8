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
use crate::documents::Documents;
use crate::dump::{Dump, Listed};
use crate::facts::CollectionType;
use crate::heal::{Backup, Backups};
use crate::stored_name::{Member, Stem};
use crate::tar::Tar;

/// How the name of such an archive ends.
pub const ENDING: &str = "mongodb-dump.tar.gz";
/// The folder in it.
const FOLDER: &str = "dump/";
/// The most files that an archive may have.
const MOST: usize = 200_000;

/// An archive, read through once: it is whole, and what is in it is known.
#[derive(Debug)]
pub struct TarDump {
    sink: Arc<dyn Sink>,
    key: Key,
    /// By database and collection.
    collections: BTreeMap<(String, String), Found>,
}

/// What an archive has of a collection.
#[derive(Debug, Default)]
struct Found {
    /// The path of the documents, and what they are.
    documents: Option<(String, Counted)>,
    described: Option<Described>,
}

impl TarDump {
    /// Reads the archive to its end. Neither what is in it nor its names need be trusted.
    ///
    /// [`Kind::Damaged`] where it breaks off, where a file is there twice, and where documents are none.
    pub async fn open(sink: Arc<dyn Sink>, key: Key) -> Result<Self> {
        let all = read_through(&*sink, &key).await.doing(|| format!("read {key}"))?;
        let mut collections = BTreeMap::<_, Found>::new();
        let mut cut = BTreeMap::new();
        for (stem, described) in all.described {
            let name = stem.collection.clone().or_else(|| described.name.clone());
            let name = name.ok_or_else(|| Error::damaged(format!("nothing says which collection {} is", stem.file)))?;
            crate::stored_name::check_collection(&name)?;
            cut.insert((stem.database.clone(), stem.file), name.clone());
            collections.entry((stem.database, name)).or_default().described = Some(described);
        }
        for (stem, found) in all.documents {
            let of = cut.get(&(stem.database.clone(), stem.file.clone())).cloned().or(stem.collection);
            let name = of.ok_or_else(|| Error::damaged(format!("nothing says which collection {} is", stem.file)))?;
            let name = name.strip_prefix(crate::layout::BUCKETS).map(str::to_owned).unwrap_or(name);
            collections.entry((stem.database, name)).or_default().documents = Some(found);
        }
        Ok(Self { sink, key, collections })
    }

    fn found(&self, listed: &Listed) -> Result<&Found> {
        let key = (listed.database.clone(), listed.collection.clone());
        self.collections.get(&key).ok_or_else(|| Error::new(Kind::NotFound, format!("{} has no {listed}", self.key)))
    }
}

#[async_trait]
impl Dump for TarDump {
    async fn collections(&self) -> Result<Vec<Listed>> {
        let listed = |((database, collection), found): (&(String, String), &Found)| Listed {
            database: database.clone(),
            collection: collection.clone(),
            kind: found.described.as_ref().map_or(CollectionType::Collection, |described| described.kind),
            counted: found.documents.as_ref().map(|(_, counted)| *counted),
        };
        let mut all: Vec<Listed> = self.collections.iter().map(listed).collect();
        all.sort_by_key(|listed| listed.kind == CollectionType::View);
        Ok(all)
    }

    async fn describe(&self, listed: &Listed) -> Result<Described> {
        Ok(self.found(listed)?.described.clone().unwrap_or_default())
    }

    async fn documents(&self, listed: &Listed) -> Result<Body> {
        let Some((path, _)) = &self.found(listed)?.documents else { return Ok(body::from_bytes("")) };
        let (sink, key, path) = (self.sink.clone(), self.key.clone(), path.clone());
        Ok(body::piped(move |mut writer| async move {
            let mut tar = open(&*sink, &key).await?;
            while let Some(member) = tar.next().await? {
                if member.path == path {
                    return tar.copy(&mut writer).await;
                }
            }
            Err(Error::damaged(format!("{key} does not have {path} any more")))
        }))
    }
}

/// What was found in an archive.
#[derive(Default)]
struct All {
    described: BTreeMap<Stem, Described>,
    documents: BTreeMap<Stem, (String, Counted)>,
}

async fn open(sink: &dyn Sink, key: &Key) -> Result<Tar> {
    let mut gzip = GzipDecoder::new(BufReader::with_capacity(body::CHUNK, sink.get(key, None).await?));
    gzip.multiple_members(true);
    Ok(Tar::new(body::worded(gzip, |error| Error::damaged("it is no gzip, or breaks off").with_source(error))))
}

async fn read_through(sink: &dyn Sink, key: &Key) -> Result<All> {
    let mut tar = open(sink, key).await?;
    let mut all = All::default();
    while let Some(member) = tar.next().await? {
        let path = member.path.trim_start_matches("./");
        let Some(of) = path.strip_prefix(FOLDER).map(Member::of).transpose()?.flatten() else { continue };
        let twice = || Error::damaged(format!("{path} is there twice"));
        if all.described.len() + all.documents.len() >= MOST {
            return Err(Error::damaged("it has more files than can be"));
        }
        match of {
            Member::Metadata(stem) => {
                if member.size > described::LONGEST {
                    return Err(Error::damaged(format!("{path} is longer than can be")));
                }
                let mut json = Vec::new();
                tar.copy(&mut json).await?;
                let described = Described::from_json(&json).doing(|| format!("read {path}"))?;
                if all.described.insert(stem, described).is_some() {
                    return Err(twice());
                }
            }
            Member::Documents(stem) => {
                let counted = count(&mut tar, path).await?;
                if all.documents.insert(stem, (member.path.clone(), counted)).is_some() {
                    return Err(twice());
                }
            }
            Member::Prelude | Member::Oplog => {}
        }
    }
    Ok(all)
}

/// Reads the documents of a member.
async fn count(tar: &mut Tar, path: &str) -> Result<Counted> {
    let (mut writer, reader) = tokio::io::duplex(body::PIPE);
    let copying = async move {
        let copied = tar.copy(&mut writer).await;
        drop(writer);
        copied
    };
    let counting = async {
        let mut documents = Documents::new(Box::pin(reader), path);
        let mut counted = Counted::default();
        while let Some(document) = documents.next().await? {
            counted.add(document);
        }
        Ok(counted)
    };
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
