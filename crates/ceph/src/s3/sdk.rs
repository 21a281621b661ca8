//! The gateway by `aws-sdk-s3`: each call of ours as one of the library's.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, EncodingType, MetadataDirective};
use backon::{ExponentialBuilder, Retryable};
use backup_core::{Body, Doing, Error, Kind, Result, body};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::AsyncReadExt;

use super::answers::{self, is_md5, stored, unquoted};
use super::client::client;
use super::failure::{Failure, Subject};
use super::patient::Patient;
use super::said::said;
use super::{Access, Bucket, Gateway, Head, Listing, New, Page, SharedGateway, Upload, etag, text};
use crate::Marker;

/// How long it waits before a request is made again: about this, then longer each time.
const FIRST: Duration = Duration::from_millis(250);

/// The longest of these waits, without what chance adds.
const LONGEST: Duration = Duration::from_secs(20);

/// What a request that carries bytes has for each of them beside [`Access::timeout`]: 32 KiB a second are slow enough.
const SLOWEST: u64 = 32 * 1024;

/// The server that `access` names. Nothing is asked of it yet.
pub fn connect(access: &Access) -> Result<SharedGateway> {
    let client = client(access)?;
    let Access { endpoint, timeout, attempts, .. } = access.clone();
    Ok(Arc::new(Sdk { client, endpoint, timeout, attempts: attempts.max(1) }))
}

struct Sdk {
    client: Client,
    endpoint: String,
    timeout: Duration,
    attempts: u32,
}

impl fmt::Debug for Sdk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sdk").field(&self.endpoint).finish()
    }
}

impl Sdk {
    fn subject<'a>(&'a self, verb: &'static str, bucket: &'a str, key: &'a str) -> Subject<'a> {
        Subject { verb, endpoint: &self.endpoint, bucket, key }
    }

    /// Makes a request that carries `size` bytes, and makes it again while that may help.
    async fn ask<T, E>(&self, size: usize, send: impl Fn() -> BoxFuture<'static, Result<T, SdkError<E>>>) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let patience = self.timeout + Duration::from_secs(size as u64 / SLOWEST);
        let once = async || match tokio::time::timeout(patience, send()).await {
            Ok(answer) => answer.map_err(|error| Failure::of(&error)),
            Err(_) => Err(Failure::late(patience)),
        };
        let waits = ExponentialBuilder::new()
            .with_min_delay(FIRST)
            .with_max_delay(LONGEST)
            .with_jitter()
            .with_max_times(self.attempts as usize - 1);
        let again = |failure: &Failure, wait| tracing::debug!(?failure, ?wait, "a request is made again");
        once.retry(waits).sleep(tokio::time::sleep).when(Failure::passes).notify(again).await
    }
}

#[async_trait]
impl Gateway for Sdk {
    async fn buckets(&self) -> Result<Vec<Bucket>> {
        let request = self.client.list_buckets();
        let answer = self.ask(0, || request.clone().send().boxed()).await;
        let answer = answer.map_err(|failure| failure.told(self.subject("list the buckets of", "", "")))?;
        let bucket = |bucket: &aws_sdk_s3::types::Bucket| {
            Some(Bucket { name: bucket.name()?.to_owned(), created: text::time(bucket.creation_date()) })
        };
        Ok(answer.buckets().iter().filter_map(bucket).collect())
    }

    async fn make_bucket(&self, bucket: &str) -> Result<()> {
        // To whom a bucket belongs already, some servers answer as if they had made it.
        let request = self.client.head_bucket().bucket(bucket);
        if self.ask(0, || request.clone().send().boxed()).await.is_ok() {
            return Err(Error::new(Kind::AlreadyExists, format!("there is a bucket {bucket} already")));
        }
        let request = self.client.create_bucket().bucket(bucket);
        let answer = self.ask(0, || request.clone().send().boxed()).await;
        answer.map(drop).map_err(|failure| failure.told(self.subject("make the bucket", bucket, "")))
    }

    async fn list(&self, bucket: &str, listing: &Listing, next: Option<&str>) -> Result<Page> {
        let Listing { prefix, delimiter, after, most } = listing;
        // As URLs, since XML cannot hold every key.
        let request = self.client.list_objects_v2().bucket(bucket).encoding_type(EncodingType::Url).prefix(prefix);
        let request = request
            .set_delimiter(delimiter.clone())
            .set_start_after(after.clone())
            .set_continuation_token(next.map(str::to_owned))
            .set_max_keys(most.and_then(|most| i32::try_from(most).ok()));
        let answer = self.ask(0, || request.clone().send().boxed()).await;
        let answer = answer.map_err(|failure| failure.told(self.subject("list", bucket, prefix)))?;
        answers::page(&answer, bucket, prefix)
    }

