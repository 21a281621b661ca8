//! SQL files that together hold every kind of object, for servers to be filled with.
//!
//! `data/corpus/AREA.sql` is for every version, `data/corpus/AREA.17+.sql` for 17 and later. Each is psql input for an
//! empty server, makes the databases it fills, and stands alone. Before 15 there are a few areas only.

use std::path::{Path, PathBuf};

use crate::{Major, Server};

/// The areas whose files a server before 15 takes too, and its pg_dump prints in an order that a restore does not change.
const OLD: [&str; 5] = ["foreign", "inheritance", "large_objects", "operators", "triggers"];

/// The files for servers of this version, in order.
pub fn files(major: Major) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/corpus");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&dir)
        .expect("the corpus is beside the harness")
        .map(|entry| entry.expect("a folder that can be read").path())
        .filter(|path| since(path).is_some_and(|since| since <= major.number()))
        .filter(|path| major >= Major::V15 || OLD.iter().any(|area| path.ends_with(format!("{area}.sql"))))
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

/// Feeds what pg_dumpall printed of `source` to `target`, tablespaces in folders of its own; psql's words as the error.
pub fn restore(dump: &[u8], source: &Server, target: &Server) -> Result<(), String> {
    let mut script = Vec::with_capacity(dump.len());
    for line in dump.split_inclusive(|&byte| byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        if text == "CREATE ROLE postgres;\n" {
            // There already, as in every cluster.
        } else if let Some((before, location)) =
            text.strip_prefix("CREATE TABLESPACE ").and_then(|rest| rest.split_once(" LOCATION '"))
        {
            let folder = Path::new(location.trim_end_matches("';\n"));
            let moved = match folder.strip_prefix(source.dir()) {
                Ok(name) => target.tablespace(&name.to_string_lossy()),
                // In place; pg_dumpall 15 prints where that is.
                Err(_) => PathBuf::new(),
            };
            script.extend(format!("CREATE TABLESPACE {before} LOCATION '{}';\n", moved.display()).bytes());
        } else {
            script.extend_from_slice(line);
        }
    }
    target.feed("postgres", &[], &script).map(drop)
}
