//! What tests of sinks, sources and those who use them share: contracts as functions, and fakes that fail on purpose.
//!
//! A contract panics where it is broken, as an assertion does.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;

use crate::body::{self, Body};
use crate::{
    Context, Depth, Entry, Error, Facts, Key, Kind, Name, Origin, Part, Put, Reading, Result, Sha256, Sink, Snapshot, Source,
    Stored,
};

/// What every sink holds. `sink` must be empty, and is empty after.
pub async fn sink_contract(sink: &dyn Sink) {
    nothing_is_there(sink).await;
    what_is_put_is_there_once(sink).await;
    what_breaks_off_is_absent(sink).await;
    listings_are_in_the_order_of_keys(sink).await;
    two_puts_at_once_have_one_winner(sink).await;
    let left = listed(sink, "", Depth::All).await;
    for line in left {
        sink.delete(&key(&line)).await.expect("deleted");
    }
    nothing_is_there(sink).await;
}

/// What every body holds: after its end it only ends, after an error it only fails. Returns how it ended.
pub async fn body_contract(mut body: Body) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = body.read_to_end(&mut bytes).await;
    for _ in 0..3 {
        let mut more = [0; 16];
        match (&read, body.read(&mut more).await) {
            (Ok(_), again) => assert_eq!(again.ok(), Some(0), "a body that has ended only ends"),
            (Err(_), again) => assert!(again.is_err(), "a body that has failed only fails"),
        }
    }
    read.map(|_| bytes).map_err(Error::from)
}

/// A body that fails after the first `at` of `bytes`.
pub fn breaking(bytes: impl Into<bytes::Bytes>, at: usize) -> Body {
    let bytes: bytes::Bytes = bytes.into();
    let end = at.min(bytes.len());
    body::sound(body::from_bytes(bytes.slice(..end)).chain(body::piped(|_| async { Err(Error::failed("broken on purpose")) })))
}

fn key(text: &str) -> Key {
    text.parse().expect("a key")
}

async fn listed(sink: &dyn Sink, prefix: &str, depth: Depth) -> Vec<String> {
    let prefix = if prefix.is_empty() { Key::root() } else { key(prefix) };
    let line = |entry: Entry| match entry {
        Entry::Object(key, _) => key.to_string(),
        Entry::Group(key) => format!("{key}/"),
    };
    sink.list(&prefix, depth).map_ok(line).try_collect().await.expect("listed")
}

async fn read(sink: &dyn Sink, at: &str, range: Option<Range<u64>>) -> Vec<u8> {
    body_contract(sink.get(&key(at), range).await.expect("opened")).await.expect("read")
}

async fn nothing_is_there(sink: &dyn Sink) {
    assert!(listed(sink, "", Depth::All).await.is_empty());
    assert!(listed(sink, "", Depth::One).await.is_empty());
    assert!(listed(sink, "no/such/place", Depth::All).await.is_empty());
    let error = sink.get(&key("nothing"), None).await.map(drop).expect_err("there is none");
    assert_eq!(error.kind(), Kind::NotFound);
    sink.delete(&key("a/b/nothing")).await.expect("one that is not there is no error");
}

async fn what_is_put_is_there_once(sink: &dyn Sink) {
    let bytes: Vec<u8> = (0..700_001_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 15) as u8).collect();
    for size in [0, 1, bytes.len()] {
        let put = sink.put(&key("a/b/c"), body::from_bytes(bytes[..size].to_vec())).await.expect("stored");
        assert_eq!(put, Put { size: size as u64, sha256: Sha256::of(&bytes[..size]) });
        assert!(read(sink, "a/b/c", None).await == bytes[..size]);
        let again = sink.put(&key("a/b/c"), body::from_bytes("other")).await.expect_err("nothing is replaced");
        assert_eq!(again.kind(), Kind::AlreadyExists);
        assert!(read(sink, "a/b/c", None).await == bytes[..size], "it was replaced all the same");
        if size == bytes.len() {
            assert!(read(sink, "a/b/c", Some(1..4)).await == bytes[1..4]);
            assert!(read(sink, "a/b/c", Some(300_000..700_000)).await == bytes[300_000..700_000]);
            assert!(read(sink, "a/b/c", Some(5..5)).await.is_empty());
            assert!(read(sink, "a/b/c", Some(size as u64 - 2..size as u64 + 9)).await == bytes[size - 2..]);
        }
        let entries: Vec<Entry> = sink.list(&key("a"), Depth::All).try_collect().await.expect("listed");
        assert_eq!(entries, [Entry::Object(key("a/b/c"), size as u64)]);
        sink.delete(&key("a/b/c")).await.expect("deleted");
        sink.delete(&key("a/b/c")).await.expect("deleted twice is no error");
        assert!(listed(sink, "", Depth::One).await.is_empty(), "an empty group is left");
    }
}

