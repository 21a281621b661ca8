//! [`Gateway`] by `rusoto_s3`: the same contract as the one of `backup-ceph`, by a client that nobody maintains any more.
//!
//! It is there to compare, and for whoever is bound to it. No program links it: its TLS has advisories that nobody mends
//! (`advisories.toml`), so it speaks plain HTTP alone here, in path style, and a file of certificates is refused.

mod error;

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use backup_ceph::{Access, Bucket, Gateway, Head, Headers, Listing, Marker, New, Object, Page, Upload};
use backup_core::{Body, Error, Kind, Result, body};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::client::HttpConnector;
use jiff::Timestamp;
use md5::{Digest, Md5};
use percent_encoding::percent_decode_str;
use rusoto_core::request::{DispatchSignedRequest, DispatchSignedRequestFuture, HttpClient};
use rusoto_core::signature::SignedRequest;
use rusoto_core::{ByteStream, Client, Region, RusotoError};
use rusoto_credential::StaticProvider;
use rusoto_s3::{
    AbortMultipartUploadRequest, CompleteMultipartUploadRequest, CompletedMultipartUpload, CompletedPart, CopyObjectRequest,
    CreateBucketRequest, CreateMultipartUploadRequest, DeleteObjectRequest, GetObjectRequest, HeadBucketRequest,
    HeadObjectRequest, ListMultipartUploadsRequest, ListObjectsV2Request, PutObjectRequest, S3, S3Client, UploadPartRequest,
};

use error::failed;

/// An S3 server that rusoto talks to.
#[derive(Clone)]
pub struct RusotoGateway {
    client: S3Client,
    /// The same, which never replaces an object.
    careful: S3Client,
    endpoint: String,
    attempts: u32,
    timeout: Duration,
}

impl RusotoGateway {
    /// [`Kind::Usage`] for what rusoto cannot do safely: https, virtual hosts, certificates of one's own.
    pub fn new(access: &Access) -> Result<Self> {
        let cannot =
            |what: &str| Error::usage(format!("rusoto does not do {what}")).with_hint("take the gateway of backup-ceph");
        if !access.endpoint.starts_with("http://") {
            return Err(cannot("https as it must be done today"));
        }
        if !access.path_style {
            return Err(cannot("virtual hosts with endpoints of one's own"));
        }
        let name = access.region.clone().unwrap_or_else(|| "us-east-1".into());
        let region = Region::Custom { name, endpoint: access.endpoint.clone() };
        let client = |new_only: bool| {
            // Its own connector speaks TLS alone.
            let http = Dispatcher { http: HttpClient::from_connector(HttpConnector::new()), new_only };
            let client = match &access.credentials {
                Some(keys) => {
                    let token = keys.session_token.as_ref().map(|token| token.to_string());
                    let keys = StaticProvider::new(keys.access_key.clone(), keys.secret_key.to_string(), token, None);
                    Client::new_with(keys, http)
                }
                None => Client::new_not_signing(http),
            };
            S3Client::new_with_client(client, region.clone())
        };
        Ok(Self {
            client: client(false),
            careful: client(true),
            endpoint: access.endpoint.clone(),
            attempts: access.attempts.max(1),
            timeout: access.timeout,
        })
    }

    /// Makes a request until it is answered, as often as it may: again after a lost connection, 429 and 500 or more.
    async fn again<T, E, F>(&self, what: impl Fn() -> String, call: impl Fn() -> F) -> Result<T>
    where
        E: std::error::Error + Send + Sync + 'static,
        F: Future<Output = std::result::Result<T, RusotoError<E>>> + Send,
    {
        let mut attempt = 1;
        loop {
            let answer = match tokio::time::timeout(self.timeout, call()).await {
                Ok(answer) => answer,
                Err(_) => return Err(Error::failed(what()).with_source(format!("no answer in {:?}", self.timeout))),
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) if attempt < self.attempts && error::may_pass(&error) => {
                    tokio::time::sleep(Duration::from_millis(100) * 2_u32.pow(attempt.min(6))).await;
                    attempt += 1;
                }
                Err(error) => return Err(failed(what(), error)),
            }
        }
    }
}

impl std::fmt::Debug for RusotoGateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RusotoGateway").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// rusoto's HTTP, with the header that rusoto does not know.
struct Dispatcher {
    http: HttpClient<HttpConnector>,
    new_only: bool,
}

