//! An object becomes a body that goes on after a lost connection.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use backup_core::{Body, Error, Result, body};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use md5::{Digest, Md5};
use tokio::io::AsyncReadExt;
use tokio_util::io::StreamReader;
use tokio_util::task::AbortOnDropHandle;

use crate::{Head, SharedGateway};

/// How much is asked for at once, in bytes.
pub(crate) const PIECE: u64 = 8 << 20;

/// How often a piece is asked for again after connections that brought little of it.
const AGAIN: usize = 3;

/// What is more than little, in bytes: an object that comes a hundred bytes at a time does not come.
const MUCH: usize = 64 << 10;

/// Opens an object, or what of it lies in `range`, in pieces of 8 MiB of which `width` are asked for ahead.
///
/// A connection that is lost is made again, for what is missing, as long as the object is the same and comes on. The body ends only when all
/// of it has come, and, where it is whole and its ETag says its MD5, as the bytes that were stored.
pub async fn download(
    gateway: &SharedGateway,
    bucket: &str,
    key: &str,
    range: Option<Range<u64>>,
    width: usize,
) -> Result<Body> {
    open(gateway, bucket, key, range, width, true).await.map(|(_, body)| body)
}

/// The same, and what is known of the object. Its bytes are compared with its ETag only if `compare`.
pub(crate) async fn open(
    gateway: &SharedGateway,
    bucket: &str,
    key: &str,
    range: Option<Range<u64>>,
    width: usize,
    compare: bool,
) -> Result<(Head, Body)> {
    let (start, end) = range.map_or((0, u64::MAX), |range| (range.start, range.end));
    if start >= end {
        return Ok((gateway.head(bucket, key).await?, body::from_bytes(Bytes::new())));
    }
    let piece = start..end.min(start.saturating_add(PIECE));
    let (head, first) = gateway.get(bucket, key, Some(piece.clone()), None).await?;
    let end = end.min(head.size);
    let etag = head.etag.clone();
    let object = Arc::new(Object { gateway: gateway.clone(), bucket: bucket.to_owned(), key: key.to_owned(), etag });
    let mut pieces = Pieces {
        object: object.clone(),
        next: piece.end.min(end).max(start),
        end,
        width: width.max(1),
        ahead: VecDeque::new(),
        md5: head.md5.filter(|_| compare && (start, end) == (0, head.size)).map(|md5| (md5, Md5::new())),
    };
    let task = async move { object.fetch(start..piece.end.min(end).max(start), Some(first)).await };
    pieces.ahead.push_back(AbortOnDropHandle::new(tokio::spawn(task)));
    let bytes =
        stream::try_unfold(pieces, async |mut pieces| Ok::<_, io::Error>(pieces.next().await?.map(|bytes| (bytes, pieces))));
    Ok((head, body::sound(StreamReader::new(Box::pin(bytes)))))
}

/// An object as it was when it was opened.
struct Object {
    gateway: SharedGateway,
    bucket: String,
    key: String,
    etag: String,
}

impl Object {
    /// Fetches `range`, all of it, beginning with what an answer to it brings.
    async fn fetch(&self, range: Range<u64>, mut answer: Option<Body>) -> Result<Bytes> {
        let want = usize::try_from(range.end - range.start).map_err(|_| Error::failed("a piece is too big for memory"))?;
        let mut bytes = BytesMut::with_capacity(want);
        let mut left = AGAIN;
        while bytes.len() < want {
            let from = range.start + bytes.len() as u64;
            let mut body = match answer.take() {
                Some(body) => body,
                None => {
                    let same = (!self.etag.is_empty()).then_some(self.etag.as_str());
                    self.gateway.get(&self.bucket, &self.key, Some(from..range.end), same).await?.1
                }
            };
            let before = bytes.len();
            let broken = loop {
                let missing = want - bytes.len();
                match body.read_buf(&mut (&mut bytes).limit(missing)).await {
                    Ok(0) => break None,
                    Ok(_) => {}
                    Err(error) => break Some(error),
                }
            };
            left = if bytes.len() - before >= MUCH { AGAIN } else { left };
            if bytes.len() < want {
                tracing::debug!(key = self.key, ?broken, "an answer broke off");
                left = left.checked_sub(1).ok_or_else(|| self.breaks_off(range.start + bytes.len() as u64, broken))?;
            }
        }
        Ok(bytes.freeze())
    }

    fn breaks_off(&self, at: u64, broken: Option<io::Error>) -> Error {
        let error = Error::failed(format!(
            "s3://{}/{} breaks off after {at} bytes, however often it is asked for",
            self.bucket, self.key
        ));
        match broken {
            Some(broken) => error.with_source(broken),
            None => error,
        }
    }
}

/// The pieces of an object in their order.
struct Pieces {
    object: Arc<Object>,
    /// Where what was not asked for yet begins.
    next: u64,
    end: u64,
    width: usize,
    ahead: VecDeque<AbortOnDropHandle<Result<Bytes>>>,
    /// What the digest of all pieces must be, and that of those that came.
    md5: Option<([u8; 16], Md5)>,
}

impl Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.ahead.len() < self.width && self.next < self.end {
            let piece = self.next..self.end.min(self.next + PIECE);
            self.next = piece.end;
            let object = self.object.clone();
            self.ahead.push_back(AbortOnDropHandle::new(tokio::spawn(async move { object.fetch(piece, None).await })));
        }
        let Some(piece) = self.ahead.pop_front() else {
            let md5 = self.md5.take().map(|(expected, hasher)| (expected, <[u8; 16]>::from(hasher.finalize())));
            return match md5 {
                Some((expected, found)) if found != expected => {
                    let Object { bucket, key, .. } = &*self.object;
                    Err(Error::damaged(format!("s3://{bucket}/{key} is not what its ETag says")))
                }
                _ => Ok(None),
            };
        };
        let bytes = piece.await.unwrap_or_else(|error| Err(Error::failed("a piece was cut off").with_source(error)))?;
        if let Some((_, hasher)) = &mut self.md5 {
            hasher.update(&bytes);
        }
        Ok(Some(bytes))
    }
}
