//! `SHA256SUMS`: the digests of a backup's files as `sha256sum -c` reads them.

use std::fmt::Write;

use crate::manifest::File;
use crate::{Key, Sha256, layout};

/// A line `digest  path` for each file, in the order of `files`. Keys need no escaping: they are plain by construction.
pub(crate) fn render(files: &[File]) -> String {
    let mut text = String::with_capacity(files.len() * 96);
    for File { key, sha256, .. } in files {
        writeln!(text, "{sha256}  {key}").expect("a string takes all that is written");
    }
    text
}

/// What the manifest says of a `SHA256SUMS` with this text.
pub(crate) fn file(text: &str) -> File {
    let key: Key = layout::SUMS.parse().expect("the name of the sums is a key");
    File { key, size: text.len() as u64, sha256: Sha256::of(text) }
}
