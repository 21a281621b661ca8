//! What lies on the director where files are to come back.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use backup_core::sorted::{Sorted, Sorter};
use backup_core::{Context, Doing, Error, Event, Kind, Name, Result};
use backup_host::{Command, Host};

use super::chosen::{Chosen, above};
use crate::copy::{Type, arguments, key_of, read_blocking, read_listing, split};
use crate::director::ROOT;

/// The most bytes of folders and places that are kept in memory.
pub(super) const MOST: usize = 16 << 20;

/// After how many files a listing tells that it gets on.
const TOLD: u64 = 1000;

/// What lies there.
#[derive(Debug)]
pub(super) struct There {
    /// What is chosen and there, by keys, each with whether it is a folder.
    pub(super) listed: Sorted,
    pub(super) opened: Opened,
}

/// The folders that stay, while what is in them is replaced name by name: they have something in them that is to stay, or are where
/// a file system is mounted.
#[derive(Debug, Clone, Default)]
pub(super) struct Opened {
    folders: BTreeSet<Vec<u8>>,
    bytes: usize,
    /// Where file systems are mounted.
    mounts: Vec<Vec<u8>>,
}

impl Opened {
    /// The folders above `paths`, and `mounts` with those above them.
    pub(super) fn new(paths: &[Vec<u8>], mounts: Vec<Vec<u8>>) -> Result<Self> {
        let mut opened = Self { mounts: mounts.clone(), ..Self::default() };
        for path in paths {
            opened.around(path)?;
        }
        for mount in mounts {
            opened.around(&mount)?;
            opened.insert(&mount)?;
        }
        Ok(opened)
    }

    fn insert(&mut self, folder: &[u8]) -> Result<bool> {
        let is_new = self.folders.insert(folder.to_owned());
        self.bytes += if is_new { folder.len() + 64 } else { 0 };
        match self.bytes > MOST {
            true => Err(too_many()),
            false => Ok(is_new),
        }
    }

    /// `path` stays: the folders above it do too.
    pub(super) fn around(&mut self, path: &[u8]) -> Result<()> {
        for folder in above(path) {
            if !self.insert(folder)? {
                break;
            }
        }
        Ok(())
    }

    /// Whether it is one of them; the folder that all lie in always is.
    pub(super) fn has(&self, path: &[u8]) -> bool {
        path.is_empty() || self.folders.contains(path)
    }

    /// Where the file system is mounted that `path` lies on; empty: the one that all lie in.
    pub(super) fn mount_of<'a>(&self, path: &'a [u8]) -> &'a [u8] {
        let (folder, _) = split(path);
        let is_mount = |folder: &&[u8]| self.mounts.iter().any(|mount| mount == folder);
        std::iter::once(folder).chain(above(folder)).find(is_mount).unwrap_or_default()
    }
}

/// Bytes of a name as a path.
pub(super) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// More names than can be kept.
pub(super) fn too_many() -> Error {
    Error::failed("too many folders have something in them that is to stay beside what comes back")
        .with_hint("let the list of files leave out whole folders, or choose less with --path")
}

/// Asks `host` what lies there.
pub(super) async fn there(cx: &Context, host: &dyn Host, chosen: &Chosen, spill: &Path) -> Result<There> {
    let mounts = mounts(host).await?;
    let folders: Vec<Vec<u8>> = chosen.paths.iter().flat_map(|path| above(path)).map(<[u8]>::to_owned).collect();
    let opened = Opened::new(&chosen.paths, mounts)?;
    let (chosen, spill, cx, part): (Chosen, PathBuf, Context, Name) =
        (chosen.clone(), spill.to_owned(), cx.clone(), "files".parse()?);
    let command = Command::new("find").args(arguments(Path::new(ROOT))).sudo();
    let body = host.run(&command, None).await?;
    let read = read_blocking(body, move |reader| {
        let (mut opened, mut listed, mut count) = (opened, Sorter::new(&spill), 0_u64);
        let mut missing: BTreeSet<Vec<u8>> = folders.into_iter().collect();
        read_listing(reader, |path, entry| {
            count += 1;
            if count.is_multiple_of(TOLD) {
                cx.tell(Event::Progress { part: &part, bytes: 0 });
            }
            let is_folder = entry.kind == Type::Folder;
            if is_folder {
                missing.remove(path);
            }
            if chosen.has(path, is_folder) {
                listed.push((key_of(path), vec![u8::from(is_folder)]))?;
            } else if chosen.covers(path) {
                opened.around(path)?;
            }
            Ok(())
        })?;
        match missing.into_iter().next() {
            Some(folder) => Err(Error::new(Kind::NotFound, format!("there is no folder {ROOT}/{}", folder.escape_ascii()))
                .with_hint("make it, or choose the one above it with --path")),
            None => Ok(There { listed: listed.finish()?, opened }),
        }
    });
    read.await.doing(|| format!("list the files of {}", host.name()))
}

