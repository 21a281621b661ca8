//! When a backup was begun, as its name: `20261120T101500Z`.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The second in which a backup was begun, in UTC. Sorts as text in the order of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupId(Timestamp);

const FORMAT: &str = "%Y%m%dT%H%M%SZ";

impl BackupId {
    /// The ID of a backup begun at `now` when `newest` is there: `now`, or a second after `newest` where the clock stepped back.
    pub fn next(now: Timestamp, newest: Option<BackupId>) -> Self {
        let now = Self::at(now);
        let after = |newest: Self| newest.0.saturating_add(SignedDuration::from_secs(1)).map_or(newest, Self);
        newest.map_or(now, |newest| now.max(after(newest)))
    }

    /// The ID of the second that `time` lies in.
    pub fn at(time: Timestamp) -> Self {
        Self(Timestamp::from_second(time.as_second()).unwrap_or(time))
    }

    /// The second as a point in time.
    pub fn time(self) -> Timestamp {
        self.0
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.strftime(FORMAT).to_string())
    }
}

impl fmt::Debug for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BackupId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = (|| {
            let time = jiff::civil::DateTime::strptime(FORMAT, text).ok()?;
            Some(Self(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()))
        })();
        parsed.filter(|id| id.to_string() == text).ok_or_else(|| {
            Error::usage(format!("{text:?} is not the ID of a backup")).with_hint("IDs look like 20261120T101500Z")
        })
    }
}

impl TryFrom<String> for BackupId {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<BackupId> for String {
    fn from(id: BackupId) -> String {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_nothing_else_does() {
        let id: BackupId = "20261120T101500Z".parse().expect("an ID");
        assert_eq!(id.to_string(), "20261120T101500Z");
        for bad in ["", "latest", "20261120T101500", "20261320T101500Z", "2026112T0101500Z", "20261120T101500Z "] {
            assert!(bad.parse::<BackupId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_clock_that_steps_back_does_not_go_before_the_newest() {
        let newest: BackupId = "20261120T101500Z".parse().expect("an ID");
        let earlier: BackupId = "20261120T091500Z".parse().expect("an ID");
        assert_eq!(BackupId::next(earlier.time(), Some(newest)).to_string(), "20261120T101501Z");
        assert_eq!(BackupId::next(newest.time(), Some(earlier)), newest);
    }
}
