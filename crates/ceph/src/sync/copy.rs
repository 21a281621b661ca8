//! One object is copied, and is whole at its destination or as it was before.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::PathBuf;
use std::sync::Arc;

use backup_core::{Error, Kind, Result, body};
use tokio::sync::SemaphorePermit;

use super::attrs::{Attrs, HEADER, is_md5};
use super::bucket::Bucket;
use super::compare::attrs;
use super::content::{Check, Match};
use super::item::Item;
use super::lines::Written;
use super::names;
use super::passing::{Found, passing};
use super::run::{Run, Side};
use super::tree::Tree;
use crate::download;
use crate::s3::etag::hex;
use crate::s3::{Head, New};

/// How much is read at once, in bytes.
const READ: usize = 256 << 10;
/// How often an object is tried that comes as another or changes meanwhile.
const TRIES: usize = 3;
/// The largest object that a server copies in one request.
const COPIED: u64 = 5 << 30;

impl Run {
    /// Copies `source` to the place of `old`, of which is told whether this sync wrote it. Returns whether there was anything to do.
    pub(super) async fn copy(
        &self,
        source: &Item,
        old: Option<(&Item, bool)>,
        job: SemaphorePermit<'_>,
    ) -> Result<(Written, bool)> {
        if let (Side::Bucket(_), Side::Folder(tree), true) = (&self.from, &self.to, source.is_folder()) {
            let path = names::path(source.name.strip_suffix('/').unwrap_or_default())?;
            let made = tree.blocking("make", &path, |tree, path| tree.make(&path)).await?;
            return Ok((source.written(String::new()), made));
        }
        let mut source = source.clone();
        let (mut tried, mut job) = (0, Some(job));
        loop {
            let now = match job.take() {
                Some(job) => job,
                None => self.job(&source).await?,
            };
            let copied = match (&self.from, &self.to) {
                (Side::Bucket(from), Side::Folder(to)) => self.download(from, to, &source, old, now).await,
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

    async fn upload(&self, from: &Tree, to: &Bucket, source: &Item, old: Option<(&Item, bool)>) -> Result<Written> {
        let hash = |tree: Tree, path: PathBuf| {
            let mut file = tree.read(&path)?;
            let before = tree.look(&path)?.ok_or(io::ErrorKind::NotFound)?;
            let mut content = Vec::with_capacity(usize::try_from(before.0).map_or(READ, |size| READ.min(size + 1)));
            let mut md5 = md5::Md5::default();
            loop {
                content.clear();
                (&mut file).take(READ as u64).read_to_end(&mut content)?;
                md5::Digest::update(&mut md5, &content);
                if content.len() < READ {
                    break;
                }
            }
            // What is small was read.
            let is_small = before.0 < READ as u64;
            if !is_small {
                file.rewind()?;
            }
            let attrs = undress(&file, hex(md5::Digest::finalize(md5).into()))?;
            let body = if is_small { body::from_bytes(content) } else { body::sound(tokio::fs::File::from_std(file)) };
            Ok((body, before, attrs))
        };
        let (body, before, attrs) = from.blocking("read", &source.path, hash).await?;
        let (size, modified) = before;
        let check = Check::new(attrs.md5.as_deref().unwrap_or_default(), &Attrs::default(), size);
        let noted = if self.options.preserve { attrs } else { Attrs { md5: attrs.md5, ..Attrs::default() } };
        let new = New {
            content_type: Some(self.options.content_type.of(&source.name)),
            storage_class: self.options.storage_class.clone(),
            metadata: vec![(HEADER.to_owned(), noted.to_string())],
            only_if_absent: old.is_none(),
        };
        if old.is_some() {
            self.keep(to, &source.name, old).await?;
        }
        let (body, _) = passing(body, size, check, &self.pace);
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
        let (head, body) = download::open(&from.gateway, &from.bucket, &key, None, 1, false).await?;
        let attrs = unchanged(&head, source)?;
        if old.is_some() {
            self.keep(to, &source.name, old).await?;
        }
        let (body, found) = passing(body, source.size, Check::new(&source.mark, &attrs, source.size), &self.pace);
        let etag = to.store(&source.name, source.size, body, new(&head), self.options.part_size, &self.tasks).await?;
        self.verified(&found);
        Ok(source.written(etag))
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
    pub(super) fn verified(&self, found: &Found) {
        if found.get() != Some(&Match::Yes) {
            self.report.count().unverified += 1;
        }
    }
}

/// Fails unless this is what was listed.
pub(super) fn unchanged(head: &Head, source: &Item) -> Result<Attrs> {
    if head.etag == source.mark && head.size == source.size {
        Ok(attrs(head))
    } else {
        Err(Error::failed("it was changed while it was copied"))
    }
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
