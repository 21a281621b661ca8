//! Which server this is.

use std::fmt;

/// `server_version_num` of a server, such as 150018 for 15.18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32);

impl Version {
    /// The major version, such as 15.
    pub fn major(self) -> u32 {
        self.0 / 10_000
    }

    /// Whether the major version is `major` or newer.
    pub fn at_least(self, major: u32) -> bool {
        self.major() >= major
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major(), self.0 % 10_000)
    }
}
