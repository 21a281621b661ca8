//! What `tar` answers, put into the cache.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use backup_core::{Error, Result};

use super::attributes;
use super::cache::{Cache, is_gone};
use super::change::{Meta, create, make_special};
use super::complaint::is_of_meanwhile;
use super::entry::Type;
use super::names::{Asked, Paths};
use super::pax::{Archive, Member};
use super::spool::Spool;

/// What came of what was asked for.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// Paths that were asked for and did not come, or came to where they cannot be put any more.
    pub(super) missing: Spool,
    pub(super) missed: u64,
    /// How many did not come.
    absent: u64,
}

/// Puts the members of the archive in `reader` into `cache`: those that were `asked` for, in that order, and no others.
/// `passed` is told how many bytes of files have been written since it was told the last time.
///
/// A file appears whole, with all that belongs to it, or not at all. `tar` must have ended well or have complained of nothing but
/// files that went or changed meanwhile.
pub(super) fn apply(reader: impl Read, cache: &mut Cache, asked: &Asked, mut passed: impl FnMut(u64)) -> Result<Applied> {
    let mut applied = Applied::none(cache.path())?;
    let mut archive = Archive::new(reader);
    let mut paths = asked.paths();
    while let Some(member) = archive.next()? {
        let path = member.path.strip_prefix(b"./").unwrap_or(&member.path);
        let path = if path == b"." { b"" } else { path };
        applied.pass_to(&mut paths, Some(path))?;
        if member.is_link {
            return Err(not_asked_for(path));
        }
        match member_into(cache, path, &mut archive, &member, &mut passed) {
            // A folder on the way has become something else; what is asked for next time is where it is then.
            Err(error) if is_gone(&error) => {
                applied.miss(path)?;
                continue;
            }
            put => cache.told("write", path, put)?,
        }
        if member.kind == Type::File {
            applied.files += 1;
            applied.bytes += member.size;
        }
    }
    applied.pass_to(&mut paths, None)?;
    match archive.finish().map_err(Error::from) {
        Ok(()) if applied.absent == 0 => Ok(applied),
        Ok(()) => Err(Error::failed("tar left out files that it was asked for, and did not say why").with_hint("run it again")),
        Err(error) if is_of_meanwhile("tar", &error) => Ok(applied),
        Err(error) => Err(error),
    }
}

impl Applied {
    /// Nothing was asked for.
    pub(super) fn none(spill: &Path) -> Result<Self> {
        Ok(Self { files: 0, bytes: 0, missing: Spool::new(spill)?, missed: 0, absent: 0 })
    }

    /// Goes on to `path` in what was asked for; `None`: to the end. What is passed by did not come.
    fn pass_to(&mut self, paths: &mut Paths<'_>, path: Option<&[u8]>) -> Result<()> {
        while let Some(next) = paths.next()? {
            if Some(next.as_slice()) == path {
                return Ok(());
            }
            self.absent += 1;
            self.miss(&next)?;
        }
        match path {
            None => Ok(()),
            Some(path) => Err(not_asked_for(path)),
        }
    }

    fn miss(&mut self, path: &[u8]) -> Result<()> {
        self.missed += 1;
        Ok(self.missing.push(&[path])?)
    }
}

fn not_asked_for(path: &[u8]) -> Error {
    Error::damaged(format!("the answer of tar has \"{}\", which was not asked for", path.escape_ascii()))
        .with_hint("do not trust that host, or look whether its tar is GNU tar")
}

fn member_into<R: Read>(
    cache: &mut Cache,
    path: &[u8],
    archive: &mut Archive<R>,
    member: &Member,
    passed: &mut impl FnMut(u64),
) -> io::Result<()> {
    let meta = Meta { mode: member.mode, owner: member.owner, group: member.group, modified: member.modified };
    if member.kind == Type::Folder {
        let folder = cache.make_folder(path)?;
        // Its rights come last, when nothing is written in it any more.
        return attributes::set(&folder, b".", &member.attributes, cache.by_root());
    }
    let finisher = cache.clone();
    cache.put(path, |folder, name| {
        match member.kind {
            Type::File => file_into(folder, name, archive, member, passed)?,
            Type::Symlink => rustix::fs::symlinkat(&*member.target, folder, name)?,
            kind => make_special(folder, name, kind, member.device)?,
        }
        finisher.finish(folder, name, member.kind, meta, &member.attributes)
    })
}

fn file_into<R: Read>(
    folder: &OwnedFd,
    name: &[u8],
    archive: &mut Archive<R>,
    member: &Member,
    passed: &mut impl FnMut(u64),
) -> io::Result<()> {
    let file = create(folder, name)?;
    archive.content(member, |start, bytes| {
        file.write_all_at(bytes, start)?;
        passed(bytes.len() as u64);
        Ok(())
    })?;
    // Its last hole.
    file.set_len(member.size)
}
