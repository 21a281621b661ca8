//! Folders of a directory sink: opened step by step without following links, synced when they change.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::Key;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const PARTIAL: &str = ".partial";

/// A file or folder in a folder.
pub(crate) struct Found {
    pub(crate) name: String,
    /// Size in bytes of a file; `None` for a folder.
    pub(crate) size: Option<u64>,
}

/// The folder of a key and its name there.
pub(crate) fn parent(key: &Key) -> (&str, &str) {
    key.as_str().rsplit_once('/').unwrap_or(("", key.as_str()))
}

/// A name that no listing shows and nobody else has.
pub(crate) fn hidden_name() -> String {
    // Keys of the standard library's hash tables come from the system's randomness.
    format!(".{:016x}{PARTIAL}", RandomState::new().hash_one(std::process::id()))
}

/// Opens the folder at `path` under `root`. [`io::ErrorKind::NotADirectory`] if there is a file in the place of one under the
/// root, as that is an object; a link, or a root that is no folder, is an error of no such kind.
pub(crate) fn open(root: &Path, path: &str) -> io::Result<OwnedFd> {
    let mut dir = open_root(root)?;
    for segment in segments(path) {
        dir = step(&dir, segment)?;
    }
    Ok(dir)
}

/// Opens the folder at `path` under `root`, and makes what is missing of it.
pub(crate) fn make(root: &Path, path: &str) -> io::Result<OwnedFd> {
    let mut dir = make_root(root)?;
    for segment in segments(path) {
        loop {
            match rustix::fs::mkdirat(&dir, segment, Mode::RWXU) {
                Ok(()) => rustix::fs::fsync(&dir)?,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            match step(&dir, segment) {
                // Someone removed it, since it was empty.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => {
                    dir = opened?;
                    break;
                }
            }
        }
    }
    Ok(dir)
}

/// What is in the folder at `path` under `root`, in the order of keys. One that is not there is empty.
pub(crate) fn read(root: &Path, path: &str) -> io::Result<Vec<Found>> {
    let dir = match open(root, path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(Vec::new()),
        dir => dir?,
    };
    let mut found = Vec::new();
    each(&dir, |name, kind, size| {
        if name.parse::<Key>().is_ok() && matches!(kind, FileType::RegularFile | FileType::Directory) {
            found.push(Found { name: name.to_owned(), size: (kind == FileType::RegularFile).then_some(size) });
        }
        Ok(())
    })?;
    // What is in a folder has its name and a slash before it, and `-` comes before `/`.
    let slash = |found: &Found| if found.size.is_none() { "/" } else { "" };
    found.sort_by(|a, b| a.name.bytes().chain(slash(a).bytes()).cmp(b.name.bytes().chain(slash(b).bytes())));
    Ok(found)
}

/// Whether there is an object anywhere under the folder at `path`.
pub(crate) fn has_object(root: &Path, path: &str) -> io::Result<bool> {
    let mut found = read(root, path)?;
    // Files first: mostly the answer is here.
    found.sort_by_key(|found| found.size.is_none());
    for found in found {
        if found.size.is_some() || has_object(root, &format!("{path}/{}", found.name))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes the folder at `path` and those above it, up to the root, as far as they are empty.
pub(crate) fn remove_empty(root: &Path, path: &str) -> io::Result<()> {
    let mut path = path;
    while !path.is_empty() {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = match open(root, above) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            dir => dir?,
        };
        match rustix::fs::unlinkat(&dir, name, AtFlags::REMOVEDIR) {
            Ok(()) => rustix::fs::fsync(&dir)?,
            Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
        path = above;
    }
    Ok(())
}

/// Removes the hidden files under `path` that were last written before `before` and that nobody has open for writing,
/// and the folders that are empty then.
pub(crate) fn sweep(root: &Path, path: &str, before: SystemTime) -> io::Result<()> {
    let before = before.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    for found in read(root, path)?.into_iter().filter(|found| found.size.is_none()) {
        let below = if path.is_empty() { found.name } else { format!("{path}/{}", found.name) };
        sweep(root, &below, SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(before))?;
    }
    let dir = match open(root, path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        dir => dir?,
    };
    each(&dir, |name, kind, _| {
        if kind == FileType::RegularFile && name.starts_with('.') && name.ends_with(PARTIAL) && is_dead(&dir, name, before) {
            rustix::fs::unlinkat(&dir, name, AtFlags::empty())?;
        }
        Ok(())
    })?;
    remove_empty(root, path)
}

/// Whether the hidden file `name` is old and no longer locked by whoever wrote it.
fn is_dead(dir: &OwnedFd, name: &str, before: u64) -> bool {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let Ok(file) = rustix::fs::openat(dir, name, flags, Mode::empty()) else { return false };
    let written = rustix::fs::fstat(&file).ok().and_then(|stat| u64::try_from(stat.st_mtime).ok());
    written.is_some_and(|written| written <= before)
        && rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) != Err(Errno::WOULDBLOCK)
}

/// Calls `visit` for each name that is text, with its kind and size. What goes away meanwhile is passed over.
fn each(dir: &OwnedFd, mut visit: impl FnMut(&str, FileType, u64) -> io::Result<()>) -> io::Result<()> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if name == "." || name == ".." {
            continue;
        }
        match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            stat => {
                let stat = stat?;
                visit(name, FileType::from_raw_mode(stat.st_mode), u64::try_from(stat.st_size).unwrap_or_default())?;
            }
        }
    }
    Ok(())
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

fn step(dir: &OwnedFd, segment: &str) -> io::Result<OwnedFd> {
    match rustix::fs::openat(dir, segment, FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
        Err(errno @ (Errno::NOTDIR | Errno::LOOP)) => {
            let stat = rustix::fs::statat(dir, segment, AtFlags::SYMLINK_NOFOLLOW)?;
            Err(if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                io::Error::other(format!("{segment} is a symbolic link, which is not followed"))
            } else {
                errno.into()
            })
        }
        opened => Ok(opened?),
    }
}

fn open_root(root: &Path) -> io::Result<OwnedFd> {
    match rustix::fs::openat(CWD, root, FOLDER, Mode::empty()) {
        Err(Errno::NOTDIR) => Err(io::Error::other(format!("{} is no folder", root.display()))),
        opened => Ok(opened?),
    }
}

/// Opens a folder outside of any root, and makes what is missing of it; what is made is durable.
pub(crate) fn make_root(root: &Path) -> io::Result<OwnedFd> {
    match open_root(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    let above = match root.parent() {
        Some(above) if !above.as_os_str().is_empty() => make_root(above)?,
        _ => rustix::fs::openat(CWD, ".", FOLDER, Mode::empty())?,
    };
    match rustix::fs::mkdirat(CWD, root, Mode::RWXU) {
        Ok(()) => rustix::fs::fsync(&above)?,
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    open_root(root)
}
