//! One object is copied, and is whole at its destination or as it was before.

use std::sync::Arc;

use backup_core::{Error, Kind, Result};
use tokio::sync::SemaphorePermit;

use super::attrs::{Attrs, is_md5};
use super::bucket::Bucket;
use super::compare::attrs;
use super::content::{Check, Match};
use super::item::Item;
use super::lines::Written;
use super::names;
use super::passing::{Found, passing};
use super::run::{Run, Side};
use crate::s3::{Head, New};
use crate::{Transfer, download};

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
                (Side::Folder(from), Side::Bucket(to)) => self.upload(from, to, &source, old, now).await,
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

    async fn transfer(&self, from: &Bucket, to: &Bucket, source: &Item, old: Option<(&Item, bool)>) -> Result<Written> {
        let (key, place) = (from.key(&source.name), to.key(&source.name));
        let new = |head: Head| New {
            storage_class: self.options.storage_class.clone().or_else(|| head.storage_class.clone()),
            only_if_absent: old.is_none(),
            ..New::from(head)
        };
        if Arc::ptr_eq(&from.gateway, &to.gateway) && source.size <= COPIED {
            let head = from.gateway.head(&from.bucket, &key).await?;
            unchanged(&head, source)?;
            self.keep(to, &source.name, old).await?;
            // A class is lost unless it is named, and with it the rest has to be.
            let new = new(head);
            let new = new.storage_class.is_some().then_some(&new);
            to.gateway.copy((&from.bucket, &key), (&to.bucket, &place), new).await?;
            let copied = to.gateway.head(&to.bucket, &place).await?;
            // That of parts may be another for the same content.
            let etag = if is_md5(&source.mark) && is_md5(&copied.etag) { &copied.etag } else { &source.mark };
            unchanged(&Head { etag: etag.clone(), ..copied.clone() }, source)?;
            return Ok(source.written(copied.etag));
        }
        let part_size = self.options.part_size;
        let (width, _more) = self.spare(source.size.div_ceil(part_size.max(download::PIECE)));
        let (head, body) = download::open(&from.gateway, &from.bucket, &key, None, width, false).await?;
        let attrs = unchanged(&head, source)?;
        if old.is_some() {
            self.keep(to, &source.name, old).await?;
        }
        let (body, found) = passing(body, source.size, Check::new(&source.mark, &attrs, source.size), &self.pace);
        let transfer = Transfer { part_size, width };
        let etag = to.store(&source.name, source.size, body, new(head), transfer, &self.tasks).await?;
        self.verified(&found);
        Ok(source.written(etag))
    }

    /// Fails unless an object that is about to be replaced is the one that was listed, and keeps it if this sync did not write it.
    pub(super) async fn keep(&self, to: &Bucket, name: &str, old: Option<(&Item, bool)>) -> Result<()> {
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
