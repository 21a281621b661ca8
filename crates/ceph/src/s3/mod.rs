//! What an S3 server can do, in plain types: the client library stands behind [`Gateway`].

use std::fmt::{self, Debug};
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::{Body, Result};
use bytes::Bytes;
use jiff::Timestamp;

mod access;
#[cfg(feature = "sdk")]
mod answers;
#[cfg(feature = "sdk")]
mod client;
pub(crate) mod etag;
#[cfg(feature = "sdk")]
mod failure;
#[cfg(feature = "sdk")]
mod http;
#[cfg(feature = "sdk")]
mod patient;
#[cfg(feature = "sdk")]
mod prompt;
#[cfg(feature = "sdk")]
mod said;
#[cfg(feature = "sdk")]
mod sdk;
#[cfg(feature = "sdk")]
mod text;
#[cfg(feature = "sdk")]
mod whole;

pub use access::{Access, Credentials};
#[cfg(feature = "sdk")]
pub use sdk::connect;

/// The calls to an S3 server that this crate makes.
///
/// Each is one request, made again after a lost connection, 429 or a status from 500 on but 501 and 505, and never after another
/// refusal; only that it waited too long for the request (`RequestTimeout`) is as good as a lost connection. A bucket or an object that is not there is [`Kind::NotFound`](backup_core::Kind::NotFound); where one is that may not be,
/// [`Kind::AlreadyExists`](backup_core::Kind::AlreadyExists). Dropping a future gives its request up, which the server may have
/// carried out all the same. Keys are exact: none is normalised, whatever is in it.
#[async_trait]
pub trait Gateway: Debug + Send + Sync {
    /// The buckets of whoever asks.
    async fn buckets(&self) -> Result<Vec<Bucket>>;

    /// Makes a bucket. One that is there already, whoever has it, is [`Kind::AlreadyExists`](backup_core::Kind::AlreadyExists).
    async fn make_bucket(&self, bucket: &str) -> Result<()>;

    /// One page of a listing, in byte order of the keys. `next` is that of the page before, or none for the first page.
    async fn list(&self, bucket: &str, listing: &Listing, next: Option<&str>) -> Result<Page>;

    /// What is known of an object.
    async fn head(&self, bucket: &str, key: &str) -> Result<Head>;

    /// Opens an object, or what of it lies in `range`, as one answer: it ends in an error where the connection does.
    /// With `if_match`, one that has another ETag is an error.
    async fn get(&self, bucket: &str, key: &str, range: Option<Range<u64>>, if_match: Option<&str>) -> Result<(Head, Body)>;

    /// Stores `bytes` in one request and returns the ETag. The server compares their MD5, and the ETag is compared with it.
    ///
    /// With [`New::only_if_absent`] an object that is there is [`Kind::AlreadyExists`](backup_core::Kind::AlreadyExists).
    async fn put(&self, bucket: &str, key: &str, bytes: Bytes, new: &New) -> Result<String>;

    /// Begins an object of many parts and returns the ID of the upload. `only_if_absent` counts for nothing here.
    async fn begin(&self, bucket: &str, key: &str, new: &New) -> Result<String>;

    /// Stores a part as [`put`](Self::put) does an object, and returns its ETag. `number` counts from 1 to 10,000.
    async fn part(&self, bucket: &str, key: &str, upload: &str, number: u32, bytes: Bytes) -> Result<String>;

    /// Makes the object of its parts, numbers and ETags in order, and returns its ETag, which is compared with those of the parts.
    /// It replaces one that is there.
    async fn complete(&self, bucket: &str, key: &str, upload: &str, parts: &[(u32, String)]) -> Result<String>;

    /// Gives an upload up and frees its parts. One that is not there is no error.
    async fn abort(&self, bucket: &str, key: &str, upload: &str) -> Result<()>;

    /// Uploads under `prefix` that were begun and neither made an object nor given up: all of them.
    async fn uploads(&self, bucket: &str, prefix: &str) -> Result<Vec<Upload>>;

