//! Where `ci/install` has put the servers, and what happens where it has not.

use std::io::Write;
use std::path::PathBuf;

/// Where `ci/install` puts programs; the rule stands there.
pub(crate) fn home() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = set("BACKUP_TESTS_DIR") {
        dir
    } else if rustix::process::geteuid().is_root() {
        PathBuf::from("/var/cache/backup-tests")
    } else {
        set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache"))).unwrap_or_default().join("backup-tests")
    }
}

/// Says on standard error that a test was skipped, and why.
///
/// # Panics
/// With `REQUIRE_SERVICES=1`, unless it `may_be_missing` even then.
pub(crate) fn skipped(why: &str, may_be_missing: bool) {
    let required = std::env::var_os("REQUIRE_SERVICES").is_some_and(|value| value != "0");
    assert!(may_be_missing || !required, "{why}");
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
