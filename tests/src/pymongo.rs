//! PyMongo: MongoDB's own driver for Python, to read and write dumps beside ours.

use std::process::Command;

use crate::installed::{home, skipped};

/// A Python that has PyMongo.
///
/// `None`, and a line that says so, where `ci/install` has not put it.
///
/// # Panics
/// Where it is missing and `REQUIRE_SERVICES=1` is set.
pub fn pymongo() -> Option<Command> {
    let root = home().join("pymongo");
    if !root.join("complete").exists() {
        skipped(&format!("PyMongo is not in {}: run ci/install", root.display()), false);
        return None;
    }
    Some(Command::new(root.join("bin/python")))
}
