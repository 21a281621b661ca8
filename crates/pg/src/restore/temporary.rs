//! The names that databases have while a restore is under way: they say of what, for what, and of which backup.

use std::fmt;

use backup_core::BackupId;
use xxhash_rust::xxh3::xxh3_64;

/// What a database with a temporary name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Temporary {
    /// Being restored.
    Restoring,
    /// What was there before, once the new one has its name.
    Before,
    /// What was there before and stays, until a person drops it.
    Kept,
    /// All rows are there, and something after them failed: for a person to mend.
    Unfinished,
}

impl fmt::Display for Temporary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restoring => "restoring",
            Self::Before => "before",
            Self::Kept => "kept",
            Self::Unfinished => "unfinished",
        })
    }
}

/// The longest name that the server takes, in bytes (`NAMEDATALEN`).
const LONGEST: usize = 63;

/// The length of an ID.
const ID: usize = "20261120T101500Z".len();

impl Temporary {
    /// The name for a database that is to be called `name`.
    pub(super) fn name(self, name: &str, id: BackupId) -> String {
        format!("{}{id}", self.stem(name))
    }

    /// Whether `there` is such a name, made for `name` and any backup.
    pub(super) fn is(self, there: &str, name: &str) -> bool {
        self.id(there, name).is_some()
    }

    /// The ID in such a name.
    pub(super) fn id(self, there: &str, name: &str) -> Option<BackupId> {
        there.strip_prefix(&self.stem(name))?.parse().ok()
    }

    fn stem(self, name: &str) -> String {
        let end = format!("_{self}_");
        let most = LONGEST - ID - end.len();
        if name.len() <= most {
            return format!("{name}{end}");
        }
        // Names that differ only behind what fits must not share one.
        let hash = format!("_{:08x}", xxh3_64(name.as_bytes()) >> 32);
        let begin = name.floor_char_boundary(most - hash.len());
        format!("{}{hash}{end}", &name[..begin])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_database_has_names_of_its_own_whatever_the_backup() {
        let id: BackupId = "20261120T101500Z".parse().expect("an ID");
        let (one, two) = (format!("{}1", "ä".repeat(30)), format!("{}2", "ä".repeat(30)));
        for kind in [Temporary::Restoring, Temporary::Before, Temporary::Kept, Temporary::Unfinished] {
            let (a, b) = (kind.name(&one, id), kind.name(&two, id));
            assert!(a.len() <= LONGEST && a.ends_with(&format!("_{kind}_{id}")), "{a}");
            assert_ne!(a, b);
            assert!(kind.is(&a, &one) && !kind.is(&a, &two));
            assert!(kind.is(&format!("shop_{kind}_19990101T000000Z"), "shop"));
            for other in [format!("shop_{kind}"), format!("shop_{kind}_19990101"), format!("workshop_{kind}_{id}")] {
                assert!(!kind.is(&other, "shop"), "{other}");
            }
        }
        assert_eq!(Temporary::Restoring.name("shop", id), "shop_restoring_20261120T101500Z");
    }
}
