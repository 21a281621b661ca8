//! A gateway in memory that lies on demand.

mod lie;
mod meanwhile;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::{Body, Error, Kind, Result, body};
use bytes::Bytes;
use jiff::Timestamp;

pub(super) use self::lie::Lie;
use self::meanwhile::Meanwhile;
use crate::s3::etag::{hex, md5, of_parts};
use crate::s3::{Bucket, Gateway, Head, Listing, New, Object, Page, Upload};

#[derive(Debug, Clone)]
struct Stored {
    bytes: Bytes,
    etag: String,
    new: New,
}

#[derive(Debug, Default)]
struct State {
    buckets: BTreeMap<String, BTreeMap<String, Stored>>,
    uploads: HashMap<String, (New, BTreeMap<u32, Bytes>)>,
    lie: Option<Lie>,
    pages: usize,
    requests: Vec<String>,
    meanwhile: Option<Meanwhile>,
    /// Requests that carry much: how many are under way, and were at most.
    under_way: (usize, usize),
    /// How many of them wait for one another.
    meet: usize,
}

#[derive(Debug, Default)]
pub(super) struct Fake(Mutex<State>);

const PAGE: usize = 3;
/// When all objects were modified, in seconds since 1970.
pub(super) const MODIFIED: i64 = 1_500_000_000;

impl Fake {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic")
    }

    pub(super) fn lie(&self, lie: Option<Lie>) {
        self.state().lie = lie;
    }

    pub(super) fn set(&self, bucket: &str, key: &str, content: &str) {
        let etag = hex(md5(content.as_bytes()));
        let stored = Stored { bytes: Bytes::from(content.to_owned()), etag, new: New::default() };
        self.state().buckets.entry(bucket.to_owned()).or_default().insert(key.to_owned(), stored);
    }

    pub(super) fn remove(&self, bucket: &str, key: &str) {
        self.state().buckets.entry(bucket.to_owned()).or_default().remove(key);
    }

    pub(super) fn contents(&self, bucket: &str) -> BTreeMap<String, String> {
        let state = self.state();
        let objects = state.buckets.get(bucket).into_iter().flatten();
        objects.map(|(key, stored)| (key.clone(), String::from_utf8(stored.bytes.to_vec()).expect("text"))).collect()
    }

    pub(super) fn new_of(&self, bucket: &str, key: &str) -> New {
        self.state().buckets[bucket][key].new.clone()
    }

    /// Stores an object with what is said of it.
    pub(super) fn set_new(&self, bucket: &str, key: &str, new: New) {
        self.set(bucket, key, key);
        self.state().buckets.get_mut(bucket).and_then(|objects| objects.get_mut(key)).expect("it is there").new = new;
    }

    /// Gives an object another ETag, as servers do that encrypt.
    pub(super) fn set_etag(&self, bucket: &str, key: &str, etag: &str) {
        let mut state = self.state();
        let objects = state.buckets.get_mut(bucket).and_then(|objects| objects.get_mut(key));
        objects.expect("it is there").etag = etag.to_owned();
    }

    /// Lets something happen just before the next such request is answered, such as `head KEY`.
    pub(super) fn meanwhile(&self, request: &str, act: impl FnOnce() + Send + 'static) {
        self.state().meanwhile = Some(Meanwhile { request: request.to_owned(), act: Box::new(act) });
    }

    fn asked(&self, request: String) {
        let meanwhile = self.state().meanwhile.take_if(|meanwhile| meanwhile.request == request);
        self.state().requests.push(request);
        if let Some(Meanwhile { act, .. }) = meanwhile {
            act();
        }
    }

    /// Requests since the last time, by their names.
    pub(super) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().requests)
    }

    /// The most requests for parts of large objects, or with them, that were under way at once.
    pub(super) fn most_under_way(&self) -> usize {
        self.state().under_way.1
    }

    /// From now on requests for parts of large objects, or with them, wait until so many are under way at once, for a minute at most. Only the
    /// first does not: what an object is like is asked with it, before anything else of it.
    pub(super) fn meet(&self, many: usize) {
        self.state().meet = many;
    }

    /// Takes its time with what is large.
    async fn carries(&self, bytes: &Bytes) {
        const MOMENT: Duration = Duration::from_millis(100);
        if bytes.len() < 1 << 20 {
            return;
        }
        let is_first = {
            let (now, most) = &mut self.state().under_way;
            let is_first = *most == 0;
            *now += 1;
            *most = (*most).max(*now);
            is_first
        };
        // One more than may be has a moment to show itself.
        tokio::time::sleep(MOMENT).await;
        for _ in 0..600 {
            let State { under_way: (_, most), meet, .. } = *self.state();
            if is_first || most >= meet {
                break;
            }
            tokio::time::sleep(MOMENT).await;
        }
        self.state().under_way.0 -= 1;
    }

    fn find(&self, bucket: &str, key: &str, what: &str) -> Result<Stored> {
        self.asked(format!("{what} {key}"));
        let state = self.state();
        match state.lie {
            Some(Lie::Refused) => return Err(Error::failed("403 Forbidden")),
            Some(Lie::Gone | Lie::NoBucket) => return Err(Error::new(Kind::NotFound, "404 Not Found")),
            _ => {}
        }
        let stored = state.buckets.get(bucket).and_then(|objects| objects.get(key));
        stored.cloned().ok_or_else(|| Error::new(Kind::NotFound, "404 Not Found"))
    }

    fn store(&self, bucket: &str, key: &str, stored: Stored) -> Result<String> {
        self.asked(format!("put {key}"));
        let mut state = self.state();
        let objects = state.buckets.get_mut(bucket).ok_or_else(|| Error::new(Kind::NotFound, "NoSuchBucket"))?;
        if stored.new.only_if_absent && objects.contains_key(key) {
            return Err(Error::new(Kind::AlreadyExists, "412"));
        }
        let etag = stored.etag.clone();
        objects.insert(key.to_owned(), stored);
        Ok(etag)
    }
}

