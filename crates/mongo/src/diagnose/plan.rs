//! What heals a collection in a given state, as far as that was asked for.

use super::{Asked, Extent, State};

/// What is to be done with a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// It is left alone.
    Nothing,
    /// It is restored out of a backup, beside, and renamed into place.
    Restore,
    /// What it has not is added by `_id`; and its missing indexes are built if that was asked for.
    Add {
        /// Whether indexes are built too.
        indexes: bool,
    },
    /// Its missing indexes are built.
    Indexes,
    /// It should be healed, and no backup has it.
    NoBackup,
}

/// What heals a collection in `state`.
pub fn remedy(asked: &Asked, state: &State, lacks_indexes: bool, kept: Option<&Extent>) -> Remedy {
    let indexes = asked.indexes && lacks_indexes;
    match state {
        State::Gone if kept.is_some() => Remedy::Restore,
        State::Half(..) if kept.is_some() => Remedy::Add { indexes: lacks_indexes },
        State::Gone | State::Half(..) => Remedy::NoBackup,
        State::Emptied(_) if asked.emptied || asked.merge => Remedy::Add { indexes },
        State::Shrunk(..) if asked.merge => Remedy::Add { indexes },
        State::Healthy | State::Emptied(_) | State::Shrunk(..) if indexes => Remedy::Indexes,
        State::Healthy | State::Emptied(_) | State::Shrunk(..) | State::Different(..) | State::CannotTell(_) => Remedy::Nothing,
    }
}
