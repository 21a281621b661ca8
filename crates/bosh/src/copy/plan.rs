//! What is to be done: the listing of the host beside that of the cache, file by file in one order.

use std::path::Path;

use backup_core::sorted::{Sorted, Sorter};
use backup_core::{Error, Result};

use super::cache::Cache;
use super::compare::{Before, is_unchanged, looks_alike};
use super::entry::{Entry, Type, path_of, split};
use super::frames::{Frame, Frames};
use super::names::{Asked, Names};
use super::record::{Record, Recorded, Writer};
use super::spool::Spool;
use super::walk::Cached;
use crate::Filter;

/// What both sides have, in order.
#[derive(Debug)]
pub(super) struct Sides {
    /// A byte that says whether the filter reaches the file, and the file.
    pub(super) listed: Sorted,
    /// Further names of files that were listed, with the key of the first.
    pub(super) links: Sorted,
    pub(super) cached: Sorted,
    pub(super) record: Option<Record>,
    /// The folder that is copied is a mount point.
    pub(super) root_is_mount: bool,
}

/// What is to be done, on disk.
#[derive(Debug)]
pub(super) struct Plan {
    /// Paths to ask for.
    pub(super) asked: Asked,
    /// Sockets, which no tar has, and what is known of them.
    pub(super) sockets: Spool,
    /// First names, and names that are to lead to the same files.
    pub(super) links: Spool,
    /// Folders, and what is known of them; what is in one comes before it.
    pub(super) folders: Spool,
    /// Paths to delete, each with a byte that says whether it is a folder; what is in one comes before it.
    pub(super) deletions: Spool,
    pub(super) record: Writer,
    pub(super) counts: Counts,
    /// Folders that have nothing any more, or are no mount points any more, and had files.
    pub(super) emptied: Vec<String>,
    /// How many devices the user of the cache may not make.
    pub(super) devices: u64,
}

/// How much of what there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) asked_bytes: u64,
}

struct Planner<'a> {
    filter: &'a Filter,
    by_root: bool,
    root_is_mount: bool,
    frames: Frames,
    asked: Names,
    sockets: Spool,
    links: Spool,
    folders: Spool,
    deletions: Spool,
    /// Folders of the cache that go, the innermost last.
    going: Vec<Vec<u8>>,
    /// A folder of the cache where the host has a file.
    replaced: Option<Vec<u8>>,
    record: Writer,
    /// When the copy before began.
    since: Option<super::entry::Time>,
    counts: Counts,
    emptied: Vec<String>,
    devices: u64,
}

/// Compares both sides; what is seen goes into `record`. Nothing is changed.
pub(super) fn plan(cache: &Cache, filter: &Filter, mut sides: Sides, record: Writer) -> Result<Plan> {
    let spill = cache.path();
    let spool = || Spool::new(spill);
    let mut planner = Planner {
        filter,
        by_root: cache.by_root(),
        root_is_mount: sides.root_is_mount,
        frames: Frames::default(),
        asked: Names::new(spill)?,
        sockets: spool()?,
        links: spool()?,
        folders: spool()?,
        deletions: spool()?,
        going: Vec::new(),
        replaced: None,
        record,
        since: sides.record.as_ref().map(|record| record.since),
        counts: Counts::default(),
        emptied: Vec::new(),
        devices: 0,
    };
    let mut listed = sides.listed.next()?;
    let mut cached = sides.cached.next()?;
    let mut link = sides.links.next()?;
    loop {
        let key = match (&listed, &cached) {
            (Some((listed, _)), Some((cached, _))) => listed.min(cached).clone(),
            (Some((key, _)), None) | (None, Some((key, _))) => key.clone(),
            (None, None) => break,
        };
        let mut here = None;
        while let Some((_, bytes)) = listed.take_if(|(listed, _)| *listed == key) {
            // A folder that changes while it is listed may tell a name twice.
            here.get_or_insert(bytes);
            listed = sides.listed.next()?;
        }
        let mut there = None;
        if let Some((_, bytes)) = cached.take_if(|(cached, _)| *cached == key) {
            there = Some(Cached::from_bytes(&bytes).ok_or_else(broken)?);
            cached = sides.cached.next()?;
        }
        let mut first = None;
        while let Some((_, bytes)) = link.take_if(|(link, _)| *link == key) {
            first = Some(bytes);
            link = sides.links.next()?;
        }
        let recorded = planner.recorded(&mut sides.record, &key)?;
        let path = path_of(&key);
        planner.leave(Some(&path))?;
        let here = here.map(|bytes| {
            let (flag, entry) = bytes.split_first()?;
            Some((*flag == 1, Entry::from_bytes(entry)?))
        });
        let here = here.map(|here| here.ok_or_else(broken)).transpose()?;
        planner.file(&path, &key, here, there, recorded.as_ref(), first)?;
    }
    if let Some(record) = &mut sides.record {
        while let Some((key, recorded)) = record.rest()? {
            planner.unlisted(&key, &recorded);
        }
    }
    planner.leave(None)?;
    planner.finish()
}

