//! What a service tells whoever wants to know.

use std::fmt::{self, Debug};

use backup_core::Name;
use jiff::{SignedDuration, Timestamp};

/// Something that happened to a job and that a person may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Which job; of the start of a service, what the service is called.
    pub job: Name,
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The service has started.
    Started {
        /// With what, in one line.
        line: String,
    },
    /// A run begins.
    Begun,
    /// A run has done what it should. `after` failures in a row before it: more than none is a recovery.
    Succeeded {
        /// What it did, in one line.
        line: String,
        /// How long it took.
        took: SignedDuration,
        /// How many runs failed before this one.
        after: u32,
    },
    /// It was due and there was nothing to do.
    Idle {
        /// Why, in one line.
        line: String,
    },
    /// A run has failed.
    Failed {
        /// What failed, in one line.
        line: String,
        /// What to do about it.
        hint: Option<String>,
        /// How many runs in a row have failed.
        failures: u32,
    },
    /// Runs that were due did not happen, or did not begin in time.
    Missed {
        /// When the first of them was due.
        due: Timestamp,
        /// How many.
        count: u32,
    },
    /// A run that was due waits, or goes on for longer than it should.
    Late {
        /// When it was due.
        due: Timestamp,
        /// Whether it has begun.
        begun: bool,
    },
}

/// How grave it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Info,
    /// Somebody should look.
    Warn,
    /// Somebody must look.
    Error,
}

/// The words that receivers know: `INFO`, `WARN`, `ERROR`.
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        })
    }
}

impl What {
    /// One word for it: `started`, `begun`, `succeeded`, `idle`, `failed`, `missed` or `late`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Begun => "begun",
            Self::Succeeded { .. } => "succeeded",
            Self::Idle { .. } => "idle",
            Self::Failed { .. } => "failed",
            Self::Missed { .. } => "missed",
            Self::Late { .. } => "late",
        }
    }
}

impl Notice {
    /// How grave it is.
    pub fn level(&self) -> Level {
        match self.what {
            What::Started { .. } | What::Begun | What::Succeeded { .. } | What::Idle { .. } => Level::Info,
            What::Late { .. } => Level::Warn,
            What::Failed { .. } | What::Missed { .. } => Level::Error,
        }
    }

    /// Whether it is the first success after a failure.
    pub fn is_recovery(&self) -> bool {
        matches!(self.what, What::Succeeded { after: 1.., .. })
    }
}

/// One line, without the time.
impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let job = &self.job;
        match &self.what {
            What::Started { line } => write!(f, "{job}: {line}"),
            What::Begun => write!(f, "{job}: begun"),
            What::Succeeded { line, took, after: 0 } => write!(f, "{job}: {line} in {took:#}"),
            What::Succeeded { line, took, after } => write!(f, "{job}: {line} in {took:#}, after {after} failed"),
            What::Idle { line } => write!(f, "{job}: nothing to do: {line}"),
            What::Failed { line, failures: 0 | 1, .. } => write!(f, "{job}: failed: {line}"),
            What::Failed { line, failures, .. } => write!(f, "{job}: failed, {failures} times in a row: {line}"),
            What::Missed { due, count: 1 } => write!(f, "{job}: the run that was due at {due} did not happen"),
            What::Missed { due, count } => write!(f, "{job}: {count} runs that were due since {due} did not happen"),
            What::Late { due, begun: false } => write!(f, "{job}: the run that was due at {due} still waits"),
            What::Late { due, begun: true } => write!(f, "{job}: the run that was due at {due} still goes on"),
        }
    }
}

/// Is told. Called from many tasks; returns at once.
pub trait Listener: Debug + Send + Sync {
    /// Takes a notice.
    fn on(&self, notice: &Notice);
}
