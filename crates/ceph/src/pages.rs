//! A listing, page by page to its end: each page leads on, or it is an error.

use backup_core::{Error, Result};

use crate::s3::{Listing, Page, SharedGateway};

/// How many pages in a row may have nothing in them.
///
/// A server may leave out what it came by, such as what was deleted from a bucket with versions, and say that more follows. With
/// 1,000 lines a page these are a million of them.
const EMPTY: u32 = 1000;

/// How many pages in a row may name uploads of one key: a million of them.
const OF_ONE_KEY: u32 = 1000;

/// The pages of a listing.
///
/// Whoever reads it comes to an end if the bucket has one, whatever the server answers: each line is behind those of the pages
/// before, and no more than 1,000 pages in a row have none. A page that breaks this is [`Kind::Damaged`](backup_core::Kind::Damaged),
/// and so is one with a line that was not asked for.
#[derive(Debug)]
pub struct Pages {
    gateway: SharedGateway,
    bucket: String,
    listing: Listing,
    /// What leads to the next page; none before the first.
    token: Option<String>,
    is_over: bool,
    /// The last key or prefix of the pages before.
    last: Option<String>,
    empty: u32,
}

impl Pages {
    /// What `listing` has of a bucket. Nothing is asked yet.
    pub fn new(gateway: &SharedGateway, bucket: &str, listing: Listing) -> Self {
        Self { gateway: gateway.clone(), bucket: bucket.to_owned(), listing, token: None, is_over: false, last: None, empty: 0 }
    }

    /// The next page; none behind the last one, which is not asked for again. Dropped on the way, the next call asks for the same page.
    pub async fn next(&mut self) -> Result<Option<Page>> {
        if self.is_over {
            return Ok(None);
        }
        let page = self.gateway.list(&self.bucket, &self.listing, self.token.as_deref()).await?;
        if page.next.is_some() && page.next == self.token {
            return Err(self.astray("its next page is the same"));
        }
        let lines = || page.objects.iter().map(|object| &object.key).chain(&page.prefixes);
        if let Some(line) = lines().find(|line| !line.starts_with(&self.listing.prefix)) {
            return Err(self.astray(format!("it has {line:?}, which was not asked for")));
        }
        if let Some(line) = lines().find(|line| self.last.as_ref().is_some_and(|last| *line <= last)) {
            return Err(self.astray(format!("{line:?} comes after {:?}", self.last.as_deref().unwrap_or_default())));
        }
        self.empty = if lines().next().is_none() { self.empty + 1 } else { 0 };
        if self.empty > EMPTY {
            return Err(self.astray(format!("there is nothing in {EMPTY} pages in a row")));
        }
        self.last = lines().max().cloned().or(self.last.take());
        self.is_over = page.next.is_none();
        self.token.clone_from(&page.next);
        Ok(Some(page))
    }

    fn astray(&self, how: impl std::fmt::Display) -> Error {
        astray(format!("the listing of s3://{}/{} does not lead on: {how}", self.bucket, self.listing.prefix))
    }
}

/// Where a page of a listing of uploads begins: behind this key, and of that key behind this upload.
///
/// Each [`Gateway`](crate::Gateway) reads its own pages of [`uploads`](crate::Gateway::uploads), and this is what brings all of them to an
/// end, whatever the server answers: the key comes after the one before, or is the same in no more than 1,000 pages in a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marker {
    /// The key; none before the first page.
    pub key: Option<String>,
    /// The ID of the upload.
    pub upload: Option<String>,
    /// How many pages in a row had the same key.
    again: u32,
}

impl Marker {
    /// Goes on behind a page that names these as where the next one begins; false if it was the last. A page that leads to itself is the
    /// last, too, and one that leads back [`Kind::Damaged`](backup_core::Kind::Damaged).
    pub fn advance(&mut self, is_truncated: bool, key: Option<String>, upload: Option<String>) -> Result<bool> {
        if !is_truncated || key.is_none() || (&key, &upload) == (&self.key, &self.upload) {
            return Ok(false);
        }
        self.again = if key == self.key { self.again + 1 } else { 0 };
        if key < self.key || self.again > OF_ONE_KEY {
            return Err(astray("the listing of the uploads does not lead on".to_owned()));
        }
        (self.key, self.upload) = (key, upload);
        Ok(true)
    }
}

fn astray(how: String) -> Error {
    Error::damaged(how)
        .with_hint("run it again; if it stays so, let the server check its index of the bucket (radosgw-admin bucket check)")
}