    /// Copies an object within the server, with its metadata or with those of `new`. It replaces one that is there.
    async fn copy(&self, from: (&str, &str), to: (&str, &str), new: Option<&New>) -> Result<()>;

    /// Deletes an object. One that is not there is no error.
    async fn delete(&self, bucket: &str, key: &str) -> Result<()>;
}

/// A gateway that many share.
pub type SharedGateway = Arc<dyn Gateway>;

/// Why a server did not do what it was asked to: in the chain of causes of the error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status of its answer; none if there was none.
    pub status: Option<u16>,
    /// The code in the answer: `AccessDenied`.
    pub code: String,
    /// Both in words, and what the server said beside.
    pub said: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

impl std::error::Error for Refusal {}

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// When it was made, if the server says.
    pub created: Option<Timestamp>,
}

/// What to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Only keys that begin so.
    pub prefix: String,
    /// Keys that have this behind the prefix appear once, up to it, as a prefix.
    pub delimiter: Option<String>,
    /// Only keys behind this one.
    pub after: Option<String>,
    /// How many lines a page may have; the server's own most (1000) if there is none.
    pub most: Option<u32>,
}

/// A page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Objects, in byte order of their keys.
    pub objects: Vec<Object>,
    /// Prefixes up to the delimiter, in byte order.
    pub prefixes: Vec<String>,
    /// Names the next page; the listing is at its end where there is none.
    pub next: Option<String>,
}

/// A line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag without quotes: the MD5 in hexadecimal, or with `-N` behind it that of the MD5s of N parts.
    pub etag: String,
    /// When it was stored.
    pub modified: Option<Timestamp>,
    /// Its storage class.
    pub storage_class: Option<String>,
}

/// What is known of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The size of the whole object in bytes, also where a range of it was asked for.
    pub size: u64,
    /// Its ETag without quotes.
    pub etag: String,
    /// The MD5 of its bytes, where the ETag is one: it is not of objects in parts, nor of those encrypted with keys from elsewhere.
    pub md5: Option<[u8; 16]>,
    /// When it was stored.
    pub modified: Option<Timestamp>,
    /// Its media type.
    pub content_type: Option<String>,
    /// What else is told with it.
    pub headers: Headers,
    /// Its storage class, where it is not the usual one.
    pub storage_class: Option<String>,
    /// Its metadata: names in small letters, without `x-amz-meta-`.
    pub metadata: Vec<(String, String)>,
}

/// What whoever fetches an object is told beside its media type. A file has none of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Encoding`: the bytes of the object are encoded so, and are never decoded here.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Expires`, if it is a time as HTTP writes it: `Wed, 21 Oct 2015 07:28:00 GMT`.
    pub expires: Option<String>,
}

/// What is said of an object that is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct New {
    /// Its media type.
    pub content_type: Option<String>,
    /// What else is told with it.
    pub headers: Headers,
    /// Its storage class; the server's usual one if there is none.
    pub storage_class: Option<String>,
    /// Its metadata: names without `x-amz-meta-`.
    pub metadata: Vec<(String, String)>,
    /// The MD5 of its bytes, if that was reckoned already: others are refused by the server. It counts for nothing with an object of parts.
    pub md5: Option<[u8; 16]>,
    /// Fail where an object is there (`If-None-Match: *`).
    pub only_if_absent: bool,
}

/// What is said of a copy.
impl From<Head> for New {
    fn from(head: Head) -> Self {
        let Head { content_type, headers, storage_class, metadata, .. } = head;
        Self { content_type, headers, storage_class, metadata, md5: None, only_if_absent: false }
    }
}

/// An upload that is neither an object nor given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The key that it is for.
    pub key: String,
    /// Its ID.
    pub id: String,
    /// When it was begun, if the server says.
    pub begun: Option<Timestamp>,
}
