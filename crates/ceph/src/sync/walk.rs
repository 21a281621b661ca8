//! The files of a folder in byte order of their names, as the keys of a bucket are listed.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup_core::sorted::{Sorted, Sorter};
use backup_core::{Doing, Error, Result};
use futures_util::stream::BoxStream;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::merge::Named;
use super::names::{self, OWN};
use super::report::Report;
use super::streamed::streamed;

/// The longest name, in bytes: that of a key.
const LONGEST: usize = 1024;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Local {
    /// What it is called as an object.
    pub(super) name: String,
    /// Where it is, under the folder.
    pub(super) path: PathBuf,
    /// Its size in bytes.
    pub(super) size: u64,
    /// When it was modified, in nanoseconds since 1970.
    pub(super) modified: i128,
}

impl Named for Local {
    fn name(&self) -> &str {
        &self.name
    }
}

/// What to walk.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    /// The folder.
    pub(super) root: PathBuf,
    /// Only names that begin so.
    pub(super) stem: String,
    /// A destination: files that no sync would have written are passed over, and no folder is no file.
    pub(super) ours: bool,
    /// Where names are sorted that do not fit into memory.
    pub(super) spill: PathBuf,
}

impl Walk {
    /// The files, sorted on a thread of their own. Holds at most 8 MiB of names for each folder on the way down.
    ///
    /// Symbolic links and what else is no file are passed over, and a source tells the report of them. What a source cannot read
    /// is a failure there, so that nothing is deleted for want of it; in a destination it is an error.
    pub(super) fn files(self, report: Arc<Report>) -> BoxStream<'static, Result<Local>> {
        let mut walking = None;
        streamed(move || {
            let walking = match &mut walking {
                Some(walking) => walking,
                none => none.insert(Walking::begin(self.clone(), report.clone())?),
            };
            walking.next()
        })
    }

    /// Whether there may be names in a folder that begin as they have to.
    fn wants(&self, folder: &str) -> bool {
        folder.len() <= LONGEST && (folder.starts_with(&self.stem) || self.stem.starts_with(folder))
    }
}

struct Walking {
    walk: Walk,
    report: Arc<Report>,
    frames: Vec<Frame>,
}

struct Frame {
    dir: OwnedFd,
    name: String,
    path: PathBuf,
    entries: Sorted,
}

impl Walking {
    fn begin(walk: Walk, report: Arc<Report>) -> Result<Self> {
        let root = rustix::fs::openat(CWD, &walk.root, FOLDER, Mode::empty());
        let mut walking = Self { walk, report, frames: Vec::new() };
        match root {
            Err(Errno::NOENT) if walking.walk.ours => {}
            root => {
                let dir = root.doing(|| format!("read {}", walking.walk.root.display()))?;
                walking.enter(dir, String::new(), PathBuf::new())?;
            }
        }
        Ok(walking)
    }