fn head(stored: &Stored) -> Head {
    let New { content_type, headers, storage_class, metadata, .. } = stored.new.clone();
    let (size, etag) = (stored.bytes.len() as u64, stored.etag.clone());
    let modified = Timestamp::from_second(MODIFIED).ok();
    Head { size, etag, md5: None, modified, content_type, headers, storage_class, metadata }
}

#[async_trait]
impl Gateway for Fake {
    async fn buckets(&self) -> Result<Vec<Bucket>> {
        Ok(Vec::new())
    }

    async fn make_bucket(&self, bucket: &str) -> Result<()> {
        self.state().buckets.entry(bucket.to_owned()).or_default();
        Ok(())
    }

    async fn list(&self, bucket: &str, listing: &Listing, next: Option<&str>) -> Result<Page> {
        let mut state = self.state();
        state.requests.push(format!("list {}", listing.prefix));
        let is_check = listing.most == Some(1);
        let nth = if next.is_none() { 0 } else { state.pages };
        if !is_check {
            state.pages = nth + 1;
        }
        let lie = state.lie.filter(|_| !is_check);
        if state.lie == Some(Lie::NoBucket) {
            return Err(Error::new(Kind::NotFound, "NoSuchBucket"));
        }
        let objects = state.buckets.get(bucket).ok_or_else(|| Error::new(Kind::NotFound, "NoSuchBucket"))?;
        let keys = objects.keys().filter(|key| lie == Some(Lie::Unasked) || key.starts_with(&listing.prefix));
        let mut keys: Vec<&String> = keys.filter(|key| next.is_none_or(|next| key.as_str() > next)).collect();
        let most = listing.most.map_or(PAGE, |most| PAGE.min(most as usize));
        let mut next_page = (keys.len() > most).then(|| keys[most - 1].clone());
        keys.truncate(most);
        match lie {
            Some(Lie::PageFails(n)) if n == nth => return Err(Error::failed("503 Slow Down")),
            Some(Lie::PagePanics(n)) if n == nth => {
                drop(state);
                panic!("on purpose")
            }
            Some(Lie::EndsEarly(n)) if n == nth => next_page = None,
            Some(Lie::Empty) => (keys, next_page) = (Vec::new(), None),
            Some(Lie::Loops(n)) if n == nth && next_page.is_some() => next_page = Some(next.unwrap_or_default().to_owned()),
            Some(Lie::Round) => next_page = next_page.or(Some(String::new())),
            Some(Lie::Hollow(n)) if n <= nth => (keys, next_page) = (Vec::new(), Some(nth.to_string())),
            Some(Lie::Backwards(n)) if n == nth => keys.reverse(),
            _ => {}
        }
        let object = |key: &String| {
            let Stored { bytes, etag, new } = &objects[key];
            let (size, storage_class) = (bytes.len() as u64, new.storage_class.clone());
            Object { key: key.clone(), size, etag: etag.clone(), modified: None, storage_class }
        };
        Ok(Page { objects: keys.into_iter().map(object).collect(), prefixes: Vec::new(), next: next_page })
    }

