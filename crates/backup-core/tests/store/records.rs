//! What is known of backups: whatever becomes of one, or of a record of it, the others are told and damage stays known.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::testing::FakeSource;
use backup_core::*;
use futures_util::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};

use crate::{job, plain, resealed, take_one};

/// A sink in which some objects cannot be read, nor some places listed: those that have one of these in their keys.
#[derive(Debug)]
struct Unreadable(Memory, Vec<String>);

impl Unreadable {
    fn check(&self, key: &Key) -> Result<()> {
        let is_bad = self.1.iter().any(|bad| key.as_str().contains(bad.as_str()));
        if is_bad { Err(Error::failed(format!("failed to read {key}: input/output error"))) } else { Ok(()) }
    }
}

#[async_trait]
impl Sink for Unreadable {
    async fn put(&self, key: &Key, body: Body) -> Result<Put> {
        self.0.put(key, body).await
    }
    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Body> {
        self.check(key)?;
        self.0.get(key, range).await
    }
    fn list(&self, prefix: &Key, depth: Depth) -> BoxStream<'_, Result<Entry>> {
        match self.check(prefix) {
            Ok(()) => self.0.list(prefix, depth),
            Err(error) => Box::pin(futures_util::stream::once(async { Err(error) })),
        }
    }
    async fn delete(&self, key: &Key) -> Result<()> {
        self.0.delete(key).await
    }
    async fn sweep(&self, prefix: &Key, age: Duration) -> Result<()> {
        self.0.sweep(prefix, age).await
    }
}

/// Two backups, and the job seen through a sink in which what begins with `file` of the second cannot be read.
async fn two_and_unreadable(file: &str) -> (Memory, [BackupId; 2], Plain) {
    let memory = Memory::default();
    let repo = plain(memory.clone());
    let first = take_one(&repo, &FakeSource::with_parts(2)).await.expect("taken").id;
    let second = take_one(&repo, &FakeSource::with_parts(2)).await.expect("taken").id;
    verify(&Context::default(), &repo, &job(), second, true).await.expect("verified");
    let repo = plain(Unreadable(memory.clone(), vec![format!("{second}{file}")]));
    (memory, [first, second], repo)
}

async fn all(repo: &Plain) -> Vec<Records> {
    repo.records(&job()).await.expect("records")
}

async fn prune_all_but_one(repo: &Plain) -> Result<Vec<Verdict>> {
    let keep = Keep { last: 1, after_failure: true, ..Keep::default() };
    prune(&Context::default(), repo, &job(), &keep, Timestamp::now(), &jiff::tz::TimeZone::UTC, false).await
}

#[tokio::test]
async fn one_that_cannot_be_read_is_told_and_in_nobodys_way() {
    for file in ["", "/manifest.json", "/verified-"] {
        let (memory, [first, second], repo) = two_and_unreadable(file).await;
        let records = all(&repo).await;
        assert_eq!(records.iter().map(|records| records.id).collect::<Vec<_>>(), [first, second], "{file:?}");
        assert!(records[0].is_sound() && !records[1].is_sound(), "{file:?}");
        assert_eq!((records[1].state, records[1].unreadable, records[1].verified), (State::Listed, true, None), "{file:?}");
        assert!(records[1].why.as_ref().is_some_and(|why| why.contains("input/output error")), "{file:?}");
        verify(&Context::default(), &repo, &job(), first, true).await.expect("the other one is well");
        repo.record(&job(), first, &Record::Pinned { at: Timestamp::now(), why: None }).await.expect("pinned");
        let before = memory.objects().len();
        let error = prune_all_but_one(&repo).await.expect_err("it refuses");
        assert!(error.to_string().starts_with(&format!("backup {second} of pg-app cannot be read")), "{error:?}");
        assert_eq!(memory.objects().len(), before, "something was deleted");
        take_one(&repo, &FakeSource::with_parts(1)).await.expect("the next backup is taken");
    }
}

#[tokio::test]
async fn an_attempt_that_cannot_be_read_is_no_backup() {
    let memory = Memory::default();
    let repo = plain(memory.clone());
    let first = take_one(&repo, &FakeSource::with_parts(1)).await.expect("taken").id;
    let attempt = repo.begin(&Context::default(), &job()).await.expect("begun");
    let repo = plain(Unreadable(memory, vec![format!("{}/attempt.json", attempt.id())]));
    let records = all(&repo).await;
    assert_eq!((records[1].state, records[1].unreadable), (State::Failed, true));
    assert_eq!(which(&repo, &job(), &Which::Latest).await.expect("found"), first);
    prune_all_but_one(&repo).await.expect_err("it refuses");
}

#[tokio::test]
async fn a_newer_format_is_told_and_in_nobodys_way() {
    let memory = Memory::default();
    let repo = plain(memory.clone());
    let first = take_one(&repo, &FakeSource::with_parts(1)).await.expect("taken").id;
    let second = take_one(&repo, &FakeSource::with_parts(1)).await.expect("taken");
    let key = format!("pg-app/{}/manifest.json", second.id).parse().expect("a key");
    let text = String::from_utf8(second.to_bytes().expect("bytes")).expect("text");
    memory.tamper(&key, Some(resealed(&text.replace("\"format\": 1", "\"format\": 2"))));
    let records = all(&repo).await;
    assert!(records[0].is_sound() && records[1].unreadable && !records[1].damaged);
    assert!(records[1].why.as_ref().is_some_and(|why| why.contains("has format 2")), "{records:?}");
    verify(&Context::default(), &repo, &job(), first, true).await.expect("the other one is well");
    prune_all_but_one(&repo).await.expect_err("it refuses");
}