async fn what_breaks_off_is_absent(sink: &dyn Sink) {
    for at in [0, 1, 300_000] {
        let error = sink.put(&key("x/y"), breaking(vec![7; 400_000], at)).await.expect_err("it broke");
        assert_eq!((error.kind(), error.chain().contains("on purpose")), (Kind::Failed, true), "{error:?}");
        assert!(sink.get(&key("x/y"), None).await.is_err(), "part of an object is visible");
        assert!(listed(sink, "", Depth::All).await.is_empty(), "part of an object is listed");
    }
    let place = key("x/y");
    let (sender, receiver) = tokio::io::duplex(16);
    {
        let mut dropped = sink.put(&place, Box::pin(receiver));
        // One step, so that it has begun; the body never ends.
        assert!(futures_util::poll!(&mut dropped).is_pending());
    }
    drop(sender);
    assert!(sink.get(&place, None).await.is_err(), "a dropped put is visible");
    sink.put(&place, body::from_bytes("whole")).await.expect("the place is free");
    assert_eq!(read(sink, "x/y", None).await, b"whole");
    sink.delete(&place).await.expect("deleted");
}

async fn listings_are_in_the_order_of_keys(sink: &dyn Sink) {
    let keys = ["a+b", "a-b", "a.b", "a/b", "a/b-c", "a/b.c/d", "a0", "aa/b/c/d", "b", "job/1/x", "job2/1"];
    for at in keys.iter().rev() {
        sink.put(&key(at), body::from_bytes(*at)).await.expect("stored");
    }
    let mut sorted = keys;
    sorted.sort_unstable();
    assert_eq!(listed(sink, "", Depth::All).await, sorted);
    let groups = ["a+b", "a-b", "a.b", "a/", "a0", "aa/", "b", "job/", "job2/"];
    assert_eq!(listed(sink, "", Depth::One).await, groups);
    assert_eq!(listed(sink, "a", Depth::All).await, ["a/b", "a/b-c", "a/b.c/d"]);
    assert_eq!(listed(sink, "a", Depth::One).await, ["a/b", "a/b-c", "a/b.c/"]);
    assert_eq!(listed(sink, "job", Depth::All).await, ["job/1/x"], "a prefix ends at a slash");
    assert!(listed(sink, "b", Depth::All).await.is_empty(), "an object is no place");
}

async fn two_puts_at_once_have_one_winner(sink: &dyn Sink) {
    for _ in 0..8 {
        let place = key("race/x");
        let bodies = ["first", "second", "third"].map(|text| sink.put(&place, body::from_bytes(text)));
        let won = futures_util::future::join_all(bodies).await;
        let errors: Vec<Kind> = won.iter().filter_map(|put| put.as_ref().err().map(Error::kind)).collect();
        assert_eq!(errors, [Kind::AlreadyExists; 2], "{won:?}");
        sink.delete(&place).await.expect("deleted");
    }
}

/// How a [`Failing`] sink fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Before anything was done.
    Before,
    /// Halfway through the bytes of a put or a get; other calls before.
    Halfway,
    /// After all was done: the answer was lost. A get or a listing before.
    After,
}

/// A sink one of whose calls fails.
#[derive(Debug)]
pub struct Failing<S> {
    sink: S,
    left: AtomicUsize,
    how: Failure,
}

impl<S: Sink> Failing<S> {
    /// `sink`, whose call number `nth`, counted from 0, fails. Those after it do what they shall.
    pub fn new(sink: S, nth: usize, how: Failure) -> Self {
        Self { sink, left: AtomicUsize::new(nth + 1), how }
    }

    /// Whether the call that fails was not reached.
    pub fn was_spared(&self) -> bool {
        self.left.load(Ordering::SeqCst) > 0
    }

    fn now(&self) -> Option<Failure> {
        let left = self.left.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        (left == Ok(1)).then_some(self.how)
    }
}

fn failure() -> Error {
    Error::failed("the sink fails on purpose")
}

