//! A body becomes an object, with bounded memory.

use std::hash::{BuildHasher, RandomState};
use std::io;

use backup_core::body::CHUNK;
use backup_core::{Body, Doing, Error, Kind, Put, Result};
use bytes::{BufMut, Bytes, BytesMut};
use sha2::Digest;
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::{New, SharedGateway, Transfer, s3};

/// The metadata by which a put knows its own object again.
const OWN: &str = "put";

/// Where an object goes, and how.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The server.
    pub gateway: SharedGateway,
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// What is said of it.
    pub new: New,
    /// How much moves at once.
    pub transfer: Transfer,
    /// Gets the tasks that give up what a dropped upload left.
    pub tasks: TaskTracker,
}

impl Destination {
    /// Stores `body` and returns what was stored.
    ///
    /// What is smaller than a part goes in one request, with [`New::only_if_absent`] as its condition; more goes in parts, for which it
    /// is looked at before the first and before the last step, since gateways of Ceph know no condition there. After an error or a
    /// dropped future the object is absent or whole.
    pub async fn put(&self, body: Body) -> Result<Put> {
        let mut reading = Reading { hasher: Some(sha2::Sha256::new()), size: 0 };
        self.store_as(body, &mut reading).await?;
        let Reading { hasher, size } = reading;
        Ok(Put { size, sha256: hasher.unwrap_or_default().into() })
    }

    /// The same, and returns the ETag that the object has.
    pub(crate) async fn store(&self, body: Body) -> Result<String> {
        self.store_as(body, &mut Reading { hasher: None, size: 0 }).await
    }

    async fn store_as(&self, mut body: Body, reading: &mut Reading) -> Result<String> {
        let most = self.part_size(1)?;
        let first = self.told(reading.fill(&mut body, most).await)?;
        if first.len() < most {
            return self.single(first).await;
        }
        self.absent().await?;
        let id = self.gateway.begin(&self.bucket, &self.key, &self.new).await?;
        let mut begun = Begun { to: self, id: Some(id.clone()) };
        let stored = self.parts(&id, first, &mut body, reading).await;
        match &stored {
            Ok(_) => begun.id = None,
            Err(_) => begun.give_up().await,
        }
        stored
    }

    /// Stores an object in one request, and returns its ETag.
    pub(crate) async fn single(&self, bytes: Bytes) -> Result<String> {
        let mut new = self.new.clone();
        // That of another put, where an object is stored as another was.
        new.metadata.retain(|(name, _)| name != OWN);
        let own = format!("{:016x}{:016x}", RandomState::new().hash_one(0), RandomState::new().hash_one(1));
        if new.only_if_absent {
            new.metadata.push((OWN.to_owned(), own.clone()));
        }
        match self.gateway.put(&self.bucket, &self.key, bytes, &new).await {
            // The answer to a request that was carried out may be lost, and the same request is refused then.
            Err(error) if error.kind() == Kind::AlreadyExists && new.only_if_absent => {
                let head = self.gateway.head(&self.bucket, &self.key).await?;
                let is_own = head.metadata.iter().any(|(name, value)| name == OWN && *value == own);
                if is_own { Ok(head.etag) } else { Err(error) }
            }
            put => put,
        }
    }

    /// Stores the parts, of which `first` is read already, and makes the object of them.
    async fn parts(&self, id: &str, first: Bytes, body: &mut Body, reading: &mut Reading) -> Result<String> {
        let mut parts = Vec::new();
        let mut sending = JoinSet::new();
        let (mut number, mut bytes) = (1, first);
        while !bytes.is_empty() {
            while sending.len() >= self.transfer.width.max(1) {
                parts.extend(sending.join_next().await.map(sent).transpose()?);
            }
            let Self { gateway, bucket, key, .. } = self.clone();
            let upload = id.to_owned();
            sending.spawn(async move {
                let etag = gateway.part(&bucket, &key, &upload, number, bytes).await?;
                Ok((number, etag))
            });
            number += 1;
            let most = self.part_size(number)?;
            bytes = self.told(reading.fill(body, most).await)?;
            while let Some(part) = sending.try_join_next() {
                parts.push(sent(part)?);
            }
        }
        while let Some(part) = sending.join_next().await {
            parts.push(sent(part)?);
        }
        parts.sort_unstable();
        self.absent().await?;
        match self.gateway.complete(&self.bucket, &self.key, id, &parts).await {
            // The answer to a request that was carried out may be lost, and then the upload is gone.
            Err(error) if error.kind() == Kind::NotFound => {
                let head = self.gateway.head(&self.bucket, &self.key).await;
                let expected = s3::etag::of_parts(parts.iter().map(|(_, etag)| etag.as_str()));
                let own = head.ok().filter(|head| head.size == reading.size && Some(&head.etag) == expected.as_ref());
                own.map(|head| head.etag).ok_or(error)
            }
            complete => complete,
        }
    }

    /// Fails if the object is there and may not be.
    async fn absent(&self) -> Result<()> {
        if !self.new.only_if_absent {
            return Ok(());
        }
        match self.gateway.head(&self.bucket, &self.key).await {
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(Error::new(Kind::AlreadyExists, format!("s3://{}/{} is there already", self.bucket, self.key))),
        }
    }

    fn part_size(&self, number: u32) -> Result<usize> {
        self.transfer.part(number).ok_or_else(|| {
            Error::failed(format!("s3://{}/{} is too big for 10,000 parts", self.bucket, self.key))
                .with_hint("give a larger --part-size")
        })
    }

    fn told<T>(&self, read: io::Result<T>) -> Result<T> {
        read.doing(|| format!("store s3://{}/{}", self.bucket, self.key))
    }
}

/// What a task that sent a part came to.
fn sent(part: Result<Result<(u32, String)>, tokio::task::JoinError>) -> Result<(u32, String)> {
    part.unwrap_or_else(|error| Err(Error::failed("the task that sent a part was cut off").with_source(error)))
}

/// What was read of the body.
struct Reading {
    hasher: Option<sha2::Sha256>,
    size: u64,
}

impl Reading {
    /// Reads up to `most` bytes, fewer only at the end of the body.
    async fn fill(&mut self, body: &mut Body, most: usize) -> io::Result<Bytes> {
        let mut bytes = BytesMut::new();
        while bytes.len() < most {
            // Small bodies take little, and large ones not twice what they need.
            bytes.reserve(bytes.len().max(CHUNK).min(most - bytes.len()));
            let before = bytes.len();
            if body.read_buf(&mut (&mut bytes).limit(most - before)).await? == 0 {
                break;
            }
            if let Some(hasher) = &mut self.hasher {
                hasher.update(bytes.get(before..).unwrap_or_default());
            }
        }
        self.size += bytes.len() as u64;
        Ok(bytes.freeze())
    }
}

/// An upload in parts that is not yet an object. Dropped, it is given up.
struct Begun<'a> {
    to: &'a Destination,
    id: Option<String>,
}

impl Begun<'_> {
    /// Gives it up now; what cannot be given up is left for a sweep.
    async fn give_up(&mut self) {
        if let Some(id) = &self.id {
            let Destination { gateway, bucket, key, .. } = self.to;
            if let Err(error) = gateway.abort(bucket, key, id).await {
                tracing::warn!("{}", error.chain());
            }
            self.id = None;
        }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let (Some(id), Ok(runtime)) = (self.id.take(), tokio::runtime::Handle::try_current()) else { return };
        let to = self.to.clone();
        let giving_up = async move { Begun { to: &to, id: Some(id) }.give_up().await };
        drop(self.to.tasks.spawn_on(giving_up, &runtime));
    }
}
