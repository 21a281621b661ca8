//! Which release a server, or a server program, is.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// A PostgreSQL release as `server_version_num` tells it: `150018` is 15.18, `90624` is 9.6.24.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u32);

/// The series whose catalogs the native reader knows. A later one can hold what it would not see.
pub const NATIVE: RangeInclusive<u32> = 12..=18;

impl Version {
    /// Whether the native reader covers the release.
    pub fn is_native(self) -> bool {
        NATIVE.contains(&self.major())
    }

    /// The release series: 15 for 15.18, 9 for 9.6.24.
    pub fn major(self) -> u32 {
        self.0 / 10_000
    }

    /// Whether the release is of series `major` or a later one.
    pub fn at_least(self, major: u32) -> bool {
        self.major() >= major
    }

    /// Reads what `postgres --version` prints: `postgres (PostgreSQL) 15.18 (Debian …)`, also `18beta1` and `19devel`.
    pub fn of_program(line: &str) -> Option<Self> {
        let (_, after) = line.split_once("(PostgreSQL) ")?;
        let number = after.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
        let mut parts = number.split('.').map(str::parse::<u32>);
        let major = parts.next()?.ok().filter(|major| (1..10_000).contains(major))?;
        let minor = parts.next().and_then(Result::ok).unwrap_or(0).min(99);
        let patch = parts.next().and_then(Result::ok).unwrap_or(0).min(99);
        Some(Self(if major >= 10 { major * 10_000 + minor } else { major * 10_000 + minor * 100 + patch }))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, rest) = (self.major(), self.0 % 10_000);
        if major >= 10 { write!(f, "{major}.{rest}") } else { write!(f, "{major}.{}.{}", rest / 100, rest % 100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_as_people_say_them() {
        assert_eq!(Version(150_018).to_string(), "15.18");
        assert_eq!(Version(90_624).to_string(), "9.6.24");
        assert!(Version(150_018).at_least(15) && !Version(150_018).at_least(16));
    }

    #[test]
    fn what_is_not_known_yet_is_not_covered() {
        let native = [90_624, 110_022, 120_000, 189_999, 190_000].map(|number| Version(number).is_native());
        assert_eq!(native, [false, false, true, true, false]);
    }

    #[test]
    fn a_program_tells_its_release() {
        let of = |number: &str| Version::of_program(&format!("postgres (PostgreSQL) {number}"));
        assert_eq!(of("15.18 (Debian 15.18-0+deb12u1)"), Some(Version(150_018)));
        assert_eq!(of("18beta1"), Some(Version(180_000)));
        assert_eq!(of("9.6.24"), Some(Version(90_624)));
        assert_eq!(of("devel"), None);
        assert_eq!(Version::of_program("bash 5"), None);
    }
}
