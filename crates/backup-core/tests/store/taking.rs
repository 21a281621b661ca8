//! Backups are taken whole or not at all.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::testing::{Failing, Failure, FakeSource, body_contract};
use backup_core::*;
use futures_util::stream::BoxStream;
use tokio::sync::Barrier;

use crate::{job, listed_and_whole, plain, state_of_newest, take_one};

fn part(name: &str) -> Part {
    Part { name: name.parse().expect("a name"), extension: "sql", folder: None, estimate: None }
}

#[tokio::test]
async fn what_was_taken_reads_back_byte_by_byte() {
    let source = FakeSource::with_parts(7);
    let recorder = Arc::new(Recorder::default());
    let cx = Context::new(recorder.clone());
    let repo = plain(Memory::default());
    let manifest = backup(&cx, &repo, &job(), async { Ok([&source]) }, Options::default()).await.expect("taken");
    let stored = repo.open(&job(), manifest.id).await.expect("opened");
    assert_eq!(*stored.manifest(), manifest);
    assert!(manifest.parts.iter().map(|part| &part.name).eq(source.parts.iter().map(|(name, _)| name)));
    for ((name, bytes), part) in source.parts.iter().zip(&manifest.parts) {
        assert!(body_contract(stored.read(name).await.expect("opened")).await.expect("read") == *bytes);
        assert_eq!((part.size, part.sha256), (bytes.len() as u64, Sha256::of(bytes)));
        assert_eq!(part.facts["bytes"], bytes.len());
    }
    let story = recorder.story();
    assert_eq!(story.len(), 1 + 7 + 7 + 1, "{story:#?}");
    assert!(story[0].starts_with("Begun { what: \"backup\", parts: 7") && story[15].starts_with("Committed"), "{story:#?}");
    cx.tasks.close();
    cx.tasks.wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_at_any_call_lists_nothing_that_is_not_whole() {
    let source = FakeSource::with_parts(3);
    for how in [Failure::Before, Failure::Halfway, Failure::After] {
        for nth in 0.. {
            assert!(nth < 100, "it never succeeds");
            let memory = Memory::default();
            let sink = Arc::new(Failing::new(memory.clone(), nth, how));
            let taken = take_one(&Plain::new(sink.clone(), "test"), &source).await;
            let healthy = plain(memory);
            let listed = listed_and_whole(&healthy).await;
            match &taken {
                Ok(_) => assert_eq!(listed, 1),
                // An answer that was lost on the way is the one case in which it is there after an error.
                Err(error) => assert!(listed == 0 || how == Failure::After, "{how:?} {nth}: {error:?}"),
            }
            take_one(&healthy, &source).await.expect("the next one succeeds");
            assert_eq!(listed_and_whole(&healthy).await, listed + 1);
            if sink.was_spared() {
                taken.expect("nothing failed");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_source_that_fails_at_any_call_makes_a_failed_attempt() {
    for nth in 0.. {
        let source = FakeSource { fails: Some(nth), ..FakeSource::with_parts(3) };
        let memory = Memory::default();
        let repo = plain(memory.clone());
        let taken = take_one(&repo, &source).await;
        if nth == 8 {
            taken.expect("all calls succeeded");
            break;
        }
        assert_eq!(taken.expect_err("the source failed").kind(), Kind::Failed);
        assert_eq!(listed_and_whole(&repo).await, 0);
        let (state, why) = state_of_newest(&repo).await;
        assert_eq!(state, State::Failed);
        assert!(why.expect("why").contains("on purpose"));
        assert!(memory.objects().iter().all(|(key, _)| key.as_str().ends_with(".json")), "its files were not freed");
    }
}

#[tokio::test]
async fn sources_that_cannot_be_asked_for_make_a_failed_attempt() {
    let (cx, repo, job) = (Context::default(), plain(Memory::default()), job());
    let taken = async |error: Error| {
        let sources = async { Err::<[&FakeSource; 0], _>(error) };
        backup(&cx, &repo, &job, sources, Options::default()).await.expect_err("there are none")
    };
    let error = taken(Error::failed("nobody answers")).await;
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Failed, "nobody answers"));
    assert_eq!(state_of_newest(&repo).await, (State::Failed, Some("nobody answers".into())));
    taken(Error::usage("cannot be meant")).await;
    assert_eq!(repo.records(&job).await.expect("records").len(), 1, "what cannot be meant is no attempt");
}

/// Drops a backup after ever more steps: after each one if `stride` is 0, else fewer the further it gets.
async fn dropped_after_any_step(repo: impl Fn() -> Plain, stride: usize) {
    let source = FakeSource::with_parts(3);
    let sources: [&dyn Source; 1] = [&source];
    let mut steps = 0;
    loop {
        let (repo, cx, job) = (repo(), Context::default(), job());
        let done = {
            let mut taking = Box::pin(backup(&cx, &repo, &job, async { Ok(sources) }, Options::default()));
            let mut done = false;
            for _ in 0..steps {
                done = futures_util::poll!(&mut taking).is_ready();
                if done {
                    break;
                }
                tokio::task::yield_now().await;
            }
            done
        };
        // What was begun on other tasks may still be on its way; whatever is listed now or then is whole.
        let now = listed_and_whole(&repo).await;
        cx.tasks.close();
        cx.tasks.wait().await;
        let then = listed_and_whole(&repo).await;
        assert!(now <= then && (then == 1 || !done), "after {steps} steps: {now}, {then}, {done}");
        if done {
            break;
        }
        steps += 1 + steps * stride / 4;
    }
}

#[tokio::test]
async fn a_backup_that_is_dropped_at_any_step_is_whole_or_none() {
    dropped_after_any_step(|| plain(Memory::default()), 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_into_a_directory_that_is_dropped_at_any_step_is_whole_or_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let nth = std::sync::atomic::AtomicUsize::new(0);
    let next = || folder.path().join(nth.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string());
    dropped_after_any_step(|| plain(Directory::new(next())), 1).await;
}

#[tokio::test]
async fn a_dropped_draft_never_was() {
    let repo = Plain { lease: Duration::ZERO, ..plain(Memory::default()) };
    let cx = Context::default();
    let draft = repo.begin(&cx, &job()).await.expect("begun");
    draft.put(0, &part("a"), body::from_bytes("x"), &OnceLock::new()).await.expect("stored");
    drop(draft);
    cx.tasks.close();
    cx.tasks.wait().await;
    assert_eq!(state_of_newest(&repo).await.0, State::Failed);
    assert_eq!(listed_and_whole(&repo).await, 0);
}

#[tokio::test]
async fn an_attempt_that_runs_is_not_deleted_and_one_that_failed_is() {
    let repo = plain(Memory::default());
    let draft = repo.begin(&Context::default(), &job()).await.expect("begun");
    let id = draft.id();
    assert_eq!(state_of_newest(&repo).await.0, State::Running);
    assert_eq!(repo.delete(&job(), id).await.expect_err("it runs").kind(), Kind::Busy);
    draft.abort(&Error::failed("no more\nof this")).await;
    assert_eq!(state_of_newest(&repo).await, (State::Failed, Some("no more of this".into())));
    repo.delete(&job(), id).await.expect("deleted");
    assert!(repo.records(&job()).await.expect("records").is_empty());
    assert_eq!(repo.delete(&job(), id).await.expect_err("it is gone").kind(), Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_while_the_draft_lives_and_not_after() {
    let memory = Memory::default();
    let leases = || memory.objects().iter().filter(|(key, _)| key.file_name().starts_with("lease-")).count();
    let draft = plain(memory.clone()).begin(&Context::default(), &job()).await.expect("begun");
    tokio::time::sleep(Duration::from_secs(61 * 60)).await;
    assert_eq!(leases(), 3);
    drop(draft);
    tokio::time::sleep(Duration::from_secs(61 * 60)).await;
    assert_eq!(leases(), 3);
}

#[tokio::test]
async fn a_draft_that_was_swept_is_not_published() {
    let repo = Plain { lease: Duration::ZERO, ..plain(Memory::default()) };
    let draft = repo.begin(&Context::default(), &job()).await.expect("begun");
    draft.put(0, &part("a"), body::from_bytes("x"), &OnceLock::new()).await.expect("stored");
    let id = draft.id();
    repo.delete(&job(), id).await.expect("its lease has run out");
    let error = draft.commit(FakeSource::with_parts(0).origin).await.expect_err("it was swept");
    assert!(error.chain().contains("swept"), "{error:?}");
    assert_eq!(listed_and_whole(&repo).await, 0);
}

/// A sink that does not open attempts, so many times.
#[derive(Debug)]
struct Forgetful(Memory, std::sync::atomic::AtomicU32);

#[async_trait::async_trait]
impl Sink for Forgetful {
    async fn put(&self, key: &Key, body: Body) -> Result<Put> {
        self.0.put(key, body).await
    }
    async fn get(&self, key: &Key, range: Option<std::ops::Range<u64>>) -> Result<Body> {
        use std::sync::atomic::Ordering::SeqCst;
        let fails = key.file_name() == "attempt.json" && self.1.try_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        if fails { Err(Error::failed("the line is down")) } else { self.0.get(key, range).await }
    }
    fn list(&self, prefix: &Key, depth: Depth) -> BoxStream<'_, Result<Entry>> {
        self.0.list(prefix, depth)
    }
    async fn delete(&self, key: &Key) -> Result<()> {
        self.0.delete(key).await
    }
}

#[tokio::test(start_paused = true)]
async fn whether_it_was_swept_is_asked_until_it_is_known() {
    let memory = Memory::default();
    let repo = |fails| plain(Forgetful(memory.clone(), std::sync::atomic::AtomicU32::new(fails)));
    take_one(&repo(3), &FakeSource::with_parts(1)).await.expect("the fourth answer counts");
    let error = take_one(&repo(u32::MAX), &FakeSource::with_parts(1)).await.expect_err("nobody can say that it is whole");
    assert!(error.chain().contains("failed to see whether its files were swept meanwhile: the line is down"), "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("may be there")), "{error:?}");
    assert_eq!(listed_and_whole(&plain(memory.clone())).await, 2);

    // Swept, and the line down for a while: no backup either.
    let repo = Plain { lease: Duration::ZERO, ..repo(2) };
    let draft = repo.begin(&Context::default(), &job()).await.expect("begun");
    plain(memory.clone()).delete(&job(), draft.id()).await.expect("its lease has run out");
    draft.commit(FakeSource::with_parts(0).origin).await.expect_err("it was swept");
    assert_eq!(listed_and_whole(&plain(memory)).await, 2);
}

#[tokio::test]
async fn a_manifest_whose_answer_was_lost_is_taken_back_if_the_attempt_was_swept() {
    let memory = Memory::default();
    // The attempt, the part, the sums, and the manifest.
    let sink = Failing::new(memory.clone(), 4, Failure::After);
    let repo = Plain { lease: Duration::ZERO, ..plain(sink) };
    let draft = repo.begin(&Context::default(), &job()).await.expect("begun");
    draft.put(0, &part("a"), body::from_bytes("x"), &OnceLock::new()).await.expect("stored");
    plain(memory.clone()).delete(&job(), draft.id()).await.expect("its lease has run out");
    let error = draft.commit(FakeSource::with_parts(0).origin).await.expect_err("it was swept");
    assert!(error.chain().contains("swept"), "{error:?}");
    assert_eq!(listed_and_whole(&plain(memory)).await, 0);
}

#[tokio::test]
async fn ids_go_forward_when_the_clock_goes_back() {
    let memory = Memory::default();
    let ahead: Key = "pg-app/29991231T235959Z/attempt.json".parse().expect("a key");
    memory.put(&ahead, body::from_bytes("{}")).await.expect("stored");
    let repo = plain(memory.clone());
    let taken = take_one(&repo, &FakeSource::with_parts(1)).await.expect("taken");
    assert_eq!(taken.id.to_string(), "30000101T000000Z");
    assert_eq!(take_one(&repo, &FakeSource::with_parts(1)).await.expect("taken").id.to_string(), "30000101T000001Z");
    assert_eq!(listed_and_whole(&repo).await, 2);
    let last: Key = "pg-app/99991230T220000Z/attempt.json".parse().expect("a key");
    memory.put(&last, body::from_bytes("{}")).await.expect("stored");
    let error = take_one(&repo, &FakeSource::with_parts(1)).await.expect_err("there is no time after the last");
    assert_eq!((error.kind(), error.hint().is_some()), (Kind::Failed, true));
}

#[tokio::test]
async fn two_that_begin_at_once_have_two_ids() {
    let (repo, cx, job) = (plain(Memory::default()), Context::default(), job());
    let begun = futures_util::future::join_all((0..8).map(|_| repo.begin(&cx, &job))).await;
    let ids: std::collections::BTreeSet<BackupId> = begun.iter().map(|draft| draft.as_ref().expect("begun").id()).collect();
    assert_eq!(ids.len(), 8);
}

#[tokio::test]
async fn another_cluster_is_refused_before_anything_is_read() {
    let repo = plain(Memory::default());
    take_one(&repo, &FakeSource::with_parts(2)).await.expect("taken");
    let mut other = FakeSource { fails: Some(1), ..FakeSource::with_parts(2) };
    other.origin.identity = "2".into();
    let error = take_one(&repo, &other).await.expect_err("another cluster");
    assert_eq!((error.kind(), error.hint().is_some()), (Kind::Usage, true), "{error:?}");
    assert_eq!(repo.records(&job()).await.expect("records").len(), 1, "what cannot be meant is no attempt");
    other.fails = None;
    let options = Options { new_source: true };
    backup(&Context::default(), &repo, &job(), async { Ok([&other]) }, options).await.expect("it was said that it is new");
    take_one(&repo, &other).await.expect("and now it is the one");
    assert_eq!(listed_and_whole(&repo).await, 3);
}

#[tokio::test]
async fn a_cancelled_backup_is_none() {
    let repo = plain(Memory::default());
    let cx = Context::default();
    let draft = repo.begin(&cx, &job()).await.expect("begun");
    cx.cancel.cancel();
    let snapshot = FakeSource::with_parts(2).snapshot(&cx, None).await.expect("a snapshot");
    let error = take(&cx, &*draft, 0, &*snapshot).await.expect_err("cancelled");
    assert_eq!(error.kind(), Kind::Cancelled);
    draft.abort(&error).await;
    assert_eq!(state_of_newest(&repo).await, (State::Failed, Some("interrupted".into())));
}

#[tokio::test]
async fn several_sources_make_one_backup_in_the_order_of_restore() {
    let repo = plain(Memory::default());
    let source = |name: &str, parts: std::ops::Range<usize>| {
        let mut source = FakeSource::with_parts(parts.end);
        source.parts.drain(..parts.start);
        source.origin.identity = name.to_owned();
        source
    };
    let sources = [source("globals", 0..1), source("shop", 1..3), source("old", 3..5)];
    let manifest = backup(&Context::default(), &repo, &job(), async { Ok(&sources) }, Options::default()).await.expect("taken");
    let files: Vec<&str> = manifest.files.iter().map(|file| file.key.as_str()).collect();
    assert_eq!(files, [0, 1, 2, 3, 4].map(|nth| format!("parts/{nth:05}.sql.zst")));
    let begins = |(nth, part): (usize, &manifest::StoredPart)| part.name.as_str().starts_with(&format!("part {nth}"));
    assert!(manifest.parts.iter().enumerate().all(begins), "{:?}", manifest.parts);
    assert_eq!(manifest.origin.identity, "globals", "the first source says whose state it is");
}

/// A sink that has read all bytes of a part, and a source that is asked for its instant: whoever comes waits for the others.
#[derive(Debug)]
struct Meeting<T>(T, Arc<Barrier>);

#[async_trait]
impl Sink for Meeting<Memory> {
    async fn put(&self, key: &Key, body: Body) -> Result<Put> {
        let bytes = body::to_vec(body, u64::MAX).await?;
        if key.as_str().contains("/parts/") {
            self.1.wait().await;
        }
        self.0.put(key, body::from_bytes(bytes)).await
    }

    async fn get(&self, key: &Key, range: Option<std::ops::Range<u64>>) -> Result<Body> {
        self.0.get(key, range).await
    }

    fn list(&self, prefix: &Key, depth: Depth) -> BoxStream<'_, Result<Entry>> {
        self.0.list(prefix, depth)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.0.delete(key).await
    }
}

#[async_trait]
impl Source for Meeting<FakeSource> {
    async fn snapshot(&self, cx: &Context, base: Option<&dyn Stored>) -> Result<Box<dyn Snapshot>> {
        self.1.wait().await;
        self.0.snapshot(cx, base).await
    }
}

/// Takes a backup, or fails if those who wait for each other would do so for ever.
async fn taken<const N: usize>(sink: Meeting<Memory>, sources: [&dyn Source; N]) -> Manifest {
    let (repo, cx, job) = (plain(sink), Context::default(), job());
    let taking = backup(&cx, &repo, &job, async { Ok(sources) }, Options::default());
    tokio::time::timeout(Duration::from_secs(3600), taking).await.expect("they never meet").expect("taken")
}

#[tokio::test(start_paused = true)]
async fn a_part_that_was_read_makes_room_for_the_next_while_it_is_stored() {
    let source = FakeSource { width: 1, ..FakeSource::with_parts(3) };
    let manifest = taken(Meeting(Memory::default(), Arc::new(Barrier::new(3))), [&source]).await;
    assert_eq!(manifest.parts.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_source_is_asked_for_its_instant_while_the_one_before_it_is_taken() {
    let meet = Arc::new(Barrier::new(2));
    let (first, second) = (FakeSource::with_parts(1), Meeting(FakeSource::with_parts(0), meet.clone()));
    assert_eq!(taken(Meeting(Memory::default(), meet), [&first, &second]).await.parts.len(), 1);
}

#[tokio::test]
async fn a_name_or_a_place_that_is_taken_twice_fails_the_backup() {
    let repo = plain(Memory::default());
    let draft = repo.begin(&Context::default(), &job()).await.expect("begun");
    let put = async |order, name| draft.put(order, &part(name), body::from_bytes("x"), &OnceLock::new()).await;
    put(0, "a").await.expect("stored");
    put(1, "a").await.expect_err("the name is taken");
    put(0, "b").await.expect_err("the place is taken");
}

#[tokio::test]
async fn a_job_that_cannot_be_a_folder_is_a_usage_error() {
    for bad in ["../x", "a/b", ".hidden", "ä", "a b"] {
        let job = bad.parse().expect("a name");
        let repo = plain(Memory::default());
        assert_eq!(repo.begin(&Context::default(), &job).await.expect_err(bad).kind(), Kind::Usage);
        assert_eq!(repo.records(&job).await.expect_err(bad).kind(), Kind::Usage);
    }
}

#[test]
fn every_operation_can_run_on_any_thread() {
    fn sends<T: Send>(_: T) {}
    let (cx, repo, source) = (Context::default(), plain(Memory::default()), FakeSource::with_parts(0));
    sends(backup(&cx, &repo, &job(), async { Ok([&source]) }, Options::default()));
    sends(verify(&cx, &repo, &job(), BackupId::at(jiff::Timestamp::UNIX_EPOCH), true));
}