    async fn head(&self, bucket: &str, key: &str) -> Result<Head> {
        Ok(head(&self.find(bucket, key, "head")?))
    }

    async fn get(&self, bucket: &str, key: &str, range: Option<Range<u64>>, if_match: Option<&str>) -> Result<(Head, Body)> {
        let stored = self.find(bucket, key, "get")?;
        self.carries(&stored.bytes).await;
        let lie = self.state().lie;
        if if_match.is_some_and(|etag| etag != stored.etag) {
            return Err(Error::failed("412 Precondition Failed"));
        }
        let size = stored.bytes.len();
        let range = range.map_or(0..size, |range| size.min(range.start as usize)..size.min(range.end as usize));
        let mut bytes = stored.bytes.slice(range.clone()).to_vec();
        if let Some(Lie::Behind(most)) = lie {
            bytes.truncate(most.saturating_sub(range.start));
        }
        if lie == Some(Lie::Truncated) {
            bytes.truncate(bytes.len() / 2);
        }
        if let (Some(Lie::Flipped), Some(byte)) = (lie, bytes.first_mut()) {
            *byte ^= 1;
        }
        Ok((head(&stored), body::from_bytes(bytes)))
    }

    async fn put(&self, bucket: &str, key: &str, bytes: Bytes, new: &New) -> Result<String> {
        let digest = md5(&bytes);
        if new.md5.is_some_and(|md5| md5 != digest) {
            return Err(Error::failed("400 BadDigest"));
        }
        self.store(bucket, key, Stored { bytes, etag: hex(digest), new: new.clone() })
    }

    async fn begin(&self, _: &str, key: &str, new: &New) -> Result<String> {
        self.asked(format!("begin {key}"));
        self.state().uploads.insert(key.to_owned(), (new.clone(), BTreeMap::new()));
        Ok(key.to_owned())
    }

    async fn part(&self, _: &str, key: &str, upload: &str, number: u32, bytes: Bytes) -> Result<String> {
        self.asked(format!("part {key}"));
        self.carries(&bytes).await;
        if number == 1 {
            // What was sent first need not be there first.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let etag = hex(md5(&bytes));
        self.state().uploads.get_mut(upload).expect("an upload").1.insert(number, bytes);
        Ok(etag)
    }

    async fn complete(&self, bucket: &str, key: &str, upload: &str, parts: &[(u32, String)]) -> Result<String> {
        if !parts.is_sorted() {
            return Err(Error::failed("400 InvalidPartOrder"));
        }
        let (new, stored) = self.state().uploads.remove(upload).expect("an upload");
        assert_eq!(stored.len(), parts.len());
        let etag = of_parts(parts.iter().map(|(_, etag)| etag.as_str())).expect("MD5s");
        let bytes: Vec<u8> = stored.into_values().flatten().collect();
        let new = New { only_if_absent: false, ..new };
        self.store(bucket, key, Stored { bytes: bytes.into(), etag, new })
    }

    async fn abort(&self, _: &str, _: &str, upload: &str) -> Result<()> {
        self.state().uploads.remove(upload);
        Ok(())
    }

    async fn uploads(&self, _: &str, _: &str) -> Result<Vec<Upload>> {
        let upload = |id: &String| Upload { key: id.clone(), id: id.clone(), begun: None };
        Ok(self.state().uploads.keys().map(upload).collect())
    }

    async fn copy(&self, from: (&str, &str), to: (&str, &str), new: Option<&New>) -> Result<()> {
        let mut stored = self.find(from.0, from.1, "copy")?;
        match self.state().lie {
            Some(Lie::CopiesNothing) => return Ok(()),
            Some(Lie::CopiesHalf) => stored.bytes.truncate(stored.bytes.len() / 2),
            _ => {}
        }
        // A class that is not named is the usual one.
        let kept = New { storage_class: None, ..stored.new };
        stored.new = New { only_if_absent: false, ..new.cloned().unwrap_or(kept) };
        self.store(to.0, to.1, stored).map(|_| ())
    }

    async fn delete(&self, bucket: &str, key: &str) -> Result<()> {
        self.state().requests.push(format!("delete {key}"));
        self.remove(bucket, key);
        Ok(())
    }
}
