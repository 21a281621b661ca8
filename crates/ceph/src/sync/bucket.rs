//! The bucket at an end of a sync: listed page by page, filled, and asked for what it has.

use std::fmt;

use backup_core::{Body, Error, Kind, Result};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::item::Item;
use super::names;
use crate::s3::{Head, Listing, New, Object, SharedGateway};
use crate::{Destination, PART_SIZES, Pages, Transfer};

/// How many lines of a listing are asked for at once: the most that servers give.
const PAGE: u32 = 1000;
/// How many pages may lie in memory that nobody has read yet, the one that is asked for among them.
pub(super) const AHEAD: usize = 4;
/// The longest key, in bytes.
const LONGEST: usize = 1024;
/// The most parts that are all of one size, so that their size can be found out from the ETag.
const PARTS: u64 = 4_999;

/// A bucket, and what every key in it begins with.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    pub(super) gateway: SharedGateway,
    pub(super) bucket: String,
    pub(super) base: String,
}

impl Bucket {
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }

    /// What is listed of names that begin with `stem`. Own files of a sync, such as its trash, are none.
    ///
    /// It ends where the server says that the last page was the last. Some pages are asked for ahead of the one that is read.
    pub(super) fn list(&self, stem: &str) -> BoxStream<'static, Result<Item>> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let (this, prefix) = (self.clone(), self.key(stem));
        let pages = AbortOnDropHandle::new(tokio::spawn(async move { this.pages(prefix, sender).await }));
        let read = stream::try_unfold((receiver, pages), async |(mut receiver, pages)| match receiver.recv().await {
            Some(items) => Ok(Some((stream::iter(items.into_iter().map(Ok)), (receiver, pages)))),
            // No page comes any more: whether that is the end is said by who asked for them.
            None => match pages.await {
                Ok(ended) => ended.map(|()| None),
                Err(error) => Err(Error::failed("a listing was cut off").with_source(error)),
            },
        });
        read.try_flatten().boxed()
    }

    /// Sends the pages of a listing, one after the other, to its end.
    async fn pages(&self, prefix: String, sender: mpsc::Sender<Vec<Item>>) -> Result<()> {
        let listing = Listing { prefix, most: Some(PAGE), ..Listing::default() };
        let mut pages = Pages::new(&self.gateway, &self.bucket, listing);
        // An error means that nobody reads on.
        while let Ok(room) = sender.reserve().await {
            let Some(page) = pages.next().await? else { break };
            room.send(page.objects.into_iter().filter_map(|object| self.item(object)).collect());
        }
        Ok(())
    }

    /// An object that was listed; none if it is not for a sync.
    fn item(&self, object: Object) -> Option<Item> {
        // One whose key is the base itself has no name.
        let name = object.key.strip_prefix(&self.base).filter(|name| !name.is_empty() && !names::is_own(name))?.to_owned();
        Some(Item::object(&name, object))
    }

    /// Whether the server says both that there is no such object and that the bucket is there.
    pub(super) async fn is_gone(&self, name: &str) -> Result<bool> {
        let key = self.key(name);
        if self.look(name).await?.is_some() {
            return Ok(false);
        }
        // That it is not there is said of an object in a bucket that is not there, too.
        let listing = Listing { prefix: key.clone(), most: Some(1), ..Listing::default() };
        let page = self.gateway.list(&self.bucket, &listing, None).await?;
        Ok(page.objects.first().is_none_or(|object| object.key != key))
    }

    /// Stores `body`, which has `size` bytes, in parts if it has more than one of them, and returns its ETag.
    ///
    /// Parts are larger where there would be too many. Dropped, it leaves it to `tasks` to give up what was begun.
    pub(super) async fn store(
        &self,
        name: &str,
        size: u64,
        body: Body,
        new: New,
        transfer: Transfer,
        tasks: &TaskTracker,
    ) -> Result<String> {
        let transfer = Transfer { part_size: fitting(transfer.part_size, size), ..transfer };
        self.destination(name, new, transfer, tasks).store(body).await
    }

    /// Stores `bytes` in one request, and returns the ETag.
    pub(super) async fn put(&self, name: &str, bytes: Bytes, new: New, tasks: &TaskTracker) -> Result<String> {
        self.destination(name, new, Transfer::default(), tasks).single(bytes).await
    }

    fn destination(&self, name: &str, new: New, transfer: Transfer, tasks: &TaskTracker) -> Destination {
        let (gateway, bucket, key, tasks) = (self.gateway.clone(), self.bucket.clone(), self.key(name), tasks.clone());
        Destination { gateway, bucket, key, new, transfer, tasks }
    }

    /// What is known of an object; `None` where the server says that it is not there.
    pub(super) async fn look(&self, name: &str) -> Result<Option<Head>> {
        match self.gateway.head(&self.bucket, &self.key(name)).await {
            Ok(head) => Ok(Some(head)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Copies an object into `trash` with all that is said of it, and fails unless it is there then.
    pub(super) async fn keep(&self, name: &str, trash: &str) -> Result<()> {
        let kept = format!("{trash}/{name}");
        let (from, to) = (self.key(name), self.key(&kept));
        if to.len() > LONGEST {
            let error = Error::failed(format!("the key of {name:?} would be too long in the trash"));
            return Err(error.with_hint("sync it with --no-trash"));
        }
        let head = self.look(name).await?.ok_or_else(|| Error::failed(format!("{name:?} is not there any more")))?;
        let size = head.size;
        // A class is lost unless it is named, and with it the rest has to be.
        let new = head.storage_class.is_some().then(|| New::from(head));
        self.gateway.copy((&self.bucket, &from), (&self.bucket, &to), new.as_ref()).await?;
        match self.look(&kept).await? {
            Some(kept) if kept.size == size => Ok(()),
            _ => Err(Error::failed(format!("{name:?} was not kept in the trash although the server said so"))),
        }
    }
}

/// The size of parts for an object of `size` bytes: what was asked for, unless the server takes no such parts or not so many.
fn fitting(part_size: u64, size: u64) -> u64 {
    part_size.max(*PART_SIZES.start()).max(size.div_ceil(PARTS).next_multiple_of(1 << 20))
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_have_one_size_and_there_are_not_too_many() {
        assert_eq!(fitting(15 << 20, 1 << 30), 15 << 20);
        assert_eq!(fitting(1, 1), 5 << 20);
        for size in [74_985 << 20, (74_985 << 20) + 1, 5 << 40] {
            let part_size = fitting(15 << 20, size);
            assert!(size.div_ceil(part_size) <= PARTS && part_size.is_multiple_of(1 << 20), "{size} in parts of {part_size}");
        }
    }
}
