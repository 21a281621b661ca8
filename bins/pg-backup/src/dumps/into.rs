//! Where a dump is restored: into the database that it is of, another one of its server, or one elsewhere.

use std::str::FromStr;

use backup_core::{Error, Result};
use backup_service::container::Spec;

use crate::connection::at;
use crate::shelf::{Kept, Shelf};

/// Another database than the one that a dump is of.
#[derive(Debug, Clone)]
pub(super) enum Into {
    /// Of the same server.
    Beside(String),
    /// Of the server at that host and port.
    At(Spec),
}

impl FromStr for Into {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "" => Err(Error::usage("it names no database").with_hint("write host:port/database, or the database alone")),
            text if text.contains('/') => text.parse().map(Self::At),
            text => Ok(Self::Beside(text.to_owned())),
        }
    }
}

/// Where a dump of `kept` goes, and what people call that. On a host that the configuration has databases of, it is reached by
/// the user who takes their backups.
pub(super) fn target(shelf: &Shelf, kept: &Kept, into: Option<&Into>) -> Result<(String, Kept)> {
    Ok(match into {
        None => (kept.place(), kept.clone()),
        Some(Into::Beside(name)) => (name.clone(), Kept { database: name.clone(), ..kept.clone() }),
        Some(Into::At(spec)) => {
            let user = shelf.kept.iter().find(|other| other.is_at(&spec.host)).unwrap_or(kept).clone();
            let server = at(user.server.clone(), spec)?;
            (spec.to_string(), Kept { server, database: spec.database.clone(), ..user })
        }
    })
}
