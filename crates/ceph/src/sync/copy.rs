//! One object is copied, and is whole at its destination or as it was before.

use std::fs::{File, FileTimes};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backup_core::{Doing, Error, Kind, Result, Sha256, body};
use bytes::{BufMut, BytesMut};
use rustix::fs::{Gid, Mode, Uid};
use tokio::io::AsyncReadExt;

use super::attrs::{Attrs, HEADER, is_md5};
use super::bucket::Bucket;
use super::compare::attrs;
use super::content::{Check, Match};
use super::item::Item;
use super::lines::Written;
use super::names;
use super::passing::{Found, passing};
use super::run::{Run, Side};
use super::tree::{Old, Tree};
use crate::download;
use crate::s3::etag::hex;
use crate::s3::{Head, New};

/// How much is written at once, in bytes.
const WRITE: usize = 256 << 10;
/// What is smaller is fetched anew after it broke off.
const RESUMED: u64 = 1 << 20;
/// How often an object is tried that comes as another or changes meanwhile.
const TRIES: usize = 3;
/// The largest object that a server copies in one request.
const COPIED: u64 = 5 << 30;

impl Run {
    /// Copies `source` to the place of `old`, of which is told whether this sync wrote it. Returns whether there was anything to do.
    pub(super) async fn copy(&self, source: &Item, old: Option<(&Item, bool)>) -> Result<(Written, bool)> {
        if let (Side::Bucket(_), Side::Folder(tree), true) = (&self.from, &self.to, source.is_folder()) {
            let path = names::path(source.name.strip_suffix('/').unwrap_or_default())?;
            let made = tree.blocking("make", &path, |tree, path| tree.make(&path)).await?;
            return Ok((source.written(String::new()), made));
        }
        let mut source = source.clone();
        let mut tried = 0;
        loop {
            let copied = match (&self.from, &self.to) {
                (Side::Bucket(from), Side::Folder(to)) => self.download(from, to, &source, old).await,
                (Side::Folder(from), Side::Bucket(to)) => self.upload(from, to, &source, old).await,
                (Side::Bucket(from), Side::Bucket(to)) => self.transfer(from, to, &source, old).await,
                (Side::Folder(_), Side::Folder(_)) => Err(Error::usage("one end of a sync is a bucket")),
            };
            let error = match copied {
                Ok(written) => return Ok((written, true)),
                Err(error) => error,
            };
            tried += 1;
            // What came as another may come right, and what was changed may be had as it is now.
            let ended = tried == TRIES || super::run::is_the_end(&error);
            if ended || !(self.has_changed(&mut source).await || error.kind() == Kind::Damaged) {
                return Err(error);
            }
        }
    }

    /// Whether the source of a bucket is not what was listed; then it is what is there now.
    async fn has_changed(&self, source: &mut Item) -> bool {
        let Side::Bucket(from) = &self.from else { return false };
        let Ok(Some(head)) = from.look(&source.name).await else { return false };
        let listed = (source.size, std::mem::take(&mut source.mark));
        (source.size, source.mark) = (head.size, head.etag);
        listed != (source.size, source.mark.clone())
    }

