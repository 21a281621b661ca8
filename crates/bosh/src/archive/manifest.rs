//! What is known of an archive: a file of JSON beside it, written last.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use backup_core::{Doing, Error, Result, Sha256, Unit};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of the manifest's format.
const FORMAT: u32 = 1;

/// The most that is read of one, in bytes.
const LONGEST: u64 = 16 << 20;

/// What is known of an archive. It lies beside it as `ARCHIVE.manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this format.
    pub format: u32,
    /// The program that wrote it, and its version.
    pub program: String,
    /// Which director it is of: `vcap@10.0.0.6`.
    pub director: String,
    /// When the run began.
    pub started: Timestamp,
    /// When what is in the archive was whole in the cache.
    pub finished: Timestamp,
    /// What was stopped meanwhile, in start order; nothing of a backup that was taken while services ran.
    pub stopped: Vec<Unit>,
    /// From when the last service had stopped to when the first was told to start, without the dump, in milliseconds.
    pub downtime_ms: Option<u64>,
    /// The version of PostgreSQL, where databases were dumped.
    pub postgres: Option<String>,
    /// The dumps of databases that are in it.
    pub dumps: Vec<Dump>,
    /// How many files of the director were copied into the cache by this run and those before it; no folders.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The list of files by which they were copied, as `RSYNC_LIST` has it; `None` if it is not known, or no text.
    #[serde(default)]
    pub list: Option<String>,
    /// Whether files have the owners and groups in it that they had; `None` if that is not known.
    #[serde(default)]
    pub owners: Option<bool>,
    /// The size of the archive.
    pub size: u64,
    /// Its digest.
    pub sha256: Sha256,
}

/// A dump of databases in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump {
    /// Its path in the archive: `dbs/postgres_20261122101500.dump.all`.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Sha256,
}

impl Manifest {
    /// Nothing but who wrote it, of what, and when that began.
    pub fn new(program: impl Into<String>, director: impl Into<String>, started: Timestamp) -> Self {
        Self {
            format: FORMAT,
            program: program.into(),
            director: director.into(),
            started,
            finished: started,
            stopped: Vec::new(),
            downtime_ms: None,
            postgres: None,
            dumps: Vec::new(),
            files: 0,
            bytes: 0,
            list: None,
            owners: None,
            size: 0,
            sha256: Sha256::of(""),
        }
    }

    /// Reads the manifest of `archive`; `None` if it has none, as one of microbosh-simple-backup. One that cannot be understood is
    /// [`Kind::Damaged`](backup_core::Kind::Damaged).
    pub fn read(archive: &Path) -> Result<Option<Self>> {
        let path = manifest_of(archive);
        let doing = || format!("read the manifest {}", path.display());
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.doing(doing)?,
        };
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text).doing(doing)?;
        let wrong = |what: &str| Error::damaged(format!("the manifest {} {what}", path.display()));
        let value: serde_json::Value =
            serde_json::from_slice(&text).map_err(|error| wrong("cannot be understood").with_source(error))?;
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format > u64::from(FORMAT) => Err(wrong("is of a newer version of this program")),
            _ => serde_json::from_value(value).map(Some).map_err(|error| wrong("cannot be understood").with_source(error)),
        }
    }
}

/// Where the manifest of `archive` lies.
pub fn manifest_of(archive: &Path) -> PathBuf {
    let mut path = archive.as_os_str().to_owned();
    path.push(".manifest.json");
    path.into()
}
