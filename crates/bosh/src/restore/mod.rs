//! A director's databases come back out of an archive: loaded beside what is there, and put in its place at once.

mod dumps;
mod load;
mod plan;
mod run;
mod step;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Zoned;

pub use self::dumps::{Dumps, Found, Inspected, Wanted};
pub(crate) use self::plan::another;
pub use self::plan::{Plan, Planned};
pub use self::run::Restored;
pub use self::step::Step;
use crate::Director;

/// Databases of a director, out of the dumps in an archive: ours, or one of microbosh-simple-backup.
///
/// First [`plan`](Self::plan), which changes nothing, then [`run`](Self::run).
#[derive(Debug, Clone)]
pub struct Restore {
    /// The director.
    pub director: Director,
    /// The archive.
    pub archive: PathBuf,
    /// What of it.
    pub choice: Choice,
    /// The archive may be of another director, or of another version of PostgreSQL.
    pub other_director: bool,
    /// What is replaced stays there, under another name.
    pub keep: bool,
    /// What knows SQL.
    pub dumps: Arc<dyn Dumps>,
    /// The folder of the log.
    pub log_path: PathBuf,
    /// What is to be called the one who restores: a program and its version.
    pub program: String,
    /// When the run began, in the time zone of this machine: the log and databases beside are called by it.
    pub started: Zoned,
}

/// Which databases of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// All but those that PostgreSQL comes with.
    All,
    /// One, in the place of the one of that name.
    One(String),
    /// One, under a name that no database there has. Nothing is stopped, and nothing replaced.
    Beside(String, String),
}

impl Restore {
    /// What a restore does, in its order.
    pub fn steps(&self) -> Vec<Step> {
        let replaces = !matches!(self.choice, Choice::Beside(..));
        let steps = [
            (Step::Verify, true),
            (Step::Check, true),
            (Step::Load, true),
            (Step::Stop, replaces),
            (Step::StartPostgres, replaces),
            (Step::Rename, true),
            (Step::Start, replaces),
            (Step::Drop, replaces && !self.keep),
        ];
        steps.into_iter().filter(|(_, is)| *is).map(|(step, _)| step).collect()
    }
}
