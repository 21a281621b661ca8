//! Which archives lie in a folder.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use backup_core::{Doing, Result};
use jiff::Timestamp;

use super::{Manifest, compression};

/// An archive that lies in a folder. It was whole when it got its name; nothing of it was read.
#[derive(Debug)]
pub struct Listed {
    /// Where it lies.
    pub path: PathBuf,
    /// Its size.
    pub size: u64,
    /// When what is in it was whole, as far as that is known: without a manifest, when the file was written last.
    pub at: Timestamp,
    /// What is known of it; `None` if it has no manifest, an error if that cannot be read.
    pub manifest: Result<Option<Manifest>>,
}

/// The archives in `folder`, by their extensions, the oldest first. A folder that is not there has none.
pub fn list(folder: &Path) -> Result<Vec<Listed>> {
    let doing = || format!("list the archives in {}", folder.display());
    let entries = match folder.read_dir() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.doing(doing)?,
    };
    let mut listed = Vec::new();
    for entry in entries {
        let entry = entry.doing(doing)?;
        let (path, metadata) = (entry.path(), entry.metadata().doing(doing)?);
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if hidden || !metadata.is_file() || compression(&path).is_err() {
            continue;
        }
        let manifest = Manifest::read(&path);
        let told = manifest.as_ref().ok().and_then(Option::as_ref).map(|manifest| manifest.finished);
        let written = || Timestamp::try_from(metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH)).unwrap_or_default();
        listed.push(Listed { size: metadata.len(), at: told.unwrap_or_else(written), path, manifest });
    }
    listed.sort_by(|one, other| (one.at, &one.path).cmp(&(other.at, &other.path)));
    Ok(listed)
}