    async fn head(&self, bucket: &str, key: &str) -> Result<Head> {
        let request = self.client.head_object().bucket(bucket).key(key);
        let answer = self.ask(0, || request.clone().send().boxed()).await;
        let answer = answer.map_err(|failure| failure.told(self.subject("look at", bucket, key)))?;
        answers::head(&answer).ok_or_else(|| sizeless(bucket, key))
    }

    async fn get(&self, bucket: &str, key: &str, range: Option<Range<u64>>, if_match: Option<&str>) -> Result<(Head, Body)> {
        let asked = range.as_ref().map(|range| format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        let request = self.client.get_object().bucket(bucket).key(key).set_range(asked);
        let request = request.set_if_match(if_match.map(|etag| format!("\"{etag}\"")));
        let answer = match self.ask(0, || request.clone().send().boxed()).await {
            Ok(answer) => answer,
            // Nothing of it lies there.
            Err(failure) if failure.status() == Some(416) && range.is_some() => {
                let head = self.head(bucket, key).await?;
                return match if_match {
                    Some(etag) if etag != head.etag => Err(replaced(bucket, key)),
                    _ => Ok((head, body::from_bytes(Bytes::new()))),
                };
            }
            Err(failure) => return Err(failure.told(self.subject("read", bucket, key))),
        };
        let head = answers::head_of_body(&answer).ok_or_else(|| sizeless(bucket, key))?;
        let is_whole = range.is_some() && answer.content_range().is_none();
        let body = Patient::new(answer.body.into_async_read(), self.timeout);
        // A server that knows no ranges answers with the whole.
        let Some(range) = range.filter(|_| is_whole) else { return Ok((head, body::sound(body))) };
        let mut body = body;
        let before = tokio::io::copy(&mut (&mut body).take(range.start), &mut tokio::io::sink()).await?;
        let most = range.end.saturating_sub(before.max(range.start));
        Ok((head, body::sound(body.take(most))))
    }

    async fn put(&self, bucket: &str, key: &str, bytes: Bytes, new: &New) -> Result<String> {
        let digest = new.md5.unwrap_or_else(|| etag::md5(&bytes));
        let request = || {
            let request = self.client.put_object().bucket(bucket).key(key).content_md5(STANDARD.encode(digest));
            let request = said!(request, new).set_if_none_match(new.only_if_absent.then(|| "*".to_owned()));
            request.body(ByteStream::from(bytes.clone())).send().boxed()
        };
        let answer = self.ask(bytes.len(), request).await;
        let answer = answer.map_err(|failure| failure.told_of(Some(new), self.subject("store", bucket, key)))?;
        let is_md5 = is_md5(answer.server_side_encryption(), answer.sse_customer_algorithm());
        stored(unquoted(answer.e_tag()), is_md5.then(|| etag::hex(digest)), bucket, key)
    }

    async fn begin(&self, bucket: &str, key: &str, new: &New) -> Result<String> {
        let request = self.client.create_multipart_upload().bucket(bucket).key(key);
        let request = said!(request, new);
        let answer = self.ask(0, || request.clone().send().boxed()).await;
        let answer = answer.map_err(|failure| failure.told_of(Some(new), self.subject("store", bucket, key)))?;
        let id = answer.upload_id().map(str::to_owned);
        id.ok_or_else(|| Error::failed(format!("the server names no upload for s3://{bucket}/{key}")))
    }

    async fn part(&self, bucket: &str, key: &str, upload: &str, number: u32, bytes: Bytes) -> Result<String> {
        let digest = etag::md5(&bytes);
        let number = i32::try_from(number).map_err(|_| Error::usage(format!("there can be no part {number}")))?;
        let request = || {
            let request = self.client.upload_part().bucket(bucket).key(key).upload_id(upload).part_number(number);
            request.content_md5(STANDARD.encode(digest)).body(ByteStream::from(bytes.clone())).send().boxed()
        };
        let answer = self.ask(bytes.len(), request).await;
        let answer = answer.map_err(|failure| failure.told(self.subject("store", bucket, key)))?;
        let is_md5 = is_md5(answer.server_side_encryption(), answer.sse_customer_algorithm());
        stored(unquoted(answer.e_tag()), is_md5.then(|| etag::hex(digest)), bucket, key)
    }

    async fn complete(&self, bucket: &str, key: &str, upload: &str, parts: &[(u32, String)]) -> Result<String> {
        let part = |(number, etag): &(u32, String)| {
            CompletedPart::builder()
                .part_number(i32::try_from(*number).unwrap_or(i32::MAX))
                .e_tag(format!("\"{etag}\""))
                .build()
        };
        let list = CompletedMultipartUpload::builder().set_parts(Some(parts.iter().map(part).collect())).build();
        let request = self.client.complete_multipart_upload().bucket(bucket).key(key).upload_id(upload).multipart_upload(list);
        let answer = self.ask(0, || request.clone().send().boxed()).await;
        let answer = answer.map_err(|failure| failure.told(self.subject("store", bucket, key)))?;
        let expected = etag::of_parts(parts.iter().map(|(_, etag)| etag.as_str()));
        let expected = expected.filter(|_| is_md5(answer.server_side_encryption(), None));
        let etag = match answer.e_tag() {
            Some(etag) if !etag.is_empty() => unquoted(Some(etag)),
            // Ceph 16.2 does not say it.
            _ => self.head(bucket, key).await?.etag,
        };
        stored(etag, expected, bucket, key)
    }

    async fn abort(&self, bucket: &str, key: &str, upload: &str) -> Result<()> {
        let request = self.client.abort_multipart_upload().bucket(bucket).key(key).upload_id(upload);
        match self.ask(0, || request.clone().send().boxed()).await {
            Err(failure) if failure.status() != Some(404) => {
                Err(failure.told(self.subject("give up the upload of", bucket, key)))
            }
            _ => Ok(()),
        }
    }

    async fn uploads(&self, bucket: &str, prefix: &str) -> Result<Vec<Upload>> {
        let request = self.client.list_multipart_uploads().bucket(bucket).prefix(prefix).encoding_type(EncodingType::Url);
        let (mut uploads, mut marker) = (Vec::new(), Marker::default());
        loop {
            let page = request.clone().set_key_marker(marker.key.clone()).set_upload_id_marker(marker.upload.clone());
            let subject = self.subject("list the uploads under", bucket, prefix);
            let answer = self.ask(0, || page.clone().send().boxed()).await.map_err(|failure| failure.told(subject))?;
            let is_url = answer.encoding_type() == Some(&EncodingType::Url);
            let plain = |key: &str| if is_url { text::decoded(key) } else { Ok(key.to_owned()) };
            for upload in answer.uploads() {
                let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else { continue };
                uploads.push(Upload { key: plain(key)?, id: id.to_owned(), begun: text::time(upload.initiated()) });
            }
            let next = answer.next_key_marker().map(plain).transpose()?;
            let id = answer.next_upload_id_marker().map(str::to_owned);
            let goes_on = marker.advance(answer.is_truncated() == Some(true), next, id);
            if !goes_on.doing(|| format!("list the uploads under s3://{bucket}/{prefix}"))? {
                return Ok(uploads);
            }
        }
    }

    async fn copy(&self, from: (&str, &str), to: (&str, &str), new: Option<&New>) -> Result<()> {
        let mut request = self.client.copy_object().copy_source(text::source(from.0, from.1)).bucket(to.0).key(to.1);
        if let Some(new) = new {
            request = said!(request, new).metadata_directive(MetadataDirective::Replace);
        }
        let answer = self.ask(0, || request.clone().send().boxed()).await;
        answer.map(drop).map_err(|failure| failure.told_of(new, self.subject("copy", from.0, from.1)))
    }

    async fn delete(&self, bucket: &str, key: &str) -> Result<()> {
        let request = self.client.delete_object().bucket(bucket).key(key);
        match self.ask(0, || request.clone().send().boxed()).await {
            Err(failure) if !failure.is_missing_key() => Err(failure.told(self.subject("delete", bucket, key))),
            _ => Ok(()),
        }
    }
}

fn replaced(bucket: &str, key: &str) -> Error {
    Error::failed(format!("s3://{bucket}/{key} was replaced while it was read")).with_hint("run it again")
}

fn sizeless(bucket: &str, key: &str) -> Error {
    Error::failed(format!("the server does not say how big s3://{bucket}/{key} is"))
}
