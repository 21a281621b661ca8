//! The local folder that a tree is copied into: what is done in it stays in it, and files appear in it whole.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backup_core::{Error, Kind, Result};
use rustix::fs::{AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::entry::{Entry, Time, Type, split};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How long the lock is waited for before another copy is believed to have it.
const PATIENCE: Duration = Duration::from_secs(1);

/// A folder and all below it. Paths in it are relative, have no `..`, and a symbolic link on their way is an error.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    root: Arc<OwnedFd>,
    path: Arc<Path>,
    /// The folder that was opened last, as files come folder by folder.
    pub(super) last: Option<(Vec<u8>, Arc<OwnedFd>)>,
    /// Owners can be given, and devices made.
    pub(super) by_root: bool,
}

impl Cache {
    /// Opens the folder at `path`, which is made, for its user alone, if it is not there, and holds it against others until the last
    /// clone of what is returned is gone. If another copy has it, that is [`Kind::Busy`].
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed =
            |error: io::Error| Error::failed(format!("failed to open the cache {}", path.display())).with_source(error);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        // The user may well have put a symbolic link there.
        let root =
            rustix::fs::openat(CWD, path, FOLDER - OFlags::NOFOLLOW, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let begun = Instant::now();
        loop {
            match rustix::fs::flock(&root, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                // A child that is being started has all that is open here until its program begins.
                Err(Errno::WOULDBLOCK) if begun.elapsed() < PATIENCE => std::thread::sleep(PATIENCE / 50),
                Err(Errno::WOULDBLOCK) => {
                    return Err(Error::new(Kind::Busy, format!("another copy into {} goes on", path.display()))
                        .with_hint("wait for it to end"));
                }
                Err(errno) => return Err(failed(errno.into())),
            }
        }
        let by_root = rustix::process::geteuid().is_root();
        Ok(Self { root: Arc::new(root), path: path.into(), last: None, by_root })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn by_root(&self) -> bool {
        self.by_root
    }

    /// What was done, or which path it failed at.
    pub(super) fn told<T>(&self, verb: &str, path: &[u8], done: io::Result<T>) -> Result<T> {
        done.map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("free some space and run it again: what is there is kept")
                }
                io::ErrorKind::PermissionDenied => Some("run it as root, or as the user whom the cache belongs to"),
                io::ErrorKind::DirectoryNotEmpty => {
                    Some("it is a folder with files that the list leaves out, where a file is to be: move these away")
                }
                _ => None,
            };
            // One of ours came through a reader, and says all that there is to say.
            let error = Error::from(error);
            let whole = self.path.join(OsStr::from_bytes(path));
            let failed = Error::new(error.kind(), format!("failed to {verb} {}", whole.display().to_string().escape_debug()));
            let failed = failed.with_source(error);
            match hint {
                Some(hint) => failed.with_hint(hint),
                None => failed,
            }
        })
    }

    /// Opens the folder at `path`.
    pub(super) fn folder(&mut self, path: &[u8]) -> io::Result<Arc<OwnedFd>> {
        if let Some((last, folder)) = &self.last
            && last == path
        {
            return Ok(folder.clone());
        }
        let mut folder = self.root.clone();
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            if name == b".." {
                return Err(Errno::XDEV.into());
            }
            folder = Arc::new(rustix::fs::openat(&folder, name, FOLDER, Mode::empty())?);
        }
        self.last = Some((path.to_owned(), folder.clone()));
        Ok(folder)
    }

    /// What lies at `path`; `None` if nothing does.
    pub(super) fn look(&mut self, path: &[u8]) -> io::Result<Option<Entry>> {
        let (parent, name) = split(path);
        let folder = match self.folder(parent) {
            Err(error) if is_gone(&error) => return Ok(None),
            folder => folder?,
        };
        look_at(&folder, if name.is_empty() { b"." } else { name })
    }

    /// Hands over the names in the folder at `path`, in no order.
    pub(super) fn names(&mut self, path: &[u8], mut each: impl FnMut(&[u8], &OwnedFd) -> io::Result<()>) -> io::Result<()> {
        let folder = self.folder(path)?;
        for entry in Dir::read_from(&*folder)? {
            let entry = entry?;
            match entry.file_name().to_bytes() {
                b"." | b".." => {}
                name => each(name, &folder)?,
            }
        }
        Ok(())
    }

    /// Waits until all that was written is on disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&*self.root)?)
    }
}

/// Whether a path leads nowhere: a folder of it is not there, or none.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// What `name` in `folder` is; `None` if there is none.
pub(super) fn look_at(folder: &OwnedFd, name: &[u8]) -> io::Result<Option<Entry>> {
    let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        stat => stat?,
    };
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Type::File,
        FileType::Directory => Type::Folder,
        FileType::Symlink => Type::Symlink,
        FileType::Fifo => Type::Fifo,
        FileType::Socket => Type::Socket,
        FileType::CharacterDevice => Type::Character,
        FileType::BlockDevice => Type::Block,
        FileType::Unknown => return Err(io::Error::other("it is of no kind that there is")),
    };
    let target = match kind {
        Type::Symlink => rustix::fs::readlinkat(folder, name, Vec::new())?.into_bytes(),
        _ => Vec::new(),
    };
    Ok(Some(entry(&stat, kind, target)))
}

#[expect(clippy::unnecessary_cast, reason = "the widths differ between architectures")]
fn entry(stat: &Stat, kind: Type, target: Vec<u8>) -> Entry {
    Entry {
        kind,
        size: stat.st_size.unsigned_abs(),
        mode: stat.st_mode & 0o7777,
        owner: stat.st_uid,
        group: stat.st_gid,
        modified: time_of(stat.st_mtime, stat.st_mtime_nsec),
        changed: time_of(stat.st_ctime, stat.st_ctime_nsec),
        inode: stat.st_ino,
        device: stat.st_dev,
        names: stat.st_nlink as u64,
        target,
    }
}

pub(super) fn time_of(seconds: impl TryInto<i64>, nanos: impl TryInto<u32>) -> Time {
    Time { seconds: seconds.try_into().unwrap_or_default(), nanos: nanos.try_into().unwrap_or_default() }
}
