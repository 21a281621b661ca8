//! The steps of a restore of files, each with the name that it is told by.

use std::fmt;

/// A step of a restore of a director's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Nothing was touched yet: is all that is to come back whole?
    Verify,
    /// Is the director the one that it is of, and has it room?
    Check,
    /// Beside what is there, while services run.
    Unpack,
    /// Is what was unpacked what was to be?
    Compare,
    /// A guard is left, then services stop, and the agent last.
    Stop,
    /// All of them, or none.
    Swap,
    /// What was running before; the agent last.
    Start,
    /// What was replaced gets a name by which it stays.
    Keep,
    /// What was replaced goes.
    Remove,
}

impl Step {
    /// What it is told by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verify => "read what is to come back to its end",
            Self::Check => "look whether all is ready",
            Self::Unpack => "unpack files beside those that are there",
            Self::Compare => "compare what was unpacked",
            Self::Stop => "stop services, then the agent",
            Self::Swap => "put files in their place",
            Self::Start => "start services, then the agent",
            Self::Keep => "keep what was replaced",
            Self::Remove => "remove what was replaced",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
