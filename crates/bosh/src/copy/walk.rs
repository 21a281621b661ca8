//! What lies in a cache.

use backup_core::Result;
use backup_core::sorted::{Sorted, Sorter};

use super::cache::{Cache, is_gone, look_at};
use super::change::is_unfinished;
use super::entry::{Entry, Type, key_of};
use super::spool::Spool;
use crate::Filter;

/// A file of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cached {
    pub(super) entry: Entry,
    /// The filter leaves it out, so it stays whatever the host has; what is below it was not looked at.
    pub(super) stays: bool,
}

impl Cached {
    /// What the walk put down.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (flag, entry) = bytes.split_first()?;
        Some(Self { entry: Entry::from_bytes(entry)?, stays: *flag == 1 })
    }
}

/// All files of `cache` in order of their keys, the folder itself first.
pub(super) fn walk(cache: &mut Cache, filter: &Filter) -> Result<Sorted> {
    let spill = cache.path().to_owned();
    let mut sorter = Sorter::new(&spill);
    // Folders wait on disk, and one is open at a time.
    let mut folders = Spool::new(&spill)?;
    let root = cache.look(b"");
    let Some(root) = cache.told("look at", b"", root)? else { return Ok(sorter.finish()?) };
    sorter.push((Vec::new(), [&[0], root.to_bytes().as_slice()].concat()))?;
    folders.push(&[b""])?;
    while let Some(folder) = folders.next()? {
        let mut each = Vec::new();
        let named = cache.names(&folder, |name, open| {
            let Some(entry) = look_at(open, name)? else { return Ok(()) };
            let path = if folder.is_empty() { name.to_owned() } else { [&folder, name].join(&b'/') };
            let is_folder = entry.kind == Type::Folder;
            let stays = !is_unfinished(name) && !filter.includes(&path, is_folder);
            if is_folder && !stays {
                folders.push(&[&path])?;
            }
            each.clear();
            each.push(u8::from(stays));
            each.extend(entry.to_bytes());
            sorter.push((key_of(&path), each.clone()))
        });
        match named {
            Err(error) if is_gone(&error) => {}
            named => cache.told("read", &folder, named)?,
        }
    }
    Ok(sorter.finish()?)
}
