//! Which paths below `/var/vcap` come back.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use backup_core::{Error, Result};

use super::OURS;
use crate::Filter;
use crate::copy::is_relative;

/// What comes back: what lies at or below one of some paths, and is in the list of files.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) paths: Vec<Vec<u8>>,
    filter: Filter,
}

impl Chosen {
    /// Fails where a path is none below the folder of a director.
    pub(super) fn new(paths: &[PathBuf], filter: &Filter) -> Result<Self> {
        let path = |path: &PathBuf| {
            let bytes = path.as_os_str().as_bytes();
            let bytes = bytes.strip_suffix(b"/").unwrap_or(bytes);
            match bytes.is_empty() || !is_relative(bytes) {
                true => Err(Error::usage(format!("{} is no path below /var/vcap", path.display()))
                    .with_hint("write it as in the list of files: store/blobstore")),
                false => Ok(bytes.to_owned()),
            }
        };
        Ok(Self { paths: paths.iter().map(path).collect::<Result<_>>()?, filter: filter.clone().without(OURS) })
    }

    /// Whether `path` is chosen, or lies below what is, whatever the list says.
    pub(super) fn covers(&self, path: &[u8]) -> bool {
        self.paths
            .iter()
            .any(|one| path.strip_prefix(one.as_slice()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")))
    }

    /// Whether what lies at `path` comes back.
    pub(super) fn has(&self, path: &[u8], is_folder: bool) -> bool {
        self.covers(path) && self.filter.reaches(path, is_folder)
    }
}

/// The folders above `path`, the nearest first, without the one that all lie in.
pub(super) fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    slashes.filter_map(|slash| path.get(..slash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_and_in_the_list_comes_back() {
        let list = Filter::parse(b"- store/lost+found\n- *.tmp\n").expect("a list");
        let chosen = Chosen::new(&["store/".into(), "bosh/settings.json".into()], &list).expect("chosen");
        for path in ["store", "store/a", "store/a/b", "bosh/settings.json"] {
            assert!(chosen.has(path.as_bytes(), false), "{path}");
        }
        for path in ["", "stores", "sto", "bosh", "bosh/settings", "store/lost+found", "store/lost+found/x", "store/a.tmp"] {
            assert!(!chosen.has(path.as_bytes(), false), "{path}");
        }
        for path in ["store/.bosh-backup-restore/new/vcap", "store/a/.bosh-backup-before-1/x"] {
            assert!(chosen.covers(path.as_bytes()) && !chosen.has(path.as_bytes(), false), "{path}");
        }
        for bad in ["", "/", "/etc", "../etc", "store/../..", "store//a", "."] {
            assert!(Chosen::new(&[bad.into()], &list).is_err(), "{bad}");
        }
    }

    #[test]
    fn folders_above() {
        assert_eq!(above(b"a/b/c").collect::<Vec<_>>(), [&b"a/b"[..], b"a"]);
        assert_eq!(above(b"a").count(), 0);
    }
}
