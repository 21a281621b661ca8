//! Which versions of PostgreSQL there are for tests, and where their programs lie.

use std::fmt;
use std::path::PathBuf;

use crate::installed::{home, skipped};

/// A major version of PostgreSQL that the tests run against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Major {
    /// PostgreSQL 13, of Debian 11: an old one, for what is different there.
    V13,
    /// PostgreSQL 15, of Debian 12.
    V15,
    /// PostgreSQL 17, of Debian 13.
    V17,
    /// PostgreSQL 18, of Debian's next release.
    V18,
}

impl Major {
    /// Every version that is tested as a whole, the oldest first.
    pub const ALL: [Self; 3] = [Self::V15, Self::V17, Self::V18];

    /// The version as a number: 13, 15, 17 or 18.
    pub fn number(self) -> u32 {
        match self {
            Self::V13 => 13,
            Self::V15 => 15,
            Self::V17 => 17,
            Self::V18 => 18,
        }
    }

    /// The folder of this version's programs: initdb, pg_ctl, postgres, psql, pg_dump, pg_dumpall, pg_restore.
    ///
    /// `None`, and a line that says so, where `ci/install` has not put them.
    ///
    /// # Panics
    /// Where they are missing and `REQUIRE_SERVICES=1` is set; but for 13, which the mirrors will not have for ever.
    pub fn bin_dir(self) -> Option<PathBuf> {
        let bin = home().join(format!("postgresql-{self}/usr/lib/postgresql/{self}/bin"));
        if bin.join("pg_dumpall").exists() {
            return Some(bin);
        }
        let missing = format!("PostgreSQL {self} is not in {}: run ci/install", bin.display());
        skipped(&missing, self < Self::V15);
        None
    }
}

impl fmt::Display for Major {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}