impl DispatchSignedRequest for Dispatcher {
    fn dispatch(&self, mut request: SignedRequest, timeout: Option<Duration>) -> DispatchSignedRequestFuture {
        if self.new_only {
            // Not signed: only `host` and `x-amz-…` must be.
            request.add_header("if-none-match", "*");
        }
        self.http.dispatch(request, timeout)
    }
}

#[async_trait]
impl Gateway for RusotoGateway {
    async fn buckets(&self) -> Result<Vec<Bucket>> {
        let listed = self.again(|| "cannot list the buckets".into(), || self.client.list_buckets()).await?;
        let bucket = |one: rusoto_s3::Bucket| Some(Bucket { name: one.name?, created: time(one.creation_date) });
        Ok(listed.buckets.unwrap_or_default().into_iter().filter_map(bucket).collect())
    }

    async fn make_bucket(&self, bucket: &str) -> Result<()> {
        let what = || format!("cannot make the bucket {bucket}");
        // Ceph calls it a success if whoever has it makes it again.
        let head = || self.client.head_bucket(HeadBucketRequest { bucket: bucket.into(), ..Default::default() });
        match self.again(what, head).await {
            Err(error) if error.kind() == Kind::NotFound => {}
            Err(error) => return Err(error),
            Ok(()) => return Err(Error::new(Kind::AlreadyExists, what()).with_source("there is one")),
        }
        let create = || self.client.create_bucket(CreateBucketRequest { bucket: bucket.into(), ..Default::default() });
        self.again(what, create).await.map(drop).map_err(|error| match error.kind() {
            Kind::NotFound => error.with_kind(Kind::AlreadyExists),
            _ => error,
        })
    }

    async fn list(&self, bucket: &str, listing: &Listing, next: Option<&str>) -> Result<Page> {
        let request = || ListObjectsV2Request {
            bucket: bucket.into(),
            prefix: Some(listing.prefix.clone()),
            delimiter: listing.delimiter.clone(),
            start_after: listing.after.clone(),
            max_keys: listing.most.map(i64::from),
            continuation_token: next.map(Into::into),
            encoding_type: Some("url".into()),
            ..Default::default()
        };
        let what = || format!("cannot list {bucket}/{}", listing.prefix);
        let listed = self.again(what, || self.client.list_objects_v2(request())).await?;
        let mut page = Page { next: listed.next_continuation_token, ..Page::default() };
        if listed.is_truncated == Some(true) && page.next.is_none() {
            return Err(Error::failed(what()).with_source("a page says that there are more and not where"));
        }
        for object in listed.contents.unwrap_or_default() {
            page.objects.push(Object {
                key: decoded(object.key, what)?,
                size: size(object.size, what)?,
                etag: etag(object.e_tag),
                modified: time(object.last_modified),
                storage_class: object.storage_class,
            });
        }
        for prefix in listed.common_prefixes.unwrap_or_default() {
            page.prefixes.push(decoded(prefix.prefix, what)?);
        }
        Ok(page)
    }

    async fn head(&self, bucket: &str, key: &str) -> Result<Head> {
        let what = || format!("cannot ask for {bucket}/{key}");
        let request = || HeadObjectRequest { bucket: bucket.into(), key: key.into(), ..Default::default() };
        let head = self.again(what, || self.client.head_object(request())).await?;
        Ok(Head {
            md5: digest(&head.e_tag, &head.server_side_encryption),
            size: size(head.content_length, what)?,
            etag: etag(head.e_tag),
            modified: time(head.last_modified),
            content_type: head.content_type,
            headers: Headers {
                cache_control: head.cache_control,
                content_disposition: head.content_disposition,
                content_encoding: head.content_encoding,
                content_language: head.content_language,
                expires: head.expires,
            },
            storage_class: head.storage_class,
            metadata: head.metadata.unwrap_or_default().into_iter().collect(),
        })
    }

    async fn get(&self, bucket: &str, key: &str, range: Option<Range<u64>>, if_match: Option<&str>) -> Result<(Head, Body)> {
        let what = || format!("cannot read {bucket}/{key}");
        let request = || GetObjectRequest {
            bucket: bucket.into(),
            key: key.into(),
            range: range.as_ref().map(|range| format!("bytes={}-{}", range.start, range.end.saturating_sub(1))),
            if_match: if_match.map(|etag| format!("\"{etag}\"")),
            ..Default::default()
        };
        let got = self.again(what, || self.client.get_object(request())).await.map_err(|error| match error.kind() {
            // A condition that does not hold; nothing exists that should not.
            Kind::AlreadyExists => error.with_kind(Kind::Failed),
            _ => error,
        })?;
        let all = got.content_range.as_deref().and_then(|range| range.rsplit('/').next()?.parse().ok());
        let head = Head {
            md5: digest(&got.e_tag, &got.server_side_encryption),
            size: all.map_or_else(|| size(got.content_length, what), Ok)?,
            etag: etag(got.e_tag),
            modified: time(got.last_modified),
            content_type: got.content_type,
            headers: Headers {
                cache_control: got.cache_control,
                content_disposition: got.content_disposition,
                content_encoding: got.content_encoding,
                content_language: got.content_language,
                expires: got.expires,
            },
            storage_class: got.storage_class,
            metadata: got.metadata.unwrap_or_default().into_iter().collect(),
        };
        let body = match got.body {
            Some(stream) => body::sound(stream.into_async_read()),
            None => body::from_bytes(Bytes::new()),
        };
        Ok((head, body))
    }