    async fn download(&self, from: &Bucket, to: &Tree, source: &Item, old: Option<(&Item, bool)>) -> Result<Written> {
        let path = names::path(&source.name)?;
        let digest = Sha256::of(format!("{} {} {}", source.mark, source.size, source.name)).to_string();
        let partial = self.partial.join(digest);
        let (size, mark) = (source.size, source.mark.clone());
        let open = move |tree: Tree, partial: PathBuf| {
            let file = tree.write(&partial)?;
            let there = file.metadata()?.len();
            let there = if (RESUMED..size).contains(&there) { there } else { 0 };
            file.set_len(there)?;
            Ok((file, there))
        };
        let (file, there) = to.blocking("write", &partial, open).await?;
        let range = (there > 0).then_some(there..size);
        let (head, body) = download::open(&from.gateway, &from.bucket, &from.key(&source.name), range, 1).await?;
        let attrs = unchanged(&head, source)?;
        let check = Check::new(&mark, &attrs, size);
        let resume = move |_, _| resume(file, check, there);
        let (mut file, check) = to.blocking("read", &partial, resume).await?;
        let (mut body, found) = passing(body, size - there, check, &self.pace);
        let mut buffer = BytesMut::with_capacity(WRITE);
        loop {
            buffer.clear();
            while buffer.len() < WRITE {
                let free = WRITE - buffer.len();
                if body.read_buf(&mut (&mut buffer).limit(free)).await? == 0 {
                    break;
                }
            }
            if buffer.is_empty() {
                break;
            }
            let write = move |_, _| {
                file.write_all(&buffer)?;
                Ok((file, buffer))
            };
            (file, buffer) = to.blocking("write", &partial, write).await?;
        }
        self.verified(&found);
        let attrs = if self.options.preserve { attrs } else { Attrs::default() };
        let modified = attrs.mtime.or_else(|| head.modified.map(|time| time.as_second()));
        let listed = old.map(|(old, _)| (old.size, old.mark.as_str()));
        let old = self.old(old, &path);
        let place = path.clone();
        let listed = listed.map(|(size, mark)| (size, mark.to_owned()));
        let finish = move |tree: Tree, partial: PathBuf| {
            let now = tree.look(&place)?.map(|(size, modified)| (size, modified.to_string()));
            if now.is_some() && now != listed {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            dress(&file, &attrs, modified)?;
            file.sync_all()?;
            tree.place(&partial, &place, &old)?;
            let (_, modified) = tree.look(&place)?.ok_or(io::ErrorKind::NotFound)?;
            Ok(modified)
        };
        let modified = to.blocking("write", &partial, finish).await.doing(|| format!("write {}", path.display()))?;
        Ok(source.written(modified.to_string()))
    }

    async fn upload(&self, from: &Tree, to: &Bucket, source: &Item, old: Option<(&Item, bool)>) -> Result<Written> {
        let hash = |tree: Tree, path: PathBuf| {
            let mut file = tree.read(&path)?;
            let before = tree.look(&path)?.ok_or(io::ErrorKind::NotFound)?;
            let (mut md5, mut buffer) = (md5::Md5::default(), vec![0; WRITE]);
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    read => md5::Digest::update(&mut md5, buffer.get(..read).unwrap_or_default()),
                }
            }
            file.rewind()?;
            let attrs = undress(&file, hex(md5::Digest::finalize(md5).into()))?;
            Ok((file, before, attrs))
        };
        let (file, before, attrs) = from.blocking("read", &source.path, hash).await?;
        let (size, modified) = before;
        let check = Check::new(attrs.md5.as_deref().unwrap_or_default(), &Attrs::default(), size);
        let noted = if self.options.preserve { attrs } else { Attrs { md5: attrs.md5, ..Attrs::default() } };
        let new = New {
            content_type: Some(self.options.mime_type.clone()),
            storage_class: self.options.storage_class.clone(),
            metadata: vec![(HEADER.to_owned(), noted.to_string())],
            only_if_absent: old.is_none(),
        };
        if old.is_some() {
            self.keep(to, &source.name, old).await?;
        }
        let (body, _) = passing(body::sound(tokio::fs::File::from_std(file)), size, check, &self.pace);
        let etag = to.store(&source.name, size, body, new, self.options.part_size, &self.tasks).await?;
        let look = |tree: Tree, path: PathBuf| tree.look(&path);
        if from.blocking("look at", &source.path, look).await? != Some(before) {
            // What was stored was the file once, and is ours; it is not what the file is.
            let error = Error::failed(format!("{:?} was changed while it was read", source.name)).with_hint("run it again");
            self.report.failed(&error);
        }
        Ok(Written { size, from: modified.to_string(), ..source.written(etag) })
    }

    async fn transfer(&self, from: &Bucket, to: &Bucket, source: &Item, old: Option<(&Item, bool)>) -> Result<Written> {
        let (key, place) = (from.key(&source.name), to.key(&source.name));
        let class = self.options.storage_class.clone();
        let new = |head: &Head| New {
            content_type: head.content_type.clone(),
            storage_class: class.clone().or_else(|| head.storage_class.clone()),
            metadata: head.metadata.clone(),
            only_if_absent: old.is_none(),
        };
        if Arc::ptr_eq(&from.gateway, &to.gateway) && source.size <= COPIED {
            let head = from.gateway.head(&from.bucket, &key).await?;
            unchanged(&head, source)?;
            self.keep(to, &source.name, old).await?;
            // A class is lost unless it is named, and with it the rest has to be.
            let new = new(&head);
            let new = new.storage_class.is_some().then_some(&new);
            to.gateway.copy((&from.bucket, &key), (&to.bucket, &place), new).await?;
            let copied = to.gateway.head(&to.bucket, &place).await?;
            // That of parts may be another for the same content.
            let etag = if is_md5(&source.mark) && is_md5(&copied.etag) { &copied.etag } else { &source.mark };
            unchanged(&Head { etag: etag.clone(), ..copied.clone() }, source)?;
            return Ok(source.written(copied.etag));
        }
        let (head, body) = download::open(&from.gateway, &from.bucket, &key, None, 1).await?;
        let attrs = unchanged(&head, source)?;
        if old.is_some() {
            self.keep(to, &source.name, old).await?;
        }
        let (body, found) = passing(body, source.size, Check::new(&source.mark, &attrs, source.size), &self.pace);
        let etag = to.store(&source.name, source.size, body, new(&head), self.options.part_size, &self.tasks).await?;
        self.verified(&found);
        Ok(source.written(etag))
    }

    /// Where what is at the destination goes.
    fn old(&self, old: Option<(&Item, bool)>, path: &Path) -> Old {
        match old {
            None => Old::Nothing,
            Some((_, false)) if self.options.trash => Old::Kept(Path::new(&self.trash).join(path)),
            Some(_) => Old::Replaced,
        }
    }

    /// Fails unless an object that is about to be replaced is the one that was listed, and keeps it if this sync did not write it.
    async fn keep(&self, to: &Bucket, name: &str, old: Option<(&Item, bool)>) -> Result<()> {
        let (listed, is_ours) = old.map_or((None, true), |(old, is_ours)| (Some((old.size, &old.mark)), is_ours));
        let head = to.look(name).await?;
        if head.as_ref().map(|head| (head.size, &head.etag)) != listed {
            return Err(Error::new(
                Kind::AlreadyExists,
                format!("s3://{}/{} is not what its listing shows", to.bucket, to.key(name)),
            )
            .with_hint("it was made or changed meanwhile: run it again"));
        }
        if self.options.trash && !is_ours { to.keep(name, &self.trash).await } else { Ok(()) }
    }

    /// Counts what came with nothing that tells its content.
    fn verified(&self, found: &Found) {
        if found.get() != Some(&Match::Yes) {
            self.report.count().unverified += 1;
        }
    }
}

