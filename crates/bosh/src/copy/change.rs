//! What is changed in a cache: files appear in it whole, with all that belongs to them.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::attributes;
use super::cache::{Cache, is_gone, look_at, time_of};
use super::entry::{Entry, Time, Type, split};

/// What names begin with that files have until they are whole. None that a killed copy left is kept.
const UNFINISHED: &[u8] = b".backup-bosh-unfinished-";

/// What a file is given before it has its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meta {
    pub(super) mode: u32,
    pub(super) owner: u32,
    pub(super) group: u32,
    pub(super) modified: Time,
}

impl From<&Entry> for Meta {
    fn from(entry: &Entry) -> Self {
        Self { mode: entry.mode, owner: entry.owner, group: entry.group, modified: entry.modified }
    }
}

impl Cache {
    /// Puts what `make` makes under the name that it is given in the place of `path`, whatever was there.
    ///
    /// A folder that was there is moved aside first and removed with all that is in it.
    pub(super) fn put(&mut self, path: &[u8], make: impl FnOnce(&OwnedFd, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let (parent, name) = split(path);
        let folder = self.writable(parent)?;
        let unfinished = Unfinished::new(&folder);
        make(&folder, &unfinished.name)?;
        match rustix::fs::renameat(&*folder, &*unfinished.name, &*folder, name) {
            Err(Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY) => {
                let aside = Unfinished::new(&folder);
                rustix::fs::renameat(&*folder, name, &*folder, &*aside.name)?;
                rustix::fs::renameat(&*folder, &*unfinished.name, &*folder, name)?;
                self.last = None;
                let aside = if parent.is_empty() { aside.name.clone() } else { [parent, &aside.name].join(&b'/') };
                self.remove_all(&aside)
            }
            renamed => Ok(renamed?),
        }
    }

    /// Makes the folder at `path`, in the place of a file if one is there, and returns it open.
    pub(super) fn make_folder(&mut self, path: &[u8]) -> io::Result<Arc<OwnedFd>> {
        let (parent, name) = split(path);
        if name.is_empty() {
            return self.folder(path);
        }
        let folder = self.writable(parent)?;
        match rustix::fs::mkdirat(&*folder, name, Mode::from_raw_mode(0o700)) {
            Err(Errno::EXIST) if look_at(&folder, name)?.is_none_or(|there| there.kind != Type::Folder) => {
                rustix::fs::unlinkat(&*folder, name, AtFlags::empty())?;
                rustix::fs::mkdirat(&*folder, name, Mode::from_raw_mode(0o700))?;
            }
            Err(Errno::EXIST) => {}
            made => made?,
        }
        self.folder(path)
    }

    /// Removes what lies at `path`; `false` if it is a folder that is not empty, or not there.
    pub(super) fn remove(&mut self, path: &[u8], is_folder: bool) -> io::Result<bool> {
        let (parent, name) = split(path);
        let folder = match self.writable(parent) {
            Err(error) if is_gone(&error) => return Ok(false),
            folder => folder?,
        };
        if is_folder {
            self.last = None;
        }
        match rustix::fs::unlinkat(&*folder, name, if is_folder { AtFlags::REMOVEDIR } else { AtFlags::empty() }) {
            Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
            removed => Ok(removed.map(|()| true)?),
        }
    }

    /// Removes a folder with all that is in it.
    pub(super) fn remove_all(&mut self, path: &[u8]) -> io::Result<()> {
        let mut folders = vec![path.to_owned()];
        while let Some(folder) = folders.last().cloned() {
            let before = folders.len();
            let open = self.writable_itself(&folder)?;
            for entry in Dir::read_from(&*open)? {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if matches!(name, b"." | b"..") {
                    continue;
                }
                match rustix::fs::unlinkat(&*open, name, AtFlags::empty()) {
                    Err(Errno::ISDIR) => {
                        folders.push([&folder, name].join(&b'/'));
                        // One at a time, so that a wide folder takes no memory.
                        break;
                    }
                    removed => removed?,
                }
            }
            if folders.len() == before {
                self.remove(&folder, true)?;
                folders.pop();
            }
        }
        Ok(())
    }

    /// Gives the folder at `path` what it is to have, once nothing is written in it any more.
    pub(super) fn finish_folder(&mut self, path: &[u8], meta: Meta) -> io::Result<()> {
        let folder = self.folder(path)?;
        let is = rustix::fs::fstat(&*folder)?;
        let is_given = self.by_root && (is.st_uid, is.st_gid) != (meta.owner, meta.group);
        if is_given {
            rustix::fs::fchown(&*folder, Some(Uid::from_raw(meta.owner)), Some(Gid::from_raw(meta.group)))?;
        }
        if is_given || is.st_mode & 0o7777 != meta.mode {
            rustix::fs::fchmod(&*folder, Mode::from_raw_mode(meta.mode))?;
        }
        if time_of(is.st_mtime, is.st_mtime_nsec) != meta.modified {
            rustix::fs::futimens(&*folder, &times(meta.modified))?;
        }
        Ok(())
    }

    /// Gives `name` in `folder`, which nobody else knows yet, what it is to have.
    pub(super) fn finish(
        &self,
        folder: &OwnedFd,
        name: &[u8],
        kind: Type,
        meta: Meta,
        attributes: &[(Vec<u8>, Vec<u8>)],
    ) -> io::Result<()> {
        if self.by_root {
            let (owner, group) = (Some(Uid::from_raw(meta.owner)), Some(Gid::from_raw(meta.group)));
            rustix::fs::chownat(folder, name, owner, group, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if kind != Type::Symlink {
            rustix::fs::chmodat(folder, name, Mode::from_raw_mode(meta.mode), AtFlags::empty())?;
        }
        attributes::set(folder, name, attributes, self.by_root)?;
        Ok(rustix::fs::utimensat(folder, name, &times(meta.modified), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Makes `path` another name of the file at `first`; `false` if it is that already.
    pub(super) fn link(&mut self, first: &[u8], path: &[u8]) -> io::Result<bool> {
        let one = self.look(first)?.ok_or(Errno::NOENT)?;
        if one.kind == Type::Folder {
            return Err(Errno::NOENT.into());
        }
        if self.look(path)?.is_some_and(|there| (there.device, there.inode) == (one.device, one.inode)) {
            return Ok(false);
        }
        let (parent, name) = split(first);
        let from = self.folder(parent)?;
        self.put(path, |folder, unfinished| Ok(rustix::fs::linkat(&*from, name, folder, unfinished, AtFlags::empty())?))?;
        Ok(true)
    }

    /// The folder at `path`, made writable for its user if it is not; [`Cache::finish_folder`] puts that right.
    fn writable(&mut self, path: &[u8]) -> io::Result<Arc<OwnedFd>> {
        if self.by_root { self.folder(path) } else { self.writable_itself(path) }
    }

    fn writable_itself(&mut self, path: &[u8]) -> io::Result<Arc<OwnedFd>> {
        let open = |cache: &mut Self| match cache.folder(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !path.is_empty() => {
                let (parent, name) = split(path);
                let parent = cache.writable_itself(parent)?;
                if look_at(&parent, name)?.is_some_and(|there| there.kind == Type::Folder) {
                    rustix::fs::chmodat(&*parent, name, Mode::RWXU, AtFlags::empty())?;
                }
                cache.folder(path)
            }
            folder => folder,
        };
        let folder = open(self)?;
        let mode = rustix::fs::fstat(&*folder)?.st_mode;
        if mode & 0o700 != 0o700 {
            rustix::fs::fchmod(&*folder, Mode::from_raw_mode((mode & 0o7777) | 0o700))?;
        }
        Ok(folder)
    }
}

/// Whether a file has a name that it was to have only until it was whole.
pub(super) fn is_unfinished(name: &[u8]) -> bool {
    name.starts_with(UNFINISHED)
}

/// A name that nobody else uses; what has it is removed when this is dropped.
struct Unfinished<'a> {
    folder: &'a OwnedFd,
    name: Vec<u8>,
}

impl<'a> Unfinished<'a> {
    fn new(folder: &'a OwnedFd) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let name = format!("{}-{since}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let name = [UNFINISHED, name.as_bytes()].concat();
        Self { folder, name }
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // Mostly it has its own name by now.
        let _ = rustix::fs::unlinkat(self.folder, &*self.name, AtFlags::empty());
    }
}

/// Makes an empty file that is written through what is returned.
pub(super) fn create(folder: &OwnedFd, name: &[u8]) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?.into())
}

/// Makes what is no file, folder or symbolic link.
pub(super) fn make_special(folder: &OwnedFd, name: &[u8], kind: Type, (major, minor): (u32, u32)) -> io::Result<()> {
    let kind = match kind {
        Type::Fifo => FileType::Fifo,
        Type::Socket => FileType::Socket,
        Type::Character => FileType::CharacterDevice,
        Type::Block => FileType::BlockDevice,
        Type::File | Type::Folder | Type::Symlink => return Err(Errno::INVAL.into()),
    };
    let device =
        if matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) { rustix::fs::makedev(major, minor) } else { 0 };
    Ok(rustix::fs::mknodat(folder, name, kind, Mode::RUSR | Mode::WUSR, device)?)
}

fn times(modified: Time) -> Timestamps {
    let time = Timespec { tv_sec: modified.seconds, tv_nsec: modified.nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}