/// Where file systems are mounted below the folder of a director.
async fn mounts(host: &dyn Host) -> Result<Vec<Vec<u8>>> {
    let script = r#"cd "$0" && pwd -P && cat /proc/self/mountinfo"#;
    let answer = host.answer(&Command::new("sh").args(["-c", script, ROOT])).await?;
    match (answer.status, mounted(&answer.stdout)) {
        (0, Some(mounts)) => Ok(mounts),
        _ => Err(Error::failed(format!("{} does not tell what is mounted in {ROOT}", host.name())).with_source(answer.stderr)),
    }
}

/// Of a line with a folder, and those of `mountinfo` (proc(5)), what is mounted below the folder, relative to it.
fn mounted(said: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut lines = said.split(|byte| *byte == b'\n');
    let root = [lines.next()?, b"/"].concat();
    let points = lines.filter(|line| !line.is_empty()).map(|line| Some(unescaped(line.split(|byte| *byte == b' ').nth(4)?)));
    let points: Option<Vec<Vec<u8>>> = points.collect();
    let below = |point: Vec<u8>| point.strip_prefix(root.as_slice()).map(<[u8]>::to_owned);
    Some(points?.into_iter().filter_map(below).collect())
}

/// A field of `mountinfo`: a blank, a tab, a newline and a backslash stand there as three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let (mut plain, mut rest) = (Vec::new(), field);
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *byte == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) => {
                plain.push(escaped);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(*byte);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_below_a_folder() {
        let said = b"/data/vcap\n21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            22 21 8:2 / /data/vcap/store rw - ext4 /dev/sdb1 rw\n23 22 8:3 / /data/vcap/store/a\\040b\\134 rw - ext4 x rw\n\
            24 21 8:2 / /data/vcaps rw - ext4 x rw\n25 21 0:5 / /data/vcap rw - tmpfs x rw\n";
        assert_eq!(mounted(said), Some(vec![b"store".to_vec(), b"store/a b\\".to_vec()]));
        assert_eq!(mounted(b"/data/vcap\n21 1 8:1\n"), None, "no mountinfo");
    }

    #[test]
    fn folders_with_what_stays_are_opened_and_know_their_file_system() {
        let mut opened = Opened::new(&[b"store/blobs".to_vec()], vec![b"store".to_vec(), b"data/x".to_vec()]).expect("few");
        opened.around(b"store/blobs/a/b/kept").expect("few");
        for folder in ["", "store", "store/blobs", "store/blobs/a", "store/blobs/a/b", "data", "data/x"] {
            assert!(opened.has(folder.as_bytes()), "{folder}");
        }
        for folder in ["store/blobs/a/b/kept", "store/other", "bosh"] {
            assert!(!opened.has(folder.as_bytes()), "{folder}");
        }
        for (path, mount) in
            [("store", ""), ("store/a", "store"), ("store/a/b", "store"), ("data/x/y", "data/x"), ("bosh/a", "")]
        {
            assert_eq!(opened.mount_of(path.as_bytes()), mount.as_bytes(), "{path}");
        }
    }

    #[test]
    fn no_list_takes_all_memory() {
        let mut opened = Opened::default();
        let path = |number: usize| format!("{number:0>200}/x").into_bytes();
        let filled = (0..MOST / 200).try_for_each(|number| opened.around(&path(number)));
        assert!(filled.is_err_and(|error| error.hint().is_some()));
    }
}
