//! What happens, told as data to whoever waits.

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use crate::{BackupId, Name};

/// Something that happened. The library tells; the program prints.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An operation begins: `backup`, `restore`, `verify`, `prove`. `bytes` is an estimate where one is known.
    Begun {
        /// The verb.
        what: &'a str,
        /// How many parts there are.
        parts: usize,
        /// How many bytes to expect, before compression.
        bytes: Option<u64>,
    },
    /// A part was begun.
    PartBegun {
        /// Which.
        part: &'a Name,
    },
    /// Bytes of a part have passed since the last such event (before compression).
    Progress {
        /// Which.
        part: &'a Name,
        /// How many more.
        bytes: u64,
    },
    /// A part is done.
    PartDone {
        /// Which.
        part: &'a Name,
        /// Its size before compression.
        bytes: u64,
    },
    /// A stage of an operation that has no parts: "create indexes", "wait for locks".
    Stage {
        /// What is being done.
        what: &'a str,
    },
    /// A restore is about to replace what is there, or to fill it: whoever breaks off from here on may leave half of it.
    Replacing {
        /// Which, in the words of its owner.
        what: &'a str,
    },
    /// Something that does not fail the run and that a person should know.
    Warning {
        /// One line.
        what: &'a str,
    },
    /// A backup exists from now on.
    Committed {
        /// Which.
        id: BackupId,
    },
    /// A retention has judged a backup; nothing was deleted yet.
    Judged {
        /// What becomes of it, and why.
        verdict: &'a crate::Verdict,
    },
    /// A retention has deleted a backup or an attempt.
    Deleted {
        /// Which.
        id: BackupId,
    },
    /// A comparison found a difference; of very many only the first are told.
    Differs {
        /// Which.
        difference: &'a crate::Difference,
    },
    /// These were stopped.
    Paused {
        /// In the order in which they will be started.
        units: &'a [crate::Unit],
    },
    /// These run again.
    Resumed {
        /// In the order in which they were started.
        units: &'a [crate::Unit],
    },
}

/// Is told what happens. Called from many tasks; returns at once.
pub trait Monitor: Debug + Send + Sync {
    /// Takes an event.
    fn on(&self, event: Event<'_>);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Monitor for Silent {
    fn on(&self, _: Event<'_>) {}
}

/// Keeps the story that was told, a line per event, for tests to assert.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    /// The story so far; [`Event::Progress`] is left out.
    pub fn story(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Monitor for Recorder {
    fn on(&self, event: Event<'_>) {
        if !matches!(event, Event::Progress { .. }) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{event:?}"));
        }
    }
}
