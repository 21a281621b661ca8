//! The folder at an end of a sync: files appear in it whole, and nothing outside of it is touched.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use backup_core::{Error, Result};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A folder. Paths in it are relative, have no `..`, and symbolic links on their way are not followed.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    root: Arc<OwnedFd>,
    path: Arc<Path>,
}

/// What a new file takes the place of.
#[derive(Debug, Clone)]
pub(super) enum Old {
    /// Nothing: something that is there all the same is an error.
    Nothing,
    /// A file that may go.
    Replaced,
    /// A file that is kept at this path.
    Kept(PathBuf),
}

impl Tree {
    /// Opens the folder, and makes it first if `make`.
    pub(super) fn open(path: &Path, make: bool) -> io::Result<Self> {
        if make {
            std::fs::create_dir_all(path)?;
        }
        let root = rustix::fs::openat(CWD, path, FOLDER, Mode::empty())?;
        Ok(Self { root: Arc::new(root), path: path.into() })
    }

    /// A folder whose files never come to disk.
    #[cfg(test)]
    pub(super) fn that_cannot_be_synced() -> Self {
        let root =
            rustix::fs::openat(CWD, "/", FOLDER | OFlags::PATH, Mode::empty()).expect("a descriptor that names a folder");
        Self { root: Arc::new(root), path: Path::new("/").into() }
    }