/// Fails unless this is what was listed.
fn unchanged(head: &Head, source: &Item) -> Result<Attrs> {
    if head.etag == source.mark && head.size == source.size {
        Ok(attrs(head))
    } else {
        Err(Error::failed("it was changed while it was copied"))
    }
}

/// Takes the bytes that are there already, so that the rest can follow.
fn resume(mut file: File, mut check: Check, there: u64) -> io::Result<(File, Check)> {
    file.rewind()?;
    let mut left = there;
    let mut buffer = vec![0; WRITE];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(WRITE).min(WRITE);
        let part = buffer.get_mut(..most).unwrap_or_default();
        file.read_exact(part)?;
        check.update(part);
        left -= most as u64;
    }
    Ok((file, check))
}

/// Gives a file what s3cmd has noted of it. Its owner only if root does it, and if that works.
fn dress(file: &File, attrs: &Attrs, modified: Option<i64>) -> io::Result<()> {
    if let (true, Some(uid), Some(gid)) = (rustix::process::geteuid().is_root(), attrs.owner.0, attrs.group.0) {
        // All bits set mean nobody at all.
        if uid != u32::MAX && gid != u32::MAX {
            let _ = rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        }
    }
    if let Some(mode) = attrs.mode {
        rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?;
    }
    let time = |seconds: i64| {
        let distance = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 { SystemTime::UNIX_EPOCH.checked_sub(distance) } else { SystemTime::UNIX_EPOCH.checked_add(distance) }
    };
    if let Some(modified) = modified.and_then(time) {
        file.set_times(FileTimes::new().set_modified(modified).set_accessed(attrs.atime.and_then(time).unwrap_or(modified)))?;
    }
    Ok(())
}

/// What s3cmd would note of a file with this MD5.
fn undress(file: &File, md5: String) -> io::Result<Attrs> {
    let stat = rustix::fs::fstat(file)?;
    Ok(Attrs {
        mode: Some(stat.st_mode & 0o777),
        mtime: Some(stat.st_mtime),
        atime: Some(stat.st_atime),
        ctime: Some(stat.st_ctime),
        owner: (Some(stat.st_uid), None),
        group: (Some(stat.st_gid), None),
        md5: Some(md5),
    })
}