#[tokio::test]
async fn a_whole_id_is_found_without_a_look_at_the_others() {
    let repo = plain(Unreadable(Memory::default(), vec!["pg-app".into()]));
    let find = async |text: &str| which(&repo, &job(), &text.parse().expect("a name for a backup")).await;
    assert_eq!(find("20261120T101500Z").await.expect("it is what it says").to_string(), "20261120T101500Z");
    find("20261120").await.expect_err("the job cannot be listed");
}

#[tokio::test]
async fn a_whole_id_that_is_no_backup_is_told_as_what_it_is() {
    let repo = plain(Memory::default());
    let draft = repo.begin(&Context::default(), &job()).await.expect("begun");
    let id = draft.id();
    let told = async || repo.open(&job(), id).await.map(drop).expect_err("it is no backup").to_string();
    assert_eq!(told().await, format!("backup {id} of pg-app is still being taken"));
    draft.abort(&Error::failed("no space left")).await;
    assert_eq!(told().await, format!("there is no backup {id} of pg-app, its attempt failed: no space left"));
    repo.delete(&job(), id).await.expect("deleted");
    assert_eq!(told().await, format!("there is no backup {id} of pg-app"));
    let error = repo.unpin(&job(), id).await.expect_err("it is no backup");
    assert_eq!((error.kind(), error.hint()), (Kind::NotFound, Some("list shows what there is")));
}

#[tokio::test]
async fn another_source_is_refused_whatever_cannot_be_read() {
    let other = {
        let mut source = FakeSource::with_parts(1);
        source.origin.identity = "2".into();
        source
    };
    let (memory, [first, second], repo) = two_and_unreadable("/manifest.json").await;
    let error = take_one(&repo, &other).await.expect_err("the older one says whose the job is");
    assert_eq!(error.kind(), Kind::Usage, "{error:?}");
    // Where none can be read, or all are damaged, no source is taken in silence.
    let manifests = [first, second].map(|id| format!("{id}/manifest.json"));
    let repo = plain(Unreadable(memory.clone(), manifests.to_vec()));
    for source in [&other, &FakeSource::with_parts(1)] {
        let error = take_one(&repo, source).await.expect_err("it cannot be told");
        assert!(error.hint().is_some_and(|hint| hint.contains("new source")), "{error:?}");
    }
    for end in manifests {
        memory.tamper(&format!("pg-app/{end}").parse().expect("a key"), Some(b"{}".to_vec()));
    }
    let repo = plain(memory);
    let error = take_one(&repo, &other).await.expect_err("it cannot be told");
    assert!(error.chain().contains("whose they are is not known"), "{error:?}");
    let options = Options { new_source: true };
    backup(&Context::default(), &repo, &job(), async { Ok([&other]) }, options).await.expect("it was said that it is new");
}

fn found_damaged(at: Timestamp) -> Record {
    Record::Damaged { at, what: "parts/00000.sql.zst is missing".into() }
}

#[tokio::test]
async fn damage_stays_known_when_the_record_of_it_rots() {
    for (rot, told) in [(None, "parts/00000.sql.zst"), (Some("{\"record\":\"damag"), "the record of that cannot be read")] {
        let memory = Memory::default();
        let repo = plain(memory.clone());
        let id = take_one(&repo, &FakeSource::with_parts(1)).await.expect("taken").id;
        verify(&Context::default(), &repo, &job(), id, true).await.expect("verified");
        repo.record(&job(), id, &found_damaged(Timestamp::now())).await.expect("recorded");
        for (key, _) in memory.objects().iter().filter(|(key, _)| key.file_name().starts_with("damaged-")) {
            if let Some(rot) = rot {
                memory.tamper(key, Some(rot.as_bytes().to_vec()));
            }
        }
        let records = all(&repo).await.remove(0);
        assert_eq!((records.damaged, records.verified, records.unreadable), (true, None, false));
        assert!(records.why.is_some_and(|why| why.contains(told)));
    }
}

#[tokio::test]
async fn what_was_found_later_counts_whatever_the_clock_says() {
    let repo = plain(Memory::default());
    let id = take_one(&repo, &FakeSource::with_parts(1)).await.expect("taken").id;
    let now = Timestamp::now();
    let good = |at| Record::Verified { at, bytes: 1, unsealed: true };
    let proof = |at| Record::Proven { at, checked: Checked { whole: true, ..Checked::default() } };
    for ahead in [SignedDuration::from_hours(24), SignedDuration::ZERO, SignedDuration::from_hours(-24)] {
        for (record, is_good, is_proven) in [
            (good(now + ahead), true, false),
            (proof(now + ahead), true, true),
            (found_damaged(now), false, false),
            // What was proven before the damage must be proven again.
            (good(now + ahead), true, false),
            (found_damaged(now), false, false),
        ] {
            repo.record(&job(), id, &record).await.expect("recorded");
            let Records { damaged, verified, proven, .. } = all(&repo).await.remove(0);
            let told = (damaged, verified.is_some(), proven.is_some());
            assert_eq!(told, (!is_good, is_good, is_proven), "{ahead}: {record:?}");
        }
    }
}

#[tokio::test]
async fn of_two_records_of_the_same_second_the_bad_one_counts() {
    let memory = Memory::default();
    let repo = plain(memory.clone());
    let id = take_one(&repo, &FakeSource::with_parts(1)).await.expect("taken").id;
    verify(&Context::default(), &repo, &job(), id, true).await.expect("verified");
    let (verified, bytes) =
        memory.objects().into_iter().find(|(key, _)| key.file_name().starts_with("verified-")).expect("a record");
    // As another machine would, that looked before this one had put its own.
    let damaged = verified.as_str().replace("verified-", "damaged-").parse().expect("a key");
    memory.tamper(&damaged, Some(bytes.to_vec()));
    let records = all(&repo).await.remove(0);
    assert_eq!((records.damaged, records.verified), (true, None));
}
