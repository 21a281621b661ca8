//! One object is copied, and is whole at its destination or as it was before.

use std::fs::{File, FileTimes};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backup_core::{Doing, Error, Kind, Result, Sha256};
use bytes::{BufMut, BytesMut};
use rustix::fs::{Gid, Mode, Uid};
use tokio::io::AsyncReadExt;

use super::attrs::{Attrs, HEADER};
use super::bucket::Bucket;
use super::compare::attrs;
use super::content::{Check, Match};
use super::item::Item;
use super::names;
use super::record::Written;
use super::run::{Run, Side};
use super::tree::{Old, Tree};
use crate::s3::etag::hex;
use crate::s3::{Head, New};

/// How much is written at once, in bytes.
const WRITE: usize = 256 << 10;
/// What is smaller is fetched anew after it broke off.
const RESUMED: u64 = 1 << 20;
/// How often an object is tried that breaks off or changes meanwhile.
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
        for tried in 1.. {
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
            let is_final =
                matches!(error.kind(), Kind::NotFound | Kind::AlreadyExists | Kind::Unproven | Kind::Usage | Kind::Cancelled);
            if tried == TRIES || is_final || super::run::is_the_end(&error) {
                return Err(error);
            }
            if let Side::Bucket(from) = &self.from {
                // It may have changed since it was listed.
                let head = from.gateway.head(&from.bucket, &from.key(&source.name)).await?;
                (source.size, source.mark) = (head.size, head.etag);
            }
        }
        Err(Error::failed("it was not tried"))
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
        let (head, mut body) = from.gateway.get(&from.bucket, &from.key(&source.name), range, Some(&mark)).await?;
        let attrs = unchanged(&head, source)?;
        let check = Check::new(&mark, &attrs, size);
        let resume = move |_, _| resume(file, check, there);
        let (mut file, mut check) = to.blocking("read", &partial, resume).await?;
        let mut left = size - there;
        let mut buffer = BytesMut::with_capacity(WRITE);
        loop {
            buffer.clear();
            while buffer.len() < WRITE {
                let free = WRITE - buffer.len();
                match body.read_buf(&mut (&mut buffer).limit(free)).await? {
                    0 => break,
                    read => self.pace.take(read).await,
                }
            }
            if buffer.is_empty() {
                break;
            }
            left = left
                .checked_sub(buffer.len() as u64)
                .ok_or_else(|| Error::damaged(format!("it has more than the {size} bytes that the listing says")))?;
            let write = move |_, _| {
                file.write_all(&buffer)?;
                check.update(&buffer);
                Ok((file, check, buffer))
            };
            (file, check, buffer) = to.blocking("write", &partial, write).await?;
        }
        if left > 0 {
            return Err(Error::damaged(format!("{left} of its {size} bytes are missing")));
        }
        let found = check.finish();
        if found == Match::No {
            let remove = |tree: Tree, partial: PathBuf| tree.remove(&partial, None);
            to.blocking("remove", &partial, remove).await?;
        }
        self.verified(found)?;
        let attrs = if self.options.preserve { attrs } else { Attrs::default() };
        let modified = attrs.mtime.or_else(|| head.modified.map(|time| time.as_second()));
        let old = self.old(old, &path);
        let place = path.clone();
        let finish = move |tree: Tree, partial: PathBuf| {
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
        self.keep(to, &source.name, old).await?;
        let body = backup_core::body::sound(tokio::fs::File::from_std(file));
        let stored = to.store(&source.name, size, body, &new, self.options.part_size, &self.pace, check).await?;
        let look = |tree: Tree, path: PathBuf| tree.look(&path);
        if from.blocking("look at", &source.path, look).await? != Some(before) {
            return Err(Error::new(Kind::Unproven, "it was changed while it was read").with_hint("run it again"));
        }
        Ok(Written { size, from: modified.to_string(), ..source.written(stored.etag) })
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
            unchanged(&Head { etag: source.mark.clone(), ..copied.clone() }, source)?;
            return Ok(source.written(copied.etag));
        }
        let (head, body) = from.gateway.get(&from.bucket, &key, None, Some(&source.mark)).await?;
        let attrs = unchanged(&head, source)?;
        self.keep(to, &source.name, old).await?;
        let check = Check::new(&source.mark, &attrs, source.size);
        let stored = to.store(&source.name, source.size, body, &new(&head), self.options.part_size, &self.pace, check).await?;
        self.verified(stored.content)?;
        Ok(source.written(stored.etag))
    }

    /// Where what is at the destination goes.
    fn old(&self, old: Option<(&Item, bool)>, path: &Path) -> Old {
        match old {
            None => Old::Nothing,
            Some((_, false)) if self.options.trash => Old::Kept(Path::new(&self.trash).join(path)),
            Some(_) => Old::Replaced,
        }
    }

    /// Keeps an object that is about to be replaced though this sync did not write it.
    async fn keep(&self, to: &Bucket, name: &str, old: Option<(&Item, bool)>) -> Result<()> {
        if self.options.trash && old.is_some_and(|(_, is_ours)| !is_ours) {
            let kept = to.key(&format!("{}/{name}", self.trash));
            to.gateway.copy((&to.bucket, &to.key(name)), (&to.bucket, &kept), None).await?;
        }
        Ok(())
    }

    fn verified(&self, content: Match) -> Result<()> {
        match content {
            Match::Yes => {}
            Match::Unknown => self.report.count().unverified += 1,
            Match::No => {
                return Err(Error::damaged("its content has another MD5 than the server says")
                    .with_hint("run it again; if it fails again the object is damaged, or the server encrypts it"));
            }
        }
        Ok(())
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