/// Further names of files, each with the first, of `groups` that are in order of device, inode and key.
pub(super) fn further_names(spill: &Path, mut groups: Sorted) -> Result<Sorted> {
    let mut links = Sorter::new(spill);
    let mut first: Option<(Vec<u8>, Vec<u8>)> = None;
    while let Some((key, _)) = groups.next()? {
        let (file, name) = key.split_at_checked(16).ok_or_else(broken)?;
        match &first {
            Some((same, first)) if same == file => links.push((name.to_owned(), first.clone()))?,
            _ => first = Some((file.to_owned(), name.to_owned())),
        }
    }
    Ok(links.finish()?)
}

impl Planner<'_> {
    /// What the copy before saw at `key`.
    fn recorded(&mut self, record: &mut Option<Record>, key: &[u8]) -> Result<Option<Recorded>> {
        let Some(record) = record else { return Ok(None) };
        while let Some((seen, recorded)) = record.up_to(key)? {
            if seen == key {
                return Ok(Some(recorded));
            }
            self.unlisted(&seen, &recorded);
        }
        Ok(None)
    }

    /// Neither side has any more what the copy before saw at `key`.
    fn unlisted(&mut self, key: &[u8], recorded: &Recorded) {
        let path = path_of(key);
        if recorded.is_mount && self.filter.reaches(&path, true) {
            self.emptied(&path);
        }
    }

    fn file(
        &mut self,
        path: &[u8],
        key: &[u8],
        here: Option<(bool, Entry)>,
        there: Option<Cached>,
        recorded: Option<&Recorded>,
        first: Option<Vec<u8>>,
    ) -> Result<()> {
        let was_mount = recorded.is_some_and(|recorded| recorded.is_mount);
        if here.is_some() {
            self.frames.child(path);
        }
        let included = here.filter(|(included, _)| *included).map(|(_, entry)| entry);
        if let Some(Cached { entry, stays: true }) = &there {
            let is_replaced = self.replaced.as_ref().is_some_and(|replaced| is_below(path, replaced));
            if is_replaced || included.as_ref().is_some_and(|included| included.kind != entry.kind) {
                let path = path.escape_ascii();
                return Err(Error::failed(format!(
                    "the list leaves out \"{path}\" of the cache, and a file is to be in its place"
                ))
                .with_hint("move that of the cache away"));
            }
        }
        let there = there.filter(|cached| !cached.stays).map(|cached| cached.entry);
        let Some(entry) = included else {
            if was_mount && self.filter.reaches(path, true) {
                self.emptied(path);
            }
            return there.map_or(Ok(()), |cached| self.gone(path, &cached));
        };
        let is_mount = self.is_mount(path, &entry)?;
        if was_mount && !is_mount {
            self.emptied(path);
        }
        if entry.kind == Type::Folder {
            let is_first = self.since.is_none() && !path.is_empty() && !path.contains(&b'/');
            let must_have = path.is_empty() || is_mount || is_first;
            self.frames.enter(Frame { path: path.to_owned(), entry: entry.clone(), must_have, children: 0, gone: 0 });
        } else {
            self.counts.files += 1;
            self.counts.bytes += entry.size;
            if there.as_ref().is_some_and(|cached| cached.kind == Type::Folder) {
                self.replaced = Some(path.to_owned());
            }
        }
        self.record.push(key, &Recorded { entry: entry.clone(), is_mount })?;
        let before = Before { since: self.since, recorded };
        match (first, entry.kind) {
            (Some(first), _) => self.links.push(&[&path_of(&first), path])?,
            (None, Type::Socket) => {
                if there.is_none_or(|cached| !looks_alike(&entry, &cached, self.by_root)) {
                    self.sockets.push(&[path, &entry.to_bytes()])?;
                }
            }
            (None, kind) if kind.is_device() && !self.by_root => self.devices += 1,
            (None, kind) => {
                if there.is_none_or(|cached| !is_unchanged(&entry, &cached, before, self.by_root)) {
                    self.asked.push(path)?;
                    self.counts.asked_bytes += if kind == Type::File { entry.size } else { 0 };
                }
            }
        }
        Ok(())
    }

    /// Whether another file system begins at the folder.
    fn is_mount(&self, path: &[u8], entry: &Entry) -> Result<bool> {
        if path.is_empty() {
            return Ok(self.root_is_mount);
        }
        let (parent, _) = split(path);
        match self.frames.innermost() {
            Some(frame) if frame.path == parent => Ok(entry.kind == Type::Folder && frame.entry.device != entry.device),
            _ => Err(Error::damaged(format!("the listing names \"{}\" and not the folder that it is in", path.escape_ascii()))
                .with_hint("run it again")),
        }
    }

    /// The host does not have what the cache has.
    fn gone(&mut self, path: &[u8], cached: &Entry) -> Result<()> {
        self.frames.gone();
        if self.replaced.as_ref().is_some_and(|replaced| is_below(path, replaced)) {
            // It goes with the folder.
            return Ok(());
        }
        match cached.kind {
            Type::Folder => self.going.push(path.to_owned()),
            _ => self.deletions.push(&[path, &[0]])?,
        }
        Ok(())
    }

    /// `next` comes: folders that it is not in are done. With `None`, all are.
    fn leave(&mut self, next: Option<&[u8]>) -> Result<()> {
        let is_outside = |folder: &[u8]| next.is_none_or(|next| !is_below(next, folder));
        while let Some(folder) = self.going.pop_if(|folder| is_outside(folder)) {
            self.deletions.push(&[&folder, &[1]])?;
        }
        while let Some(frame) = self.frames.leave(is_outside) {
            self.folders.push(&[&frame.path, &frame.entry.to_bytes()])?;
            if frame.must_have && frame.children == 0 && frame.gone > 0 {
                self.emptied(&frame.path);
            }
        }
        Ok(())
    }

    fn emptied(&mut self, path: &[u8]) {
        // A few are enough to know what it is.
        if self.emptied.len() < 5 {
            self.emptied.push(path.escape_ascii().to_string());
        }
    }

    fn finish(self) -> Result<Plan> {
        Ok(Plan {
            asked: self.asked.finish()?,
            sockets: self.sockets,
            links: self.links,
            folders: self.folders,
            deletions: self.deletions,
            record: self.record,
            counts: self.counts,
            emptied: self.emptied,
            devices: self.devices,
        })
    }
}

/// Whether `path` is in the folder, at any depth.
fn is_below(path: &[u8], folder: &[u8]) -> bool {
    match path.strip_prefix(folder) {
        Some(rest) => folder.is_empty() && !path.is_empty() || rest.first() == Some(&b'/'),
        None => false,
    }
}

fn broken() -> Error {
    Error::failed("what was put down on disk is not what is read back").with_hint("look at the disk of the cache")
}
