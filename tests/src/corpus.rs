//! SQL files that together hold every kind of object, for servers to be filled with.
//!
//! `data/corpus/AREA.sql` is for every version, `data/corpus/AREA.17+.sql` for 17 and later. Each is psql input for an
//! empty server, makes the databases it fills, and stands alone. Files under `later/` wait for object types that are not
//! covered yet.

use std::path::{Path, PathBuf};

use crate::{Major, Server};

/// The files for servers of this version, in order.
pub fn files(major: Major) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/corpus");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&dir)
        .expect("the corpus is beside the harness")
        .map(|entry| entry.expect("a folder that can be read").path())
        .filter(|path| since(path).is_some_and(|since| since <= major.number()))
        .collect();
    files.sort();
    files
}

/// The version that a file begins with; `None` for what is no SQL file.
fn since(path: &Path) -> Option<u32> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".sql")?;
    Some(match stem.rsplit_once('.') {
        Some((_, version)) => version.strip_suffix('+')?.parse().ok()?,
        None => 0,
    })
}

/// Fills `server` with one file.
///
/// # Panics
/// At the first error, with psql's words.
pub fn load(server: &Server, file: &Path) {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().replace(['.', '+'], "-");
    let script = std::fs::read(file).expect("a file of the corpus");
    let folder = if script.windows(9).any(|window| window == b":'folder'") {
        server.tablespace(&format!("tablespace-{name}"))
    } else {
        PathBuf::new()
    };
    if let Err(error) = server.feed("postgres", &[("folder", folder.as_os_str())], &script) {
        panic!("{} on PostgreSQL {}: {error}", file.display(), server.major());
    }
}

/// Fills `server` with every file for its version.
pub fn load_all(server: &Server) {
    for file in files(server.major()) {
        load(server, &file);
    }
}
