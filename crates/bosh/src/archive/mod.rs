//! The archive of a backup: a tar of the cache in the layout of microbosh-simple-backup, whole or not there.

mod contents;
mod draft;
mod manifest;
mod member;
mod prune;
mod shelf;
mod verify;

use std::path::Path;

use backup_core::{Compression, Error, Result};

pub use self::contents::{Contents, added};
pub use self::draft::{Draft, sweep};
pub use self::manifest::{Dump, Manifest, manifest_of};
pub use self::member::member;
pub(crate) use self::member::plain;
pub use self::prune::{Judged, judged, remove};
pub use self::shelf::{Listed, list};
pub use self::verify::{Verified, verify};

/// How an archive called `output` is compressed: its extension says it, as it does to `tar --auto-compress`.
///
/// `.tgz`, `.taz` and `.gz`: gzip; `.tzst` and `.zst`: zstd; `.tar`: not at all. Any other is [`Kind::Usage`](backup_core::Kind::Usage).
pub fn compression(output: &Path) -> Result<Compression> {
    match output.extension().and_then(|extension| extension.to_str()) {
        Some("tgz" | "taz" | "gz") => Ok(Compression::Gzip(6)),
        Some("tzst" | "zst") => Ok(Compression::default()),
        Some("tar") => Ok(Compression::None),
        _ => Err(Error::usage(format!("the name {} does not say how an archive is compressed", output.display()))
            .with_hint("let OUTPUT end in .tgz, .tar.gz, .tar.zst or .tar")),
    }
}