    /// Does `work` on a thread where it may block, and says what it was if it fails: `failed to {verb} {path}`.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        verb: &str,
        path: &Path,
        work: impl FnOnce(Self, PathBuf) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (tree, place) = (self.clone(), path.to_owned());
        let done = tokio::task::spawn_blocking(move || work(tree, place)).await;
        self.told(verb, path, done.unwrap_or_else(|error| Err(io::Error::other(error))))
    }

    /// What was done, or what it was that failed.
    pub(super) fn told<T>(&self, verb: &str, path: &Path, done: io::Result<T>) -> Result<T> {
        done.map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("free some space and run it again"),
                io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory | io::ErrorKind::DirectoryNotEmpty => {
                    Some("one object has the name of a folder that others are in, which no folder can show: sync to a bucket")
                }
                io::ErrorKind::AlreadyExists => Some("it was made meanwhile, or the file system takes two names for one"),
                _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                    Some("a symbolic link is in the way, and none is followed")
                }
                io::ErrorKind::CrossesDevices => {
                    Some("another file system is mounted in the folder: sync to that one by itself")
                }
                _ => None,
            };
            let failed = Error::failed(format!("failed to {verb} {}", self.path.join(path).display())).with_source(error);
            match hint {
                Some(hint) => failed.with_hint(hint),
                None => failed,
            }
        })
    }

    /// Waits until all that was written in its file system is on disk.
    pub(super) fn sync(&self) -> rustix::io::Result<()> {
        rustix::fs::syncfs(&*self.root)
    }

    /// Opens a regular file to be read.
    pub(super) fn read(&self, path: &Path) -> io::Result<File> {
        let (dir, name) = self.parent(path, false)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::openat(dir, name, flags, Mode::empty())?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file any more")) }
    }

    /// Opens a file to be written, made with all folders above it if it is not there.
    pub(super) fn write(&self, path: &Path) -> io::Result<File> {
        let (dir, name) = self.parent(path, true)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o666))?.into())
    }

    /// Makes a folder, and returns whether it was not there.
    pub(super) fn make(&self, path: &Path) -> io::Result<bool> {
        let (dir, name) = self.parent(path, true)?;
        match rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(0o777)) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => {
                rustix::fs::openat(&dir, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()).map(|_| false).map_err(io::Error::from)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Size and time of modification of a regular file, in nanoseconds since 1970; `None` if there is none.
    pub(super) fn look(&self, path: &Path) -> io::Result<Option<(u64, i128)>> {
        let found = self
            .parent(path, false)
            .and_then(|(dir, name)| rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from));
        match found {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => Ok(None),
            Ok(stat) => {
                let modified = i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec);
                Ok(Some((u64::try_from(stat.st_size).unwrap_or_default(), modified)))
            }
        }
    }

    /// Whether there is anything at all.
    pub(super) fn exists(&self, path: &Path) -> io::Result<bool> {
        let found = self
            .parent(path, false)
            .and_then(|(dir, name)| rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from));
        match found {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Moves the file at `from`, which is whole, to `to`.
    pub(super) fn place(&self, from: &Path, to: &Path, old: &Old) -> io::Result<()> {
        let (from_dir, from_name) = self.parent(from, false)?;
        let (dir, name) = self.parent(to, true)?;
        if let Old::Kept(kept) = old {
            let (kept_dir, kept_name) = self.parent(kept, true)?;
            match rustix::fs::linkat(&dir, name, kept_dir, kept_name, AtFlags::empty()) {
                // It went away meanwhile, or is kept by a run that died.
                Ok(()) | Err(Errno::NOENT | Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        match old {
            Old::Nothing => match rustix::fs::renameat_with(&from_dir, from_name, &dir, name, RenameFlags::NOREPLACE) {
                // The file system does not know how: a hard link does not replace either.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    rustix::fs::linkat(&from_dir, from_name, &dir, name, AtFlags::empty())?;
                    rustix::fs::unlinkat(&from_dir, from_name, AtFlags::empty())?;
                }
                done => done?,
            },
            Old::Replaced | Old::Kept(_) => rustix::fs::renameat(&from_dir, from_name, &dir, name)?,
        }
        Ok(())
    }

    /// Deletes a file, or moves it to `kept`, and the folders above it that are empty then.
    pub(super) fn remove(&self, path: &Path, kept: Option<&Path>) -> io::Result<()> {
        match kept {
            Some(kept) => self.place(path, kept, &Old::Nothing)?,
            None => {
                let (dir, name) = self.parent(path, false)?;
                rustix::fs::unlinkat(dir, name, AtFlags::empty())?;
            }
        }
        for folder in path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
            let (dir, name) = self.parent(folder, false)?;
            // It is not empty, or went away.
            if rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// The folder that a path is in, and its name there.
    fn parent<'a>(&self, path: &'a Path, make: bool) -> io::Result<(OwnedFd, &'a OsStr)> {
        let mut names = path.components().map(|part| match part {
            Component::Normal(name) => Ok(name),
            _ => Err(io::Error::other("the path leads out of the folder")),
        });
        let mut name = names.next().ok_or(io::ErrorKind::InvalidInput)??;
        let mut dir = self.root.try_clone()?;
        for next in names {
            if make {
                match rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            dir = rustix::fs::openat(&dir, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
            name = next?;
        }
        Ok((dir, name))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree() -> (tempfile::TempDir, Tree) {
        let folder = tempfile::tempdir().expect("a folder");
        let tree = Tree::open(&folder.path().join("a/root"), true).expect("made");
        (folder, tree)
    }

    fn write(tree: &Tree, path: &str, text: &str) {
        io::Write::write_all(&mut tree.write(Path::new(path)).expect(path), text.as_bytes()).expect(path);
    }

    fn text(tree: &Tree, path: &str) -> Option<String> {
        io::read_to_string(tree.read(Path::new(path)).ok()?).ok()
    }

    #[test]
    fn nothing_leads_out_of_it() {
        let (folder, tree) = tree();
        std::fs::write(folder.path().join("a/secret"), "x").expect("a file");
        symlink("..", folder.path().join("a/root/up")).expect("a link");
        symlink("../secret", folder.path().join("a/root/link")).expect("a link");
        for path in ["../secret", "/etc/passwd", "x/../../secret", "up/secret", "up/new", "link", ""] {
            let path = Path::new(path);
            assert!(tree.read(path).is_err() && tree.write(path).is_err() && tree.make(path).is_err(), "{path:?}");
            assert!(!matches!(tree.look(path), Ok(Some(_))), "{path:?}");
        }
        write(&tree, "new", "n");
        assert!(tree.place(Path::new("new"), Path::new("up/new"), &Old::Replaced).is_err());
        assert!(tree.remove(Path::new("up/secret"), None).is_err());
        assert!(folder.path().join("a/secret").exists() && !folder.path().join("a/new").exists());
    }

    #[test]
    fn a_file_takes_a_place() {
        let (_folder, tree) = tree();
        let place = |old: &Old| {
            write(&tree, "own/new", "new");
            tree.place(Path::new("own/new"), Path::new("b/c/file"), old)
        };
        place(&Old::Nothing).expect("placed");
        write(&tree, "b/c/file", "old");
        assert_eq!(place(&Old::Nothing).expect_err("there").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(text(&tree, "b/c/file").as_deref(), Some("old"));
        place(&Old::Kept("own/trash/b/c/file".into())).expect("placed");
        assert_eq!(text(&tree, "b/c/file").as_deref(), Some("new"));
        assert_eq!(text(&tree, "own/trash/b/c/file").as_deref(), Some("old"));
        place(&Old::Replaced).expect("placed");
        // A file where a folder should be, and the reverse.
        assert!(tree.write(Path::new("b/c/file/x")).is_err());
        write(&tree, "own/new", "new");
        assert!(tree.place(Path::new("own/new"), Path::new("b/c"), &Old::Replaced).is_err());
        assert!(tree.make(Path::new("b/c/file")).is_err());
        assert_eq!(text(&tree, "b/c/file").as_deref(), Some("new"));
    }

    #[test]
    fn what_is_removed_takes_empty_folders_with_it() {
        let (folder, tree) = tree();
        write(&tree, "b/c/one", "1");
        write(&tree, "b/two", "2");
        tree.remove(Path::new("b/c/one"), Some(Path::new("own/trash/one"))).expect("removed");
        assert_eq!(text(&tree, "own/trash/one").as_deref(), Some("1"));
        assert!(!folder.path().join("a/root/b/c").exists());
        tree.remove(Path::new("b/two"), None).expect("removed");
        assert!(!folder.path().join("a/root/b").exists() && folder.path().join("a/root").exists());
        assert!(!tree.make(Path::new("own/trash")).expect("it is there") && tree.make(Path::new("d/e")).expect("made"));
    }
}