#[async_trait]
impl<S: Sink> Sink for Failing<S> {
    async fn put(&self, key: &Key, body: Body) -> Result<Put> {
        match self.now() {
            None => self.sink.put(key, body).await,
            Some(Failure::Before) => Err(failure()),
            Some(Failure::Halfway) => {
                let bytes = body::to_vec(body, u64::MAX).await?;
                let half = bytes.len() / 2;
                self.sink.put(key, breaking(bytes, half)).await
            }
            Some(Failure::After) => self.sink.put(key, body).await.and(Err(failure())),
        }
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Body> {
        match self.now() {
            None => self.sink.get(key, range).await,
            Some(Failure::Halfway) => {
                let bytes = body::to_vec(self.sink.get(key, range).await?, u64::MAX).await?;
                let half = bytes.len() / 2;
                Ok(breaking(bytes, half))
            }
            Some(_) => Err(failure()),
        }
    }

    fn list(&self, prefix: &Key, depth: Depth) -> BoxStream<'_, Result<Entry>> {
        if self.now().is_none() {
            return self.sink.list(prefix, depth);
        }
        let some = self.sink.list(prefix, depth).take(1);
        some.chain(futures_util::stream::once(async { Err(failure()) })).boxed()
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        match self.now() {
            None => self.sink.delete(key).await,
            Some(Failure::After) => self.sink.delete(key).await.and(Err(failure())),
            Some(_) => Err(failure()),
        }
    }

    async fn sweep(&self, prefix: &Key, age: Duration) -> Result<()> {
        self.sink.sweep(prefix, age).await
    }
}

/// A source of small parts that are known beforehand.
#[derive(Debug, Clone)]
pub struct FakeSource {
    /// Whose state it says it is.
    pub origin: Origin,
    /// The names of its parts and their bytes, in restore order.
    pub parts: Vec<(Name, bytes::Bytes)>,
    /// How many of them may be open at once: one more is an error.
    pub width: usize,
    /// Which of its calls fails, counted from 0: the snapshot, the reads, their bodies (each halfway), the close.
    pub fails: Option<usize>,
}

impl FakeSource {
    /// A source with so many parts, of sizes from nothing to a few buffers, with names as bad as they can be.
    pub fn with_parts(count: usize) -> Self {
        let part = |nth: usize| {
            let name = format!("part {nth}\n\"ä\"/../x").parse().expect("a name");
            let bytes: Vec<u8> = (0..nth * 37_000).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8 & 63).collect();
            (name, bytes.into())
        };
        let origin = Origin { kind: "fake".into(), identity: "1".into(), version: "1.0".into(), facts: Facts::new() };
        Self { origin, parts: (0..count).map(part).collect(), width: 2, fails: None }
    }
}

#[async_trait]
impl Source for FakeSource {
    async fn snapshot(&self, _: &Context, _: Option<&dyn Stored>) -> Result<Box<dyn Snapshot>> {
        let describe = |(name, bytes): &(Name, bytes::Bytes)| Part {
            name: name.clone(),
            extension: "sql",
            folder: None,
            estimate: Some(bytes.len() as u64),
        };
        let source = self.clone();
        let parts = self.parts.iter().map(describe).collect();
        let turns = Arc::new(Semaphore::new(self.width));
        let snapshot = FakeSnapshot { parts, source, calls: AtomicUsize::new(0), turns };
        snapshot.call()?;
        Ok(Box::new(snapshot))
    }
}

struct FakeSnapshot {
    source: FakeSource,
    parts: Vec<Part>,
    calls: AtomicUsize,
    turns: Arc<Semaphore>,
}

impl FakeSnapshot {
    fn call(&self) -> Result<()> {
        let nth = self.calls.fetch_add(1, Ordering::SeqCst);
        if self.source.fails == Some(nth) { Err(Error::failed("the source fails on purpose")) } else { Ok(()) }
    }
}

impl fmt::Debug for FakeSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeSnapshot")
    }
}

#[async_trait]
impl Snapshot for FakeSnapshot {
    fn origin(&self) -> &Origin {
        &self.source.origin
    }

    fn parts(&self) -> &[Part] {
        &self.parts
    }

    fn width(&self) -> usize {
        self.source.width
    }

    async fn read(&self, part: &Name) -> Result<Reading> {
        self.call()?;
        let turn = Arc::clone(&self.turns).try_acquire_owned();
        let turn = turn.map_err(|_| Error::failed(format!("more than {} parts are open at once", self.source.width)))?;
        let missing = || Error::new(Kind::NotFound, format!("there is no part {part}"));
        let (_, bytes) = self.source.parts.iter().find(|(name, _)| name == part).ok_or_else(missing)?;
        let facts = Arc::new(OnceLock::new());
        let set = facts.set(Facts::from_iter([("bytes".to_owned(), bytes.len().into())]));
        set.expect("nobody else sets the facts");
        let body = match self.call() {
            Ok(()) => body::from_bytes(bytes.clone()),
            Err(_) => breaking(bytes.clone(), bytes.len() / 2),
        };
        Ok(Reading { body: body::holding(turn, body), facts })
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.call()
    }
}
