//! The steps of a backup, each with the name that it is told by.

use std::fmt;

/// A step of a backup of a director.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Nothing was touched yet: is all there that the run needs?
    Check,
    /// The bulk is read, while services run.
    Copy,
    /// A guard is left, then services stop, and the agent last.
    Stop,
    /// PostgreSQL alone, so that it can be dumped.
    StartPostgres,
    /// Databases are dumped, straight to this machine.
    Dump,
    /// PostgreSQL too is to write nothing more.
    StopPostgres,
    /// What changed since the bulk was read.
    CopyChanges,
    /// What was running before; the agent last.
    Start,
    /// The cache as one file.
    Archive,
}

impl Step {
    /// What it is told by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Check => "look whether all is ready",
            Self::Copy => "copy files while services run",
            Self::Stop => "stop services, then the agent",
            Self::StartPostgres => "start postgres",
            Self::Dump => "dump databases",
            Self::StopPostgres => "stop postgres",
            Self::CopyChanges => "copy what changed",
            Self::Start => "start services, then the agent",
            Self::Archive => "write the archive",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
