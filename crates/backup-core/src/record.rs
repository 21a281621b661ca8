//! What is written beside a backup after it was taken, and what there is of one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{BackupId, Checked};

/// A record beside a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Record {
    /// Every stored byte was read and compared with its digest.
    Verified {
        /// When.
        at: Timestamp,
        /// How many bytes were read.
        bytes: u64,
        /// Whether it was unsealed too, and the plain digests compared.
        unsealed: bool,
    },
    /// It was read, and stored bytes are not what was written: what was verified or proven before does not count.
    Damaged {
        /// When.
        at: Timestamp,
        /// What is damaged; of an encrypted backup no names of parts.
        what: String,
    },
    /// It was restored into a scratch place and compared: all of it, or a part of it and there are differences.
    Proven {
        /// When.
        at: Timestamp,
        /// What was compared, and where it differed; of an encrypted backup only in how many places.
        checked: Checked,
    },
    /// It is kept whatever the retention says.
    Pinned {
        /// When.
        at: Timestamp,
        /// Why, in the words of who pinned it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
}

/// How far a backup or an attempt got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has a manifest.
    Listed,
    /// It has none, and its lease runs.
    Running,
    /// It has none, and its lease has run out or it said that it failed.
    Failed,
}

/// What there is of one backup or attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    /// Its ID.
    pub id: BackupId,
    /// How far it got.
    pub state: State,
    /// When it was last verified, unless it was found damaged since.
    pub verified: Option<Timestamp>,
    /// When all of it was last proven, unless it was found damaged or different since.
    pub proven: Option<Timestamp>,
    /// Whether it is known to be damaged: its manifest is, or stored bytes were found so and not verified since.
    pub damaged: bool,
    /// Whether what there is of it cannot be read, which may pass: a disk or a sink that fails, a right that is missing, a
    /// newer format. `why` says which, and all else is as if it were not known.
    pub unreadable: bool,
    /// Whether it is pinned.
    pub pinned: bool,
    /// Why it is pinned, in the words of who did.
    pub pin: Option<String>,
    /// Older backups that a restore of it reads too.
    pub needs: Vec<BackupId>,
    /// Size of the stored files in bytes, if it is listed and its manifest can be read.
    pub size: Option<u64>,
    /// Why it failed, in what it is damaged or why it cannot be read, as far as that is known.
    pub why: Option<String>,
}

impl Records {
    /// A backup or attempt of which nothing is known yet but how far it got.
    pub fn new(id: BackupId, state: State) -> Self {
        let (verified, proven, pin, size, why) = (None, None, None, None, None);
        let needs = Vec::new();
        Self { id, state, verified, proven, damaged: false, unreadable: false, pinned: false, pin, needs, size, why }
    }

    /// Whether it is a backup of which nothing bad is known.
    pub fn is_sound(&self) -> bool {
        self.state == State::Listed && !self.damaged && !self.unreadable
    }
}