    async fn put(&self, bucket: &str, key: &str, bytes: Bytes, new: &New) -> Result<String> {
        let what = || format!("cannot store {bucket}/{key}");
        let client = if new.only_if_absent { &self.careful } else { &self.client };
        let request = || PutObjectRequest {
            bucket: bucket.into(),
            key: key.into(),
            content_md5: Some(new.md5.map_or_else(|| md5(&bytes), |md5| STANDARD.encode(md5))),
            content_length: i64::try_from(bytes.len()).ok(),
            content_type: new.content_type.clone(),
            cache_control: new.headers.cache_control.clone(),
            content_disposition: new.headers.content_disposition.clone(),
            content_encoding: new.headers.content_encoding.clone(),
            content_language: new.headers.content_language.clone(),
            expires: new.headers.expires.clone(),
            storage_class: new.storage_class.clone(),
            metadata: Some(new.metadata.iter().cloned().collect()),
            body: Some(stream(&bytes)),
            ..Default::default()
        };
        Ok(etag(self.again(what, || client.put_object(request())).await?.e_tag))
    }

    async fn begin(&self, bucket: &str, key: &str, new: &New) -> Result<String> {
        let what = || format!("cannot begin {bucket}/{key}");
        let request = || CreateMultipartUploadRequest {
            bucket: bucket.into(),
            key: key.into(),
            content_type: new.content_type.clone(),
            cache_control: new.headers.cache_control.clone(),
            content_disposition: new.headers.content_disposition.clone(),
            content_encoding: new.headers.content_encoding.clone(),
            content_language: new.headers.content_language.clone(),
            expires: new.headers.expires.clone(),
            storage_class: new.storage_class.clone(),
            metadata: Some(new.metadata.iter().cloned().collect()),
            ..Default::default()
        };
        let begun = self.again(what, || self.client.create_multipart_upload(request())).await?;
        begun.upload_id.ok_or_else(|| Error::failed(what()).with_source("the server gave the upload no ID"))
    }

    async fn part(&self, bucket: &str, key: &str, upload: &str, number: u32, bytes: Bytes) -> Result<String> {
        let request = || UploadPartRequest {
            bucket: bucket.into(),
            key: key.into(),
            upload_id: upload.into(),
            part_number: number.into(),
            content_md5: Some(md5(&bytes)),
            content_length: i64::try_from(bytes.len()).ok(),
            body: Some(stream(&bytes)),
            ..Default::default()
        };
        let what = || format!("cannot store part {number} of {bucket}/{key}");
        Ok(etag(self.again(what, || self.client.upload_part(request())).await?.e_tag))
    }

    async fn complete(&self, bucket: &str, key: &str, upload: &str, parts: &[(u32, String)]) -> Result<String> {
        let part = |(number, etag): &(u32, String)| CompletedPart {
            part_number: Some((*number).into()),
            e_tag: Some(format!("\"{etag}\"")),
        };
        let request = || CompleteMultipartUploadRequest {
            bucket: bucket.into(),
            key: key.into(),
            upload_id: upload.into(),
            multipart_upload: Some(CompletedMultipartUpload { parts: Some(parts.iter().map(part).collect()) }),
            ..Default::default()
        };
        let what = || format!("cannot make {bucket}/{key} of its parts");
        let etag = etag(self.again(what, || self.client.complete_multipart_upload(request())).await?.e_tag);
        // Ceph 16.2 does not say it.
        if etag.is_empty() { Ok(self.head(bucket, key).await?.etag) } else { Ok(etag) }
    }

