//! The bucket at an end of a sync: listed page by page, and filled with objects of one or many parts.

use std::fmt;

use backup_core::{Body, Error, Kind, Result};
use bytes::{BufMut, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use tokio::io::AsyncReadExt;

use super::content::{Check, Match};
use super::item::Item;
use super::names;
use super::pace::Pace;
use crate::s3::{Listing, New, SharedGateway};

/// The most parts that an object can have.
const PARTS: u64 = 10_000;
/// The least size of a part that is not the last, in bytes.
const LEAST: u64 = 5 << 20;

/// A bucket, and what every key in it begins with.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    pub(super) gateway: SharedGateway,
    pub(super) bucket: String,
    pub(super) base: String,
}

/// An object as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    /// Its ETag.
    pub(super) etag: String,
    /// Whether its content is that of the object it was made of.
    pub(super) content: Match,
}

impl Bucket {
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }

    /// What is listed of names that begin with `stem`. Own files of a sync, such as its trash, are none.
    ///
    /// It ends where the server says that the last page was the last. A page that does not lead on is an error.
    pub(super) fn list(&self, stem: &str) -> BoxStream<'static, Result<Item>> {
        let listing = Listing { prefix: self.key(stem), ..Listing::default() };
        let pages = stream::try_unfold((self.clone(), listing, Some(None::<String>)), async |(this, listing, next)| {
            let Some(token) = next else { return Ok(None) };
            let page = this.gateway.list(&this.bucket, &listing, token.as_deref()).await?;
            if page.next.is_some() && page.next == token {
                return Err(Error::damaged(format!("the listing of {this} does not lead on: its next page is the same")));
            }
            let mut items = Vec::with_capacity(page.objects.len());
            for object in page.objects {
                let Some(name) = object.key.strip_prefix(&this.base).filter(|_| object.key.starts_with(&listing.prefix)) else {
                    return Err(Error::damaged(format!("the listing of {this} has {:?}, which was not asked for", object.key)));
                };
                // An object whose key is the base itself has no name.
                if !name.is_empty() && !names::is_own(name) {
                    let name = name.to_owned();
                    items.push(Item::object(&name, object));
                }
            }
            Ok(Some((stream::iter(items.into_iter().map(Ok)), (this, listing, page.next.map(Some)))))
        });
        pages.try_flatten().boxed()
    }

    /// Whether the server says both that there is no such object and that the bucket is there.
    pub(super) async fn is_gone(&self, name: &str) -> Result<bool> {
        let key = self.key(name);
        match self.gateway.head(&self.bucket, &key).await {
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == Kind::NotFound => {}
            Err(error) => return Err(error),
        }
        // That it is not there is said of an object in a bucket that is not there, too.
        let listing = Listing { prefix: key.clone(), most: Some(1), ..Listing::default() };
        let page = self.gateway.list(&self.bucket, &listing, None).await?;
        Ok(page.objects.first().is_none_or(|object| object.key != key))
    }

    /// Stores `size` bytes of `body`, in parts of `part_size` if there are more. At most one part is held in memory.
    ///
    /// Content that `check` says is another is never stored.
    #[expect(clippy::too_many_arguments, reason = "what is stored, and how")]
    pub(super) async fn store(
        &self,
        name: &str,
        size: u64,
        mut body: Body,
        new: &New,
        part_size: u64,
        pace: &Pace,
        mut check: Check,
    ) -> Result<Stored> {
        let key = self.key(name);
        let part_size = part_size.max(LEAST).max(size.div_ceil(PARTS).next_multiple_of(1 << 20));
        if size <= part_size {
            let bytes = take(&mut body, size, pace).await?;
            end(&mut body, name).await?;
            check.update(&bytes);
            let content = sound(check)?;
            let etag = self.gateway.put(&self.bucket, &key, bytes.freeze(), new).await?;
            return Ok(Stored { etag, content });
        }
        let upload = self.gateway.begin(&self.bucket, &key, new).await?;
        let parts = async {
            let (mut parts, mut left) = (Vec::new(), size);
            for number in 1.. {
                let bytes = take(&mut body, left.min(part_size), pace).await?;
                left -= bytes.len() as u64;
                check.update(&bytes);
                let etag = self.gateway.part(&self.bucket, &key, &upload, number, bytes.freeze()).await?;
                parts.push((number, etag));
                if left == 0 {
                    break;
                }
            }
            end(&mut body, name).await?;
            let content = sound(check)?;
            let etag = self.gateway.complete(&self.bucket, &key, &upload, &parts).await?;
            Ok(Stored { etag, content })
        };
        match parts.await {
            Ok(stored) => Ok(stored),
            Err(error) => {
                // Nobody is helped by knowing that this failed too: uploads that are left are listed by the server.
                let _ = self.gateway.abort(&self.bucket, &key, &upload).await;
                Err(error)
            }
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.base)
    }
}

/// The next `size` bytes of `body`, which has to have them.
async fn take(body: &mut Body, size: u64, pace: &Pace) -> Result<BytesMut> {
    let size = usize::try_from(size).map_err(|_| Error::failed("a part is larger than the memory"))?;
    let mut bytes = BytesMut::with_capacity(size);
    while bytes.len() < size {
        let free = size - bytes.len();
        let read = body.read_buf(&mut (&mut bytes).limit(free)).await?;
        if read == 0 {
            return Err(Error::damaged(format!("{free} bytes are missing at its end")));
        }
        pace.take(read).await;
    }
    Ok(bytes)
}

async fn end(body: &mut Body, name: &str) -> Result<()> {
    match body.read(&mut [0; 1]).await? {
        0 => Ok(()),
        _ => Err(Error::failed(format!("{name:?} became longer while it was read"))),
    }
}

fn sound(check: Check) -> Result<Match> {
    match check.finish() {
        Match::No => Err(Error::damaged("its content has another MD5 than it should").with_hint("run it again")),
        content => Ok(content),
    }
}
