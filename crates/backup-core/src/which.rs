//! Which backup is meant: `latest`, `latest-verified`, `latest-proven`, an ID or the beginning of one.

use std::fmt;
use std::str::FromStr;

use crate::{BackupId, Error, Kind, Name, Records, Repository, Result, State};

/// How many IDs an error names.
const NAMED: usize = 3;

/// How a person names a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The newest.
    Latest,
    /// The newest of those that are verified.
    LatestVerified,
    /// The newest of those that are proven.
    LatestProven,
    /// The one whose ID begins so.
    Prefix(String),
}

/// Finds the backup of `job` that is meant. A whole ID is what it says, whether it is there or not: then nothing is read, so
/// that no other backup stands in the way of this one.
pub async fn which(repo: &dyn Repository, job: &Name, which: &Which) -> Result<BackupId> {
    if let Which::Prefix(prefix) = which
        && let Ok(id) = prefix.parse()
    {
        return Ok(id);
    }
    which.of(&repo.records(job).await?).map_err(|error| match error.kind() {
        Kind::NotFound => {
            let told = Error::new(Kind::NotFound, format!("job {job}: {error}"));
            match error.hint().map(str::to_owned) {
                Some(hint) => told.with_hint(hint),
                None => told,
            }
        }
        _ => error,
    })
}

impl Which {
    /// The one of `records` that is meant, attempts left aside. [`Kind::NotFound`] if there is none,
    /// [`Kind::Usage`] if there are several.
    pub fn of(&self, records: &[Records]) -> Result<BackupId> {
        let fits = |record: &&Records| match self {
            Which::Latest => true,
            Which::LatestVerified => record.verified.is_some(),
            Which::LatestProven => record.proven.is_some(),
            Which::Prefix(prefix) => record.id.to_string().starts_with(prefix.as_str()),
        };
        let mut found: Vec<&Records> = records.iter().filter(fits).collect();
        found.sort_by_key(|record| record.id);
        let mut listed: Vec<BackupId> =
            found.iter().filter(|record| record.state == State::Listed).map(|record| record.id).collect();
        if let Which::Prefix(prefix) = self
            && listed.len() > 1
        {
            let named: Vec<String> = listed.iter().take(NAMED).map(BackupId::to_string).collect();
            let more = if listed.len() > NAMED { ", …" } else { "" };
            return Err(Error::usage(format!("{prefix:?} may be any of {}: {}{more}", listed.len(), named.join(", ")))
                .with_hint("give more of the ID"));
        }
        listed.pop().ok_or_else(|| self.missing(found.first().copied()))
    }

    fn missing(&self, attempt: Option<&Records>) -> Error {
        match (self, attempt) {
            (Which::Prefix(_), Some(attempt)) => missing(&attempt.id.to_string(), Some(attempt)),
            (Which::Prefix(prefix), None) => missing(prefix, None),
            (which, _) => missing_hinted(format!(
                "there is no {} backup",
                which.to_string().replace("latest-", "").replace("latest", "whole")
            )),
        }
    }
}

/// Why there is no backup called `what`, which is all that is known of it or an attempt.
pub(crate) fn missing(what: &str, attempt: Option<&Records>) -> Error {
    missing_hinted(match attempt {
        Some(Records { state: State::Running, .. }) => format!("backup {what} is still being taken"),
        Some(Records { state: State::Failed, why, .. }) => {
            let why = why.as_ref().map_or(String::new(), |why| format!(": {why}"));
            format!("there is no backup {what}, its attempt failed{why}")
        }
        _ => format!("there is no backup {what}"),
    })
}

fn missing_hinted(message: String) -> Error {
    Error::new(Kind::NotFound, message).with_hint("list shows what there is")
}

impl FromStr for Which {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "latest" => Ok(Self::Latest),
            "latest-verified" => Ok(Self::LatestVerified),
            "latest-proven" => Ok(Self::LatestProven),
            _ if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || b"TZ".contains(&byte)) => {
                Ok(Self::Prefix(text.to_owned()))
            }
            _ => Err(Error::usage(format!("{text:?} names no backup"))
                .with_hint("use an ID such as 20261120T101500Z, its beginning, latest, latest-verified or latest-proven")),
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Which::Latest => "latest",
            Which::LatestVerified => "latest-verified",
            Which::LatestProven => "latest-proven",
            Which::Prefix(prefix) => prefix,
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn record(id: &str, state: State, good: bool) -> Records {
        Records { verified: good.then_some(Timestamp::UNIX_EPOCH), ..Records::new(id.parse().expect("an ID"), state) }
    }

    #[test]
    fn the_one_that_is_meant_or_none() {
        let records = [
            record("20261120T101500Z", State::Listed, true),
            record("20261121T101500Z", State::Listed, false),
            record("20261122T101500Z", State::Failed, false),
        ];
        let of = |text: &str| text.parse::<Which>().and_then(|which| which.of(&records));
        assert_eq!(of("latest").expect("one").to_string(), "20261121T101500Z");
        assert_eq!(of("latest-verified").expect("one").to_string(), "20261120T101500Z");
        assert_eq!(of("20261121").expect("one").to_string(), "20261121T101500Z");
        assert_eq!(of("20261120T101500Z").expect("one").to_string(), "20261120T101500Z");
        for (text, kind) in [
            ("latest-proven", Kind::NotFound),
            ("2026", Kind::Usage),
            ("2025", Kind::NotFound),
            ("20261122", Kind::NotFound),
            ("", Kind::Usage),
            ("../x", Kind::Usage),
            ("newest", Kind::Usage),
        ] {
            assert_eq!(of(text).expect_err(text).kind(), kind, "{text:?}");
        }
    }
}
