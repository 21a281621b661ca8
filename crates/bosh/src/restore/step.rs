//! The steps of a restore, each with the name that it is told by.

use std::fmt;

/// A step of a restore of a director's databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Nothing was touched yet: is the archive whole, and each dump in it?
    Verify,
    /// Is the director the one that the archive is of, and has it room?
    Check,
    /// Beside what is there, while services run; what was loaded is counted.
    Load,
    /// A guard is left, then services stop, and the agent last.
    Stop,
    /// PostgreSQL alone, so that databases can be renamed.
    StartPostgres,
    /// All of them at once, or none.
    Rename,
    /// What was running before; the agent last.
    Start,
    /// What was replaced goes.
    Drop,
}

impl Step {
    /// What it is told by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verify => "read the archive to its end",
            Self::Check => "look whether all is ready",
            Self::Load => "load databases beside those that are there",
            Self::Stop => "stop services, then the agent",
            Self::StartPostgres => "start postgres",
            Self::Rename => "give databases their names",
            Self::Start => "start services, then the agent",
            Self::Drop => "drop what was replaced",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
