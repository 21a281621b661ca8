//! Databases of the director, dumped into files of the cache.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use backup_core::{Doing, Event, Result, Tally};
use tempfile::TempDir;

use super::run::Run;
use crate::archive::Dump;
use crate::copy::read_blocking;

/// What a folder begins with in which dumps lie until they count.
pub(super) const UNFINISHED: &str = ".dbs-";

/// Dumps that are whole, in a folder that goes unless they are kept.
#[derive(Debug)]
pub(super) struct Dumped {
    pub(super) folder: TempDir,
    pub(super) dumps: Vec<Dump>,
}

impl Run<'_> {
    /// Dumps what is wanted, one file after the other. Nothing is written on the director.
    pub(super) async fn dump(&self) -> Result<Dumped> {
        let backup = self.backup;
        let folder = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&backup.cache);
        let folder = folder.doing(|| format!("make a folder in {}", backup.cache.display()))?;
        self.cx.unless_cancelled(backup.director.answers(&self.cx)).await?;
        let wanted = backup.director.postgres.dumps(&backup.databases)?;
        self.cx.tell(Event::Begun { what: "dump", parts: wanted.len(), bytes: None });
        let mut dumps = Vec::new();
        for wanted in wanted {
            let name = format!("postgres_{}.dump.{}", backup.stamp(), wanted.ending);
            let write = async {
                let tally = Tally::default();
                let body = Box::pin(tally.of(wanted.run(&*backup.director.host).await?));
                self.write(body, &folder.path().join(&name)).await?;
                Ok(tally.get())
            };
            let (size, sha256) = self.cx.unless_cancelled(write).await.doing(|| format!("dump {}", wanted.ending))?;
            self.cx.tell(Event::PartDone { part: &self.dump, bytes: size });
            dumps.push(Dump { path: format!("dbs/{name}"), size, sha256 });
        }
        Ok(Dumped { folder, dumps })
    }

    async fn write(&self, body: backup_core::Body, path: &Path) -> Result<()> {
        let options = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = options.doing(|| format!("write {}", path.display()))?;
        let (teller, part) = (self.cx.clone(), self.dump.clone());
        read_blocking(body, move |reader| {
            let mut piece = vec![0; 256 * 1024];
            loop {
                let length = match reader.read(&mut piece)? {
                    0 => break,
                    length => length,
                };
                file.write_all(piece.get(..length).unwrap_or_default())?;
                teller.tell(Event::Progress { part: &part, bytes: length as u64 });
            }
            Ok(file.sync_all()?)
        })
        .await
    }
}
