//! Which deletions may happen.
//!
//! What the source no longer has is deleted at the destination only if all of these hold:
//!
//! - The listing of the source was read to its end, and nothing that it has failed to be copied.
//! - This sync wrote it from this source, and it was not changed since.
//! - There are no more than `--max-delete`.
//! - The source is not empty, and the share of what is to go is not too great; or a person said so.
//! - The source, asked for it by its name, says that it is not there. That is not decided here but asked last, object by object.

use super::lines::Written;

/// How much may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Delete at all.
    pub delete: bool,
    /// More than so many are never deleted: none is.
    pub most: Option<u64>,
    /// More than so many per cent of what was written are deleted only if a person says so.
    pub share: u8,
}

impl Default for Limits {
    /// Nothing is deleted; half is too much without a question.
    fn default() -> Self {
        Self { delete: false, most: None, share: 50 }
    }
}

/// What was seen when both listings had been read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Both listings ended without an error.
    pub(super) complete: bool,
    /// How many objects could not be copied.
    pub(super) failed: u64,
    /// How many objects the source has.
    pub(super) source: u64,
    /// How many of those at the destination this sync wrote, unchanged since.
    pub(super) ours: u64,
    /// How many of `ours` the source has no longer.
    pub(super) gone: u64,
}

/// Whether deletions may happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is nothing to delete, or nobody asked for it.
    Nothing,
    /// They may.
    Delete,
    /// They may if a person says so, who is told this.
    Ask(String),
    /// None may, for this reason.
    Never(String),
}

/// Judges all deletions of a run at once.
pub(super) fn judge(limits: &Limits, seen: &Seen) -> Verdict {
    let &Seen { complete, failed, source, ours, gone } = seen;
    if !limits.delete || gone == 0 {
        return Verdict::Nothing;
    }
    if !complete {
        return Verdict::Never("a listing was not read to its end".to_owned());
    }
    if failed > 0 {
        return Verdict::Never(format!("{failed} objects failed"));
    }
    if let Some(most) = limits.most.filter(|most| gone > *most) {
        return Verdict::Never(format!("{gone} would be deleted, and {most} are the most that may be"));
    }
    if source == 0 {
        return Verdict::Ask(format!(
            "the source was not empty and now is; all {gone} objects that came from it would be deleted"
        ));
    }
    if u128::from(gone) * 100 > u128::from(ours) * u128::from(limits.share) {
        return Verdict::Ask(format!("{gone} of the {ours} objects that came from the source are not in it any more"));
    }
    Verdict::Delete
}

/// Whether what is at the destination is what this sync wrote: of this size and with this mark.
pub(super) fn is_ours(written: Option<&Written>, size: u64, mark: &str) -> bool {
    written.is_some_and(|written| written.size == size && written.to == mark)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SURE: Limits = Limits { delete: true, most: None, share: 50 };
    const GOOD: Seen = Seen { complete: true, failed: 0, source: 100, ours: 100, gone: 10 };

    #[test]
    fn each_reason_holds_alone() {
        assert_eq!(judge(&SURE, &GOOD), Verdict::Delete);
        assert_eq!(judge(&Limits { delete: false, ..SURE }, &GOOD), Verdict::Nothing);
        assert_eq!(judge(&SURE, &Seen { gone: 0, ..GOOD }), Verdict::Nothing);
        assert!(matches!(judge(&SURE, &Seen { complete: false, ..GOOD }), Verdict::Never(_)));
        assert!(matches!(judge(&SURE, &Seen { failed: 1, ..GOOD }), Verdict::Never(_)));
        assert!(matches!(judge(&Limits { most: Some(9), ..SURE }, &GOOD), Verdict::Never(_)));
        assert_eq!(judge(&Limits { most: Some(10), ..SURE }, &GOOD), Verdict::Delete);
        assert!(matches!(judge(&SURE, &Seen { source: 0, ..GOOD }), Verdict::Ask(_)));
        assert_eq!(judge(&SURE, &Seen { gone: 50, ..GOOD }), Verdict::Delete);
        assert!(matches!(judge(&SURE, &Seen { gone: 51, ..GOOD }), Verdict::Ask(_)));
        assert!(matches!(judge(&Limits { share: 0, ..SURE }, &Seen { gone: 1, ..GOOD }), Verdict::Ask(_)));
    }

    #[test]
    fn what_was_changed_since_is_not_ours() {
        let written = Written { name: "a".into(), size: 3, from: "e".into(), to: "t".into() };
        assert!(is_ours(Some(&written), 3, "t"));
        assert!(!is_ours(Some(&written), 4, "t") && !is_ours(Some(&written), 3, "u") && !is_ours(None, 3, "t"));
    }

    proptest! {
        #[test]
        fn whatever_is_seen_a_fault_deletes_nothing(
            delete: bool, most in proptest::option::of(0u64..50), share in 0u8..=100,
            complete: bool, failed in 0u64..2, source in 0u64..50, ours in 0u64..50, gone in 0u64..50,
        ) {
            let verdict = judge(&Limits { delete, most, share }, &Seen { complete, failed, source, ours, gone });
            if verdict == Verdict::Delete {
                prop_assert!(delete && complete && failed == 0 && source > 0 && gone > 0);
                prop_assert!(most.is_none_or(|most| gone <= most));
                prop_assert!(gone * 100 <= ours * u64::from(share));
            }
            if let Verdict::Ask(_) = verdict {
                prop_assert!(delete && complete && failed == 0 && most.is_none_or(|most| gone <= most));
            }
        }
    }
}
