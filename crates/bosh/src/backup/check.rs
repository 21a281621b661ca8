//! Whether all is there that a run needs, before it touches anything.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use backup_core::{Doing, Error, Event, Lifecycle, Result, Unit};

use super::kept;
use super::run::Run;
use crate::archive::{self, Contents};
use crate::config::{Databases, Mode};

/// What was found.
#[derive(Debug)]
pub(super) struct Ready {
    /// What runs.
    pub(super) units: Vec<Unit>,
    /// The version of PostgreSQL, if it is to be dumped.
    pub(super) postgres: Option<String>,
    /// Files that go into the archive too.
    pub(super) added: Vec<PathBuf>,
}

impl Run<'_> {
    /// Looks at this machine first, then at the director. Changes nothing there.
    pub(super) async fn check(&self) -> Result<Ready> {
        let backup = self.backup;
        let cache = &backup.cache;
        let make = DirBuilder::new().recursive(true).mode(0o700).create(cache).and_then(|()| kept::sweep(cache));
        make.doing(|| format!("use the cache {}", cache.display()))?;
        let added = self.output_is_good()?;
        let director = &backup.director;
        director.programs_are_gnu().await?;
        let services = director.services(&self.progress);
        let units = services.running().await.doing(|| "ask what runs on the director")?;
        if units.is_empty() {
            return Err(Error::failed(format!("no service runs on {}", director.host.name()))
                .with_hint("start them, or see whether another backup goes on: an earlier one may be brought back by resume"));
        }
        let mut postgres = None;
        if backup.databases != Databases::None {
            if backup.mode == Mode::Offline && !units.contains(&director.database()) {
                let service = &director.postgres.service;
                return Err(Error::failed(format!("{service} does not run on {}", director.host.name()))
                    .with_hint("start it, or let DBS be empty: then no database is dumped"));
            }
            postgres = Some(director.postgres.version(&*director.host).await?);
            director.postgres.has(&*director.host, &backup.databases).await?;
        }
        Ok(Ready { units, postgres, added })
    }

    /// Whether the archive could be written; the files that go into it beside the cache.
    fn output_is_good(&self) -> Result<Vec<PathBuf>> {
        let Some(output) = &self.backup.output else { return Ok(Vec::new()) };
        archive::compression(output)?;
        let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        archive::sweep(folder)
            .doing(|| format!("use the folder {}", folder.display()))
            .map_err(|error| error.with_hint("OUTPUT lies in a folder that must be there and that this user may write to"))?;
        // The next archive is about as large as the last one.
        let last = archive::list(folder)?.pop().map(|listed| listed.size).unwrap_or_default();
        let space =
            rustix::fs::statvfs(folder).map_err(std::io::Error::from).doing(|| format!("look at {}", folder.display()))?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free < last {
            return Err(Error::failed(format!("{} has {free} bytes left, and the last archive took {last}", folder.display()))
                .with_hint("free some space there"));
        }
        let (added, missing) = archive::added(&self.backup.added)?;
        for pattern in missing {
            self.cx.tell(Event::Warning { what: &format!("{pattern} of ADD_LIST is not there, and so not in the archive") });
        }
        let name = self.log.path().file_name().unwrap_or_default().to_owned();
        let names = ["_date.control", "dbs", "vcap"].map(Into::into).into_iter().chain([name]).collect();
        Contents::new(self.backup.cache.clone(), names, added.clone())?;
        Ok(added)
    }
}
