//! What a run leaves in the cache once it counts: dumps, its date, its log.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use backup_core::{Doing, Result};
use jiff::Zoned;

use super::dump::Dumped;
use super::run::Run;
use crate::archive::Dump;
use crate::copy::blocking;

/// The file that tells when a backup began and ended, a line each.
const DATE: &str = "_date.control";

impl Run<'_> {
    /// Puts dumps in the place of those of the run before, and writes down when this one was.
    pub(super) async fn keep(&self, dumped: Option<Dumped>) -> Result<Vec<Dump>> {
        let cache = self.backup.cache.clone();
        let dates = format!("{}\n{}\n", self.backup.stamp(), Zoned::now().strftime("%Y%m%d%H%M%S"));
        let keep = move || -> io::Result<Vec<Dump>> {
            let place = cache.join("dbs");
            gone(fs::remove_dir_all(&place))?;
            let dumps = match dumped {
                Some(Dumped { folder, dumps }) => {
                    fs::rename(folder.path(), &place)?;
                    dumps
                }
                // As microbosh-simple-backup has it: the folder is there.
                None => fs::create_dir(&place).map(|()| Vec::new())?,
            };
            let mut file = tempfile::NamedTempFile::new_in(&cache)?;
            file.write_all(dates.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(cache.join(DATE)).map_err(|error| error.error)?;
            fs::File::open(&cache)?.sync_all()?;
            Ok(dumps)
        };
        blocking(move || keep().doing(|| "keep what was taken")).await
    }

    /// What of the cache goes into the archive; this run's log is put there for it, and those of others go.
    pub(super) fn names(&self) -> Result<Vec<OsString>> {
        let cache = &self.backup.cache;
        let log = self.log.path();
        let name = log.file_name().unwrap_or_default().to_owned();
        let put = || {
            for entry in cache.read_dir()? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "log") && path.is_file() {
                    gone(fs::remove_file(path))?;
                }
            }
            fs::copy(log, cache.join(&name)).map(drop)
        };
        put().doing(|| format!("put the log into {}", cache.display()))?;
        Ok([DATE, "dbs", "vcap"].map(OsString::from).into_iter().chain([name]).collect())
    }
}

/// Removes what runs that were killed have left in `cache`.
pub(super) fn sweep(cache: &Path) -> io::Result<()> {
    for entry in cache.read_dir()? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(super::dump::UNFINISHED) {
            gone(fs::remove_dir_all(entry.path()))?;
        }
    }
    Ok(())
}

/// What is not there need not be removed.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
