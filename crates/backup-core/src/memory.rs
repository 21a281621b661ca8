//! A sink in memory, for tests of whoever embeds this.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use crate::body::{self, Body};
use crate::{Depth, Entry, Error, Key, Kind, Put, Result, Sha256, Sink};

/// Objects in memory. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<BTreeMap<Key, Bytes>>>);

impl Memory {
    /// Every object, in the order of their keys: what a test takes apart.
    pub fn objects(&self) -> Vec<(Key, Bytes)> {
        self.lock().iter().map(|(key, bytes)| (key.clone(), bytes.clone())).collect()
    }

    /// Replaces the bytes of an object, or removes it: what a sink never does, and a bad disk may.
    pub fn tamper(&self, key: &Key, bytes: Option<Vec<u8>>) {
        match bytes {
            Some(bytes) => drop(self.lock().insert(key.clone(), bytes.into())),
            None => drop(self.lock().remove(key)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sink for Memory {
    async fn put(&self, key: &Key, body: Body) -> Result<Put> {
        let exists = || Error::new(Kind::AlreadyExists, format!("{key} is there already"));
        if self.lock().contains_key(key) {
            return Err(exists());
        }
        let bytes = Bytes::from(body::to_vec(body, u64::MAX).await?);
        let put = Put { size: bytes.len() as u64, sha256: Sha256::of(&bytes) };
        let mut objects = self.lock();
        if objects.contains_key(key) {
            return Err(exists());
        }
        objects.insert(key.clone(), bytes);
        Ok(put)
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Body> {
        let missing = || Error::new(Kind::NotFound, format!("there is no {key}"));
        let bytes = self.lock().get(key).cloned().ok_or_else(missing)?;
        let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        let range = range.map_or(0..bytes.len(), |range| within(range.start)..within(range.end).max(within(range.start)));
        Ok(body::from_bytes(bytes.slice(range)))
    }

    fn list(&self, prefix: &Key, depth: Depth) -> BoxStream<'_, Result<Entry>> {
        let mut entries = BTreeMap::new();
        for (key, bytes) in self.lock().iter() {
            let Some(rest) = key.strip(prefix) else { continue };
            let group = rest.split_once('/').filter(|_| depth == Depth::One).and_then(|(group, _)| prefix.join(group).ok());
            match group {
                Some(group) => entries.insert(format!("{group}/"), Entry::Group(group)),
                None => entries.insert(key.to_string(), Entry::Object(key.clone(), bytes.len() as u64)),
            };
        }
        stream::iter(entries.into_values().map(Ok)).boxed()
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.lock().remove(key);
        Ok(())
    }
}
