//! A folder of mongodump as a dump: `DATABASE/COLLECTION.bson` and `.metadata.json`, `oplog.bson`, each as it is or as gzip.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_compression::tokio::bufread::GzipDecoder;
use async_trait::async_trait;
use backup_core::{Body, Doing, Error, Kind, Result, body};
use tokio::io::BufReader;

use crate::described::{self, Described};
use crate::documents;
use crate::dump::{Dump, Listed};
use crate::dump_files::{Files, Found, listed};
use crate::stored_name::Member;

/// How the name of a compressed file ends.
const GZIP: &str = ".gz";

/// A folder on this machine, read through once: what is in it is known and whole.
#[derive(Debug)]
pub struct FolderDump {
    root: PathBuf,
    /// By database and collection.
    collections: BTreeMap<(String, String), Found>,
    /// Where the oplog is, if there is one.
    oplog: Option<String>,
}

impl FolderDump {
    /// Reads the folder at `root`, which holds the folders of databases. Nothing in it need be trusted.
    ///
    /// [`Kind::Damaged`] where documents are none or break off, [`Kind::NotFound`] if it holds no collection.
    pub async fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let (mut files, mut oplog) = (Files::default(), None);
        for path in paths(&root).await.doing(|| format!("list {}", root.display()))? {
            match Member::of(path.strip_suffix(GZIP).unwrap_or(&path))? {
                Some(Member::Metadata(stem)) => {
                    let json = body::to_vec(read(&root, &path).await?, described::LONGEST).await;
                    files.describe(stem, &path, &json.doing(|| format!("read {path}"))?)?;
                }
                Some(Member::Documents(stem)) => {
                    let counted = documents::count(read(&root, &path).await?, &path).await?;
                    files.count(stem, &path, counted)?;
                }
                Some(Member::Oplog) if oplog.is_some() => return Err(Error::damaged(format!("{path} is there twice"))),
                Some(Member::Oplog) => oplog = Some(path),
                Some(Member::Prelude) | None => {}
            }
        }
        let collections = files.collections()?;
        if collections.is_empty() {
            let error = Error::new(Kind::NotFound, format!("there is no DATABASE/COLLECTION.bson in {}", root.display()));
            return Err(error.with_hint("name the folder that mongodump has made, by default dump"));
        }
        Ok(Self { root, collections, oplog })
    }

    fn found(&self, listed: &Listed) -> Result<&Found> {
        let key = (listed.database.clone(), listed.collection.clone());
        self.collections.get(&key).ok_or_else(|| Error::new(Kind::NotFound, format!("the folder has no {listed}")))
    }
}

#[async_trait]
impl Dump for FolderDump {
    async fn collections(&self) -> Result<Vec<Listed>> {
        Ok(listed(&self.collections))
    }

    async fn describe(&self, listed: &Listed) -> Result<Described> {
        Ok(self.found(listed)?.described.clone().unwrap_or_default())
    }

    async fn documents(&self, listed: &Listed) -> Result<Body> {
        match &self.found(listed)?.documents {
            Some((path, _)) => read(&self.root, path).await,
            None => Ok(body::from_bytes("")),
        }
    }

    async fn oplog(&self) -> Result<Option<Body>> {
        match &self.oplog {
            Some(path) => Ok(Some(read(&self.root, path).await?)),
            None => Ok(None),
        }
    }
}

/// What lies in `root` and in the folders in it, as mongodump names it: `FILE` and `DATABASE/FILE`.
async fn paths(root: &Path) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for folder in names(root).await? {
        if !tokio::fs::metadata(root.join(&folder)).await.doing(|| format!("look at {folder}"))?.is_dir() {
            paths.push(folder);
            continue;
        }
        for file in names(&root.join(&folder)).await? {
            paths.push(format!("{folder}/{file}"));
        }
    }
    Ok(paths)
}

async fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut entries = tokio::fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        // What is no text is no name that mongodump gives.
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

async fn read(root: &Path, path: &str) -> Result<Body> {
    let doing = || format!("open {path}");
    let at = root.join(path);
    // To open a pipe is to wait for who writes to it.
    if !tokio::fs::metadata(&at).await.doing(doing)?.is_file() {
        return Err(Error::damaged(format!("{path} is no file")));
    }
    let file = tokio::fs::File::open(&at).await.doing(doing)?;
    if !path.ends_with(GZIP) {
        return Ok(Box::pin(file));
    }
    let mut gzip = GzipDecoder::new(BufReader::with_capacity(body::CHUNK, file));
    gzip.multiple_members(true);
    let path = path.to_owned();
    Ok(body::worded(gzip, move |error| Error::damaged(format!("{path} is no gzip, or breaks off")).with_source(error)))
}
