//! What there is before a script is brought back, and whether it is still so.

use backup_core::{Error, Result};

use super::place::Place;
use crate::globals::DatabaseRecord;
use crate::quote::ident;

/// What there is before the restore.
#[derive(Debug)]
pub struct Before {
    pub(super) place: Place,
    /// The properties that the new database gets.
    pub(super) like: Option<DatabaseRecord>,
    /// Whether there is a database of the name with something in it.
    pub there: bool,
    /// What it takes on disk, in bytes.
    pub bytes: u64,
    /// How many sessions are in it.
    pub sessions: u64,
    /// Which database it is, whatever it is called.
    pub(super) oid: Option<u32>,
    /// Whose sessions in it the role may not end, and how many they are.
    pub(super) others: Vec<(String, i64)>,
    /// What earlier restores have kept.
    pub kept: Vec<String>,
}

impl Before {
    /// What the new database is called until the swap.
    pub fn work(&self) -> &str {
        &self.place.work
    }

    /// Where what is there will be kept.
    pub fn keeps(&self) -> Option<&str> {
        self.place.kept()
    }

    /// Fails if there are sessions in the database now that the role may not end, without which it cannot be replaced.
    pub fn may_be_emptied(&self) -> Result<()> {
        if self.others.is_empty() || !self.there {
            return Ok(());
        }
        let count: i64 = self.others.iter().map(|(_, count)| count).sum();
        let whose: Vec<String> = self.others.iter().map(|(role, _)| ident(role)).collect();
        let (name, whose) = (ident(&self.place.name), whose.join(", "));
        Err(Error::failed(format!("the role may not end the sessions in the database {name}: {count} of {whose}")).with_hint(
            "connect as an administrator (--admin-user NAME), or as a member of pg_signal_backend, or end them first",
        ))
    }

    /// Fails unless `now` is still the same database in the same state: what was decided was decided on that.
    pub(super) fn is_still(&self, now: &Self) -> Result<()> {
        let name = ident(&self.place.name);
        let what = match (self.oid, now.oid) {
            (before, after) if before == after && self.there == now.there => return Ok(()),
            (None, _) => format!("there is a database {name} now, and there was none"),
            (_, None) => format!("the database {name} is gone"),
            (before, after) if before != after => format!("the database {name} is another one now"),
            _ if now.there => format!("the database {name} was empty, and now it is not"),
            _ => format!("the database {name} is empty now, and was not"),
        };
        Err(Error::failed(format!("{what}: somebody was there meanwhile, and nothing was touched"))
            .with_hint("look at what is there, and run it again"))
    }
}
