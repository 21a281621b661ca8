//! A sink in a bucket.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::{Body, Depth, Entry, Error, Key, Kind, Put, Result, Sink};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

use crate::{Destination, Listing, New, Page, Pages, SharedGateway, Transfer, download};

/// The object on which it is tried whether the server keeps what is there. No [`Key`] names it, so no listing shows it.
const TRIAL: &str = ".backup-trial";

/// What the object says to people who find it.
const SAYS: &[u8] = b"Backups are kept beside this. It shows that the server does not replace an object that shall stay.\n";

/// Objects under `s3://BUCKET/PREFIX/`, one for each.
///
/// Nothing is replaced: what fits into one part is stored with `If-None-Match: *`, of what is bigger it is looked whether it is there.
/// Before the first put it is tried, once for each value of this type, that the server heeds the condition; versioned buckets of Ceph
/// before 20.2 do not and are refused. Objects whose names cannot be a [`Key`] are not its own and are passed over.
///
/// It needs the rights to put, get and list; to give up an upload that failed, that to abort it; [`Sink::delete`] that to delete; and
/// [`Sink::sweep`] that to list uploads.
#[derive(Debug)]
pub struct S3Sink {
    gateway: SharedGateway,
    place: Place,
    transfer: Transfer,
    storage_class: Option<String>,
    tasks: TaskTracker,
    tried: OnceCell<()>,
}

/// A bucket, and a prefix in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The bucket.
    pub bucket: String,
    /// The prefix without its last slash; [`Key::root`] for the whole bucket.
    pub prefix: Key,
}

impl Place {
    /// Parses what follows `s3:` in `s3://BUCKET/PREFIX`.
    pub fn parse(rest: &str) -> Result<Self> {
        let text = rest.strip_prefix("//").unwrap_or(rest);
        let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !(3..=255).contains(&bucket.len())
            || !bucket.starts_with(|c: char| c.is_ascii_alphanumeric())
            || !bucket.chars().all(plain)
        {
            return Err(Error::usage(format!("s3:{rest} names no bucket")).with_hint("write s3://BUCKET/PREFIX"));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let prefix = if prefix.is_empty() { Key::root() } else { prefix.parse()? };
        Ok(Self { bucket: bucket.to_owned(), prefix })
    }

    /// The key in the bucket of what the sink knows as `text`.
    fn full(&self, text: &str) -> String {
        match (self.prefix.as_str(), text) {
            ("", text) => text.to_owned(),
            (prefix, text) => format!("{prefix}/{text}"),
        }
    }

    /// What the sink knows an object as; none if it is not one of its own.
    fn own(&self, full: &str) -> Option<Key> {
        let text = match self.prefix.as_str() {
            "" => full,
            prefix => full.strip_prefix(prefix)?.strip_prefix('/')?,
        };
        text.parse().ok()
    }
}

impl S3Sink {
    /// A sink at `place`. `tasks` gets what gives up dropped uploads.
    pub fn new(gateway: SharedGateway, place: Place, transfer: Transfer, tasks: TaskTracker) -> Self {
        Self { gateway, place, transfer, storage_class: None, tasks, tried: OnceCell::new() }
    }

    /// The same with objects of a storage class.
    pub fn with_storage_class(mut self, class: impl Into<String>) -> Self {
        self.storage_class = Some(class.into());
        self
    }