    fn next(&mut self) -> Result<Option<Local>> {
        while let Some(frame) = self.frames.last_mut() {
            let Some((key, file_name)) = frame.entries.next().doing(|| "sort the names of files")? else {
                self.frames.pop();
                continue;
            };
            let key = String::from_utf8(key).doing(|| "sort the names of files")?;
            let file_name = OsStr::from_bytes(&file_name);
            let (name, path) = (format!("{}{key}", frame.name), frame.path.join(file_name));
            if key.ends_with('/') {
                if !self.walk.wants(&name) {
                    continue;
                }
                match rustix::fs::openat(&frame.dir, file_name, FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
                    // It went away.
                    Err(Errno::NOENT) => {}
                    Err(errno) => self.unreadable(&path, errno.into())?,
                    Ok(dir) => self.enter(dir, name, path)?,
                }
            } else if name.starts_with(&self.walk.stem) {
                match rustix::fs::statat(&frame.dir, file_name, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => {}
                    Err(errno) => self.unreadable(&path, errno.into())?,
                    Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => {}
                    Ok(_) if name.len() > LONGEST => self.strange(&path, "its path is longer than a key can be")?,
                    Ok(stat) => {
                        let modified = i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec);
                        let size = u64::try_from(stat.st_size).unwrap_or_default();
                        return Ok(Some(Local { name, path, size, modified }));
                    }
                }
            }
        }
        Ok(None)
    }

    fn enter(&mut self, dir: OwnedFd, name: String, path: PathBuf) -> Result<()> {
        let spill = self.walk.spill.clone();
        let mut sorter = Sorter::new(&spill);
        let reading = || format!("read the folder {}", self.walk.root.join(&path).display());
        for entry in Dir::read_from(&dir).doing(reading)? {
            let entry = entry.doing(reading)?;
            let file_name = OsStr::from_bytes(entry.file_name().to_bytes());
            if file_name == "." || file_name == ".." || file_name == OWN {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => match rustix::fs::statat(&dir, file_name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(_) => continue,
                },
                kind => kind,
            };
            let here = path.join(file_name);
            let Some(piece) = names::piece(file_name) else {
                self.strange(&here, "its name is not UTF-8, as a key has to be")?;
                continue;
            };
            if self.walk.ours && !piece.ours {
                continue;
            }
            let key = match kind {
                FileType::RegularFile => piece.text,
                // What is in a folder has its name and a slash before it, and `-` comes before `/`.
                FileType::Directory => piece.text + "/",
                FileType::Symlink => {
                    self.passed(&here, "a symbolic link");
                    continue;
                }
                _ => {
                    self.passed(&here, "neither a file nor a folder");
                    continue;
                }
            };
            sorter.push((key.into_bytes(), file_name.as_bytes().to_vec())).doing(|| "sort the names of files")?;
        }
        let entries = sorter.finish().doing(|| "sort the names of files")?;
        self.frames.push(Frame { dir, name, path, entries });
        Ok(())
    }

    fn unreadable(&self, path: &Path, error: std::io::Error) -> Result<()> {
        let error = Error::failed(format!("failed to read {}", self.walk.root.join(path).display())).with_source(error);
        if self.walk.ours {
            return Err(error);
        }
        self.report.failed(&error);
        Ok(())
    }

    fn strange(&self, path: &Path, why: &str) -> Result<()> {
        if !self.walk.ours {
            self.report.failed(&Error::failed(format!("{:?} cannot be an object: {why}", self.walk.root.join(path))));
        }
        Ok(())
    }

    fn passed(&self, path: &Path, what: &str) {
        if !self.walk.ours {
            self.report.warn(&format!("passed over {:?}, which is {what}", self.walk.root.join(path)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::symlink;

    use futures_util::TryStreamExt;
    use proptest::prelude::*;

    use super::*;

    fn walk(root: &Path, stem: &str, ours: bool) -> (Result<Vec<Local>>, Arc<Report>) {
        let report = Arc::new(Report::new(backup_core::Context::default()));
        let walk = Walk { root: root.into(), stem: stem.into(), ours, spill: root.into() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        (runtime.block_on(walk.files(report.clone()).try_collect()), report)
    }

    fn write(root: &Path, path: &Path) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, "x").expect("a file");
    }

    fn names(files: Vec<Local>) -> Vec<String> {
        files.into_iter().map(|file| file.name).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn files_come_in_the_order_of_keys(names_in in proptest::collection::btree_set("[ab.%=/\n!-]{1,6}", 0..20), stem in "[ab/]{0,2}") {
            let root = tempfile::tempdir().expect("a folder");
            // Where one is a folder of another, only the first can be there.
            let mut kept: BTreeSet<String> = BTreeSet::new();
            for name in names_in {
                let path = root.path().join(names::path(&name).expect("short"));
                if std::fs::create_dir_all(path.parent().expect("a parent")).is_ok() && std::fs::write(&path, "x").is_ok() {
                    kept.insert(name);
                }
            }
            kept.retain(|name| name.starts_with(&stem));
            let files = walk(root.path(), &stem, true).0.expect("walked");
            for file in &files {
                prop_assert_eq!(&file.path, &names::path(&file.name).expect("short"));
            }
            prop_assert_eq!(names(files), kept.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_destination_shows_what_a_sync_wrote_alone() {
        let root = tempfile::tempdir().expect("a folder");
        for path in ["a", ".ceph-backup/record", "a\nb", "%=x", "%=%0A/x", "b/.ceph-backup/x"] {
            write(root.path(), Path::new(path));
        }
        symlink("/etc", root.path().join("etc")).expect("a link");
        let (files, report) = walk(root.path(), "", true);
        assert_eq!(names(files.expect("walked")), ["\n/x", "a"]);
        assert_eq!(report.summary().failed, 0);
        assert!(walk(&root.path().join("none"), "", true).0.expect("walked").is_empty());
    }

    #[test]
    fn a_source_shows_every_file_and_what_cannot_be_one_is_a_failure() {
        let root = tempfile::tempdir().expect("a folder");
        for path in ["a", ".ceph-backup/record", "a\nb", "%=x"] {
            write(root.path(), Path::new(path));
        }
        write(root.path(), Path::new(OsStr::from_bytes(b"\xff")));
        symlink("/etc", root.path().join("etc")).expect("a link");
        let (files, report) = walk(root.path(), "", false);
        assert_eq!(names(files.expect("walked")), ["%=x", "a", "a\nb"]);
        assert_eq!(report.summary().failed, 1, "the name that is not UTF-8");
        assert!(walk(&root.path().join("none"), "", false).0.is_err());
    }
}