    async fn abort(&self, bucket: &str, key: &str, upload: &str) -> Result<()> {
        let request = || AbortMultipartUploadRequest {
            bucket: bucket.into(),
            key: key.into(),
            upload_id: upload.into(),
            ..Default::default()
        };
        let what = || format!("cannot give up the upload of {bucket}/{key}");
        match self.again(what, || self.client.abort_multipart_upload(request())).await {
            Err(error) if error.kind() != Kind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn uploads(&self, bucket: &str, prefix: &str) -> Result<Vec<Upload>> {
        let what = || format!("cannot list the uploads to {bucket}/{prefix}");
        let (mut found, mut marker) = (Vec::new(), Marker::default());
        loop {
            let request = || ListMultipartUploadsRequest {
                bucket: bucket.into(),
                prefix: Some(prefix.into()),
                key_marker: marker.key.clone(),
                upload_id_marker: marker.upload.clone(),
                encoding_type: Some("url".into()),
                ..Default::default()
            };
            let page = self.again(what, || self.client.list_multipart_uploads(request())).await?;
            for upload in page.uploads.unwrap_or_default() {
                let key = decoded(upload.key, what)?;
                found.push(Upload { key, id: upload.upload_id.unwrap_or_default(), begun: time(upload.initiated) });
            }
            let next = page.next_key_marker.map(|key| decoded(Some(key), what)).transpose()?;
            if !marker.advance(page.is_truncated == Some(true), next, page.next_upload_id_marker)? {
                return Ok(found);
            }
        }
    }

    async fn copy(&self, from: (&str, &str), to: (&str, &str), new: Option<&New>) -> Result<()> {
        let request = || CopyObjectRequest {
            bucket: to.0.into(),
            key: to.1.into(),
            copy_source: rusoto_s3::util::encode_key(format!("{}/{}", from.0, from.1)),
            metadata_directive: new.map(|_| "REPLACE".into()),
            metadata: new.map(|new| new.metadata.iter().cloned().collect()),
            content_type: new.and_then(|new| new.content_type.clone()),
            cache_control: new.and_then(|new| new.headers.cache_control.clone()),
            content_disposition: new.and_then(|new| new.headers.content_disposition.clone()),
            content_encoding: new.and_then(|new| new.headers.content_encoding.clone()),
            content_language: new.and_then(|new| new.headers.content_language.clone()),
            expires: new.and_then(|new| new.headers.expires.clone()),
            storage_class: new.and_then(|new| new.storage_class.clone()),
            ..Default::default()
        };
        let what = || format!("cannot copy {}/{} to {}/{}", from.0, from.1, to.0, to.1);
        self.again(what, || self.client.copy_object(request())).await.map(drop)
    }

    async fn delete(&self, bucket: &str, key: &str) -> Result<()> {
        let request = || DeleteObjectRequest { bucket: bucket.into(), key: key.into(), ..Default::default() };
        let what = || format!("cannot delete {bucket}/{key}");
        match self.again(what, || self.client.delete_object(request())).await {
            Err(error) if error.kind() != Kind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn stream(bytes: &Bytes) -> ByteStream {
    let bytes = bytes.clone();
    let size = bytes.len();
    ByteStream::new_with_size(futures_util::stream::once(async { Ok(bytes) }), size)
}

fn md5(bytes: &[u8]) -> String {
    STANDARD.encode(Md5::digest(bytes))
}

fn etag(quoted: Option<String>) -> String {
    quoted.unwrap_or_default().trim_matches('"').to_owned()
}

/// The MD5 that an ETag is, unless the object is stored in parts or encrypted.
fn digest(etag: &Option<String>, encryption: &Option<String>) -> Option<[u8; 16]> {
    let hex = etag.as_deref()?.trim_matches('"');
    let is_md5 = encryption.is_none() && hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(hex, 16).ok().filter(|_| is_md5).map(u128::to_be_bytes)
}

/// Listings have one form of times, answers to requests for objects another.
fn time(text: Option<String>) -> Option<Timestamp> {
    let text = text?;
    text.parse().ok().or_else(|| Some(jiff::fmt::rfc2822::parse(&text).ok()?.timestamp()))
}

fn size(size: Option<i64>, what: impl FnOnce() -> String) -> Result<u64> {
    let size = size.and_then(|size| u64::try_from(size).ok());
    size.ok_or_else(|| Error::failed(what()).with_source("the server says no size"))
}

/// A key as it is, from one that was encoded for XML.
fn decoded(key: Option<String>, what: impl FnOnce() -> String) -> Result<String> {
    let key = key.unwrap_or_default().replace('+', " ");
    let key = percent_decode_str(&key).decode_utf8();
    key.map(Into::into).map_err(|error| Error::failed(what()).with_source(error))
}
