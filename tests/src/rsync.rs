//! rsync, to compare what is copied with what it would copy.

use std::process::Command;

use crate::installed::{home, skipped};

/// Debian's rsync.
///
/// `None`, and a line that says so, where `ci/install` has not put it.
///
/// # Panics
/// Where it is missing and `REQUIRE_SERVICES=1` is set.
pub fn rsync() -> Option<Command> {
    let root = home().join("rsync");
    if !root.join("complete").exists() {
        skipped(&format!("rsync is not in {}: run ci/install", root.display()), false);
        return None;
    }
    Some(Command::new(root.join("usr/bin/rsync")))
}
