//! The exit codes of all programs, in one place.

use backup_core::Kind;

/// The documented exit codes, for `--help` and the manual pages.
pub(crate) const TABLE: &str = "\
Exit codes:
  0    ok
  1    failed
  2    usage: the command line or a configuration cannot be meant
  3    not found: no such backup, database, table or bucket
  4    damaged: stored bytes are missing or not what was written
  5    still paused: what was stopped could not be brought back
  6    differs: a restore was compared and is not equal
  7    still sick: what was lost could not be brought back
  8    could not tell or prove
  75   busy: another run holds the job
  130  interrupted";

/// The exit code of an error's kind.
pub fn exit_code(kind: Kind) -> u8 {
    match kind {
        Kind::Usage => 2,
        Kind::NotFound => 3,
        Kind::Damaged => 4,
        Kind::StillPaused => 5,
        Kind::Differs => 6,
        Kind::StillSick => 7,
        Kind::Unproven => 8,
        Kind::Busy => 75,
        Kind::Cancelled => 130,
        // Failed, AlreadyExists, and what comes later.
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_code_that_the_table_says() {
        let kinds = [
            (Kind::Failed, 1),
            (Kind::Usage, 2),
            (Kind::NotFound, 3),
            (Kind::AlreadyExists, 1),
            (Kind::Damaged, 4),
            (Kind::StillPaused, 5),
            (Kind::Differs, 6),
            (Kind::StillSick, 7),
            (Kind::Unproven, 8),
            (Kind::Busy, 75),
            (Kind::Cancelled, 130),
        ];
        for (kind, code) in kinds {
            assert_eq!(exit_code(kind), code, "{kind:?}");
            assert!(TABLE.contains(&format!("\n  {code:<4} ")), "{code} is not in the table");
        }
    }
}