    /// Fails unless a condition is heeded: the second of two puts must be refused. One is enough where the first is.
    async fn tries(&self) -> Result<()> {
        let key = self.place.full(TRIAL);
        let bucket = &self.place.bucket;
        let new = New { content_type: Some("text/plain".to_owned()), only_if_absent: true, ..New::default() };
        for _ in 0..2 {
            match self.gateway.put(bucket, &key, Bytes::from_static(SAYS), &new).await {
                Err(error) if error.kind() == Kind::AlreadyExists => return Ok(()),
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        Err(Error::failed(format!(
            "the server replaces objects in the bucket {bucket} that shall stay (If-None-Match is not heeded)"
        ))
        .with_hint("use a bucket without versions, or Ceph from 20.2 on: two backups at once could not be told apart"))
    }

    /// What a page of a listing has.
    fn entries(&self, page: &Page) -> Vec<Entry> {
        let objects = page.objects.iter().filter_map(|object| {
            let key = self.place.own(&object.key)?;
            Some((object.key.as_str(), Entry::Object(key, object.size)))
        });
        let groups = page.prefixes.iter().filter_map(|prefix| {
            let key = self.place.own(prefix.strip_suffix('/')?)?;
            Some((prefix.as_str(), Entry::Group(key)))
        });
        let mut entries: Vec<_> = objects.chain(groups).collect();
        entries.sort_by_key(|(text, _)| *text);
        entries.into_iter().map(|(_, entry)| entry).collect()
    }
}

#[async_trait]
impl Sink for S3Sink {
    async fn put(&self, key: &Key, body: Body) -> Result<Put> {
        self.tried.get_or_try_init(|| self.tries()).await?;
        let new = New { only_if_absent: true, storage_class: self.storage_class.clone(), ..New::default() };
        let to = Destination {
            gateway: self.gateway.clone(),
            bucket: self.place.bucket.clone(),
            key: self.place.full(key.as_str()),
            new,
            transfer: self.transfer,
            tasks: self.tasks.clone(),
        };
        to.put(body).await
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Body> {
        download(&self.gateway, &self.place.bucket, &self.place.full(key.as_str()), range, self.transfer.width).await
    }

    fn list(&self, prefix: &Key, depth: Depth) -> BoxStream<'_, Result<Entry>> {
        let prefix = self.place.full(prefix.as_str());
        let prefix = if prefix.is_empty() || prefix.ends_with('/') { prefix } else { format!("{prefix}/") };
        let delimiter = (depth == Depth::One).then(|| "/".to_owned());
        let listing = Listing { prefix, delimiter, ..Listing::default() };
        let pages = stream::try_unfold(Pages::new(&self.gateway, &self.place.bucket, listing), async |mut pages| {
            let Some(page) = pages.next().await? else { return Ok::<_, Error>(None) };
            Ok(Some((stream::iter(self.entries(&page).into_iter().map(Ok::<_, Error>)), pages)))
        });
        pages.try_flatten().boxed()
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.gateway.delete(&self.place.bucket, &self.place.full(key.as_str())).await
    }

    async fn sweep(&self, prefix: &Key, age: Duration) -> Result<()> {
        let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
        let prefix = self.place.full(prefix.as_str());
        let under = if prefix.is_empty() || prefix.ends_with('/') { prefix } else { format!("{prefix}/") };
        for upload in self.gateway.uploads(&self.place.bucket, &under).await? {
            // One of which it is not known when it began may be alive.
            if upload.begun.is_some_and(|begun| Timestamp::now().duration_since(begun) >= age) {
                self.gateway.abort(&self.place.bucket, &upload.key, &upload.id).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_bucket_and_a_prefix() {
        let place = |text: &str| Place::parse(text).expect(text);
        assert_eq!(place("//db_wal"), Place { bucket: "db_wal".to_owned(), prefix: Key::root() });
        assert_eq!(place("//bucket/"), place("//bucket"));
        let deep = place("//bucket/a/b/");
        assert_eq!((deep.prefix.as_str(), deep.full("c/d").as_str()), ("a/b", "a/b/c/d"));
        assert_eq!(deep.own("a/b/c/d").map(String::from).as_deref(), Some("c/d"));
        for stranger in ["a/b", "a/b/", "a/bc/d", "a/b/.backup-trial", "a/b//c", "c"] {
            assert_eq!(deep.own(stranger), None, "{stranger}");
        }
        for bad in ["", "//", "///a", "//b/../a", "//b//a", "//-b", "//bu cket", "//b/ä", "//b:c/d", "//ab"] {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }
}
