//! Files of a director come back: unpacked beside those that are there, compared, and put in their place by renames.

mod chosen;
mod members;
mod places;
mod plan;
mod run;
mod source;
mod step;
mod swap;
mod there;
mod unpack;

use std::path::PathBuf;

use jiff::Zoned;

pub use self::places::{Place, What};
pub use self::plan::Plan;
pub use self::run::Restored;
pub use self::source::Source;
pub use self::step::Step;
use crate::{Director, Filter};

/// What a restore makes on a director, as a line of a list of files: no backup copies it, and no restore replaces it.
pub(crate) const OURS: &str = ".bosh-backup-*";

/// Files of a director, out of an archive of ours or of microbosh-simple-backup, or out of the cache.
///
/// First [`plan`](Self::plan), which changes nothing, then [`run`](Self::run).
#[derive(Debug, Clone)]
pub struct Files {
    /// The director.
    pub director: Director,
    /// Out of what.
    pub source: Source,
    /// What of it: paths below `/var/vcap`, one at least.
    pub paths: Vec<PathBuf>,
    /// The list of the configuration: it counts where the source does not tell by which list its files were copied.
    pub filter: Filter,
    /// The source may be of another director, or of another version of PostgreSQL.
    pub other_director: bool,
    /// What is replaced stays there, in a folder beside.
    pub keep: bool,
    /// A folder of this machine for lists that do not fit into memory.
    pub spill: PathBuf,
    /// The folder of the log.
    pub log_path: PathBuf,
    /// What is to be called the one who restores: a program and its version.
    pub program: String,
    /// When the run began, in the time zone of this machine: the log and what is kept are called by it.
    pub started: Zoned,
}

impl Files {
    /// What a restore does, in its order.
    pub fn steps(&self) -> Vec<Step> {
        let steps = [
            (Step::Verify, true),
            (Step::Check, true),
            (Step::Unpack, true),
            (Step::Compare, true),
            (Step::Stop, true),
            (Step::Swap, true),
            (Step::Start, true),
            (Step::Keep, self.keep),
            (Step::Remove, !self.keep),
        ];
        steps.into_iter().filter(|(_, is)| *is).map(|(step, _)| step).collect()
    }
}
