//! What goes into an archive, and the tar of it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use backup_core::{Body, Doing, Error, Result, process};

use crate::Filter;

/// What goes into an archive. Each has in it the name that it has on disk, without the folders above.
#[derive(Debug, Clone)]
pub struct Contents {
    cache: PathBuf,
    names: Vec<OsString>,
    added: Vec<PathBuf>,
}

impl Contents {
    /// `names` in the folder `cache`, and the files and folders `added` from elsewhere, whose paths are whole.
    ///
    /// Two of the same name are [`Kind::Usage`](backup_core::Kind::Usage).
    pub fn new(cache: PathBuf, names: Vec<OsString>, added: Vec<PathBuf>) -> Result<Self> {
        let mut seen: BTreeSet<OsString> = BTreeSet::new();
        let further = added.iter().filter_map(|path| path.file_name().map(OsString::from));
        for name in names.iter().cloned().chain(further) {
            if !seen.insert(name.clone()) {
                return Err(Error::usage(format!("two files would be called {} in the archive", name.display()))
                    .with_hint("name one of them in ADD_LIST by another path, or rename it"));
            }
        }
        Ok(Self { cache, names, added })
    }

    /// The tar of all this, in the pax format: with owners by number, extended attributes, access control lists and holes.
    ///
    /// It takes GNU tar on this machine. It breaks where a file changes while it is read.
    pub(crate) fn tar(&self) -> Result<Body> {
        let mut command = tokio::process::Command::new("tar");
        command.args(["--create", "--file=-", "--format=pax", "--numeric-owner", "--xattrs", "--acls", "--sparse"]);
        command.arg("--pax-option=delete=atime,delete=ctime").env("LC_ALL", "C");
        command.arg(with("--directory=", &self.cache));
        command.args(self.names.iter().map(|name| with("--add-file=", Path::new(name))));
        for path in &self.added {
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { continue };
            command.arg(with("--directory=", folder)).arg(with("--add-file=", Path::new(name)));
        }
        process::stdout(command)
    }
}

fn with(option: &str, value: &Path) -> OsString {
    let mut word = OsString::from(option);
    word.push(value);
    word
}

/// The files that `patterns` name, as whole paths, and those of `patterns` that name none. In its last name a pattern may have `*`,
/// `?` and `[…]`, as in sh; a name that begins with a dot then needs one in the pattern.
pub fn added(patterns: &[String]) -> Result<(Vec<PathBuf>, Vec<String>)> {
    let is_pattern = |text: &str| text.contains(['*', '?', '[']);
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for pattern in patterns {
        let path = std::path::absolute(pattern).doing(|| format!("find {pattern}"))?;
        let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
            return Err(Error::usage(format!("{pattern} in ADD_LIST is no file")).with_hint("name files and folders in it"));
        };
        if is_pattern(&folder.to_string_lossy()) {
            return Err(Error::usage(format!("{pattern} in ADD_LIST has a pattern in the name of a folder"))
                .with_hint("write the folders out"));
        }
        let before = found.len();
        if !is_pattern(name) {
            found.extend(path.symlink_metadata().is_ok().then_some(path.clone()));
        } else if let Ok(entries) = folder.read_dir() {
            let filter = Filter::parse(format!("+ /{name}\n- *\n").as_bytes())?;
            let mut fitting: Vec<PathBuf> = Vec::new();
            for entry in entries {
                let file = entry.doing(|| format!("list {}", folder.display()))?.file_name();
                let hidden = file.as_bytes().starts_with(b".") && !name.starts_with('.');
                if !hidden && filter.includes(file.as_bytes(), true) {
                    fitting.push(folder.join(file));
                }
            }
            fitting.sort();
            found.extend(fitting);
        }
        if found.len() == before {
            missing.push(pattern.clone());
        }
    }
    Ok((found, missing))
}
