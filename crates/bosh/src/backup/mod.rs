//! A backup of a director: its disk, its databases, and one archive of both.

mod check;
mod dump;
mod kept;
mod run;
mod step;

use std::path::PathBuf;

use backup_core::Name;
use jiff::Zoned;

pub use self::run::Taken;
pub use self::step::Step;
use crate::config::{Databases, Mode};
use crate::director::ROOT;
use crate::files::OURS;
use crate::{Copy, Director, Filter};

/// A backup of a director into a cache on this machine, and an archive of that, in the layout of microbosh-simple-backup.
///
/// In the cache `vcap` is `/var/vcap` of the director, `dbs` has the dumps, `_date.control` tells when it was taken.
#[derive(Debug, Clone)]
pub struct Backup {
    /// The director.
    pub director: Director,
    /// Whether services are stopped.
    pub mode: Mode,
    /// The folder on this machine that becomes what the director has.
    pub cache: PathBuf,
    /// What of `/var/vcap` is copied.
    pub filter: Filter,
    /// Folders that have nothing any more, and were mount points or had the whole, are believed to be empty.
    pub emptied: bool,
    /// Which databases are dumped.
    pub databases: Databases,
    /// The archive; none is made if there is none.
    pub output: Option<PathBuf>,
    /// Files of this machine that go into the archive too, as [`archive::added`](crate::archive::added) has them.
    pub added: Vec<String>,
    /// The folder of the log.
    pub log_path: PathBuf,
    /// What is to be called the writer: a program and its version.
    pub program: String,
    /// When the run began, in the time zone of this machine: dumps and the log are called by it.
    pub started: Zoned,
}

impl Backup {
    /// What a run does, in its order.
    pub fn steps(&self) -> Vec<Step> {
        let dumps = self.databases != Databases::None;
        let stopped = self.mode == Mode::Offline;
        let steps = [
            (Step::Check, true),
            (Step::Dump, dumps && !stopped),
            (Step::Copy, true),
            (Step::Stop, stopped),
            (Step::StartPostgres, stopped && dumps),
            (Step::Dump, stopped && dumps),
            (Step::StopPostgres, stopped && dumps),
            (Step::CopyChanges, stopped),
            (Step::Start, stopped),
            (Step::Archive, self.output.is_some()),
        ];
        steps.into_iter().filter(|(_, is)| *is).map(|(step, _)| step).collect()
    }

    fn copy(&self, name: Name) -> Copy {
        Copy {
            name,
            root: ROOT.into(),
            filter: self.filter.clone().without(OURS),
            cache: self.cache.join("vcap"),
            record: self.cache.join(".vcap.record"),
            sudo: true,
            emptied: self.emptied,
        }
    }

    /// The second it began in, as it stands in names of files: `20261122101500`.
    fn stamp(&self) -> String {
        self.started.strftime("%Y%m%d%H%M%S").to_string()
    }
}
