//! What `deploy/` holds is what Kubernetes, OpenShift, Compose, systemd and the program itself understand.
//!
//! Each file is read by the types or tools of those who read it in earnest, and each field of each file is misspelt once: that
//! must be seen.
#![expect(clippy::panic, reason = "a test fails with what it saw")]

mod compose;
mod given;
mod kubernetes;
mod openshift;
mod pod;
mod scale_down;
mod scratch;
mod systemd;
mod yaml;

use std::path::{Path, PathBuf};

/// A file of `deploy/`.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(file(path)).expect(path)
}
