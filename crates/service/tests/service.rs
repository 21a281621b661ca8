//! A service over days, with a clock that is moved: what runs, what is caught up, and what is told.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::{Context, Error, Kind, Name, Result};
use backup_service::testing::{MovedClock, Remembered};
use backup_service::{Clock, Desk, Job, Outcome, Schedule, Service, Status, Why, Work};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Work that does what it is told, one instruction a run; without one it succeeds.
#[derive(Debug, Default)]
struct Told {
    next: Mutex<VecDeque<Result<Outcome>>>,
    whys: Mutex<Vec<Why>>,
    /// Each run waits for one of these, if there is such a gate.
    gate: Option<Semaphore>,
    under_way: Mutex<(usize, usize)>,
    is_proof: bool,
}

#[async_trait]
impl Work for Told {
    async fn run(&self, cx: &Context, why: Why) -> Result<Outcome> {
        self.whys.lock().expect("whys").push(why);
        {
            let mut under_way = self.under_way.lock().expect("count");
            under_way.0 += 1;
            under_way.1 = under_way.1.max(under_way.0);
        }
        if let Some(gate) = &self.gate {
            let waiting = async {
                gate.acquire().await.expect("open").forget();
                Ok(())
            };
            let waited = cx.unless_cancelled(waiting).await;
            self.under_way.lock().expect("count").0 -= 1;
            waited?;
        } else {
            self.under_way.lock().expect("count").0 -= 1;
        }
        let next = self.next.lock().expect("next").pop_front();
        next.unwrap_or_else(|| Ok(Outcome::Done { line: "done".into(), bytes: Some(17) }))
    }

    fn is_proof(&self) -> bool {
        self.is_proof
    }
}

struct Bench {
    clock: Arc<MovedClock>,
    told: Arc<Remembered>,
    folder: tempfile::TempDir,
    running: Option<(Context, Desk, JoinHandle<Result<()>>)>,
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn daily(work: &Arc<Told>) -> Job {
    Job {
        name: name("shop"),
        schedule: Schedule::cron("0 1 * * *", TimeZone::UTC).expect("cron"),
        at_start: false,
        jitter: SignedDuration::ZERO,
        late: SignedDuration::from_hours(1),
        retries: 0,
        work: work.clone(),
    }
}

impl Bench {
    fn at(now: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { clock: Arc::new(MovedClock::at(at(now))), told: Arc::default(), folder, running: None }
    }

    fn state(&self) -> &Path {
        self.folder.path()
    }

    async fn start(&mut self, jobs: Vec<Job>, at_once: usize) {
        let service = Service::new(jobs, self.state(), at_once).expect("a service");
        let service = service.with_clock(self.clock.clone()).with_listener(self.told.clone());
        let (cx, desk) = (Context::default(), service.desk());
        let running = tokio::spawn({
            let cx = cx.clone();
            async move { service.run(&cx).await }
        });
        self.running = Some((cx, desk, running));
        // It goes by the time at which it has started.
        self.pass().await;
    }

    /// Lets everything happen that can without the clock being moved.
    async fn pass(&self) {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }

    /// The same, and what was told meanwhile.
    async fn settle(&self) -> Vec<String> {
        self.pass().await;
        self.told.take()
    }

    async fn at_time(&self, now: &str) -> Vec<String> {
        self.clock.set(at(now));
        self.settle().await
    }

    fn desk(&self) -> &Desk {
        &self.running.as_ref().expect("it runs").1
    }

    fn status(&self) -> Status {
        self.desk().status(&name("shop")).expect("readable")
    }

    /// Ends it as a signal does.
    async fn stop(&mut self) {
        let (cx, _, running) = self.running.take().expect("it runs");
        cx.cancel.cancel();
        running.await.expect("no panic").expect("it ends well");
    }

    /// Ends it as SIGKILL does: nothing more is kept or told.
    async fn kill(&mut self) {
        let (_, _, running) = self.running.take().expect("it runs");
        running.abort();
        assert!(running.await.expect_err("cut").is_cancelled());
    }
}

fn done() -> [&'static str; 2] {
    ["shop: begun", "shop: done in 0s"]
}

/// Without how long it took, which is real time.
fn timeless(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().map(|line| line.split_once(" in ").map_or(line.clone(), |(line, _)| format!("{line} in 0s"))).collect()
}

#[tokio::test]
async fn it_runs_when_it_is_due_and_not_before() {
    let work = Arc::new(Told::default());
    let mut bench = Bench::at("2026-11-01T12:00:00Z");
    bench.start(vec![daily(&work)], 1).await;
    assert_eq!(bench.settle().await, [""; 0]);
    assert_eq!(bench.at_time("2026-11-02T00:59:59Z").await, [""; 0]);
    assert_eq!(timeless(bench.at_time("2026-11-02T01:00:00Z").await), done());
    assert_eq!(bench.at_time("2026-11-02T23:00:00Z").await, [""; 0]);
    assert_eq!(timeless(bench.at_time("2026-11-03T01:00:10Z").await), done());
    assert_eq!(work.whys.lock().expect("whys")[1], Why::Due(at("2026-11-03T01:00:00Z")));
    let status = bench.status();
    assert_eq!((status.succeeded, status.bytes, status.failures), (Some(at("2026-11-03T01:00:10Z")), Some(17), 0));
    bench.stop().await;
}

#[tokio::test]
async fn days_that_were_slept_through_are_told_and_caught_up_once() {
    let work = Arc::new(Told::default());
    let mut bench = Bench::at("2026-11-01T12:00:00Z");
    bench.start(vec![daily(&work)], 1).await;
    bench.at_time("2026-11-02T01:00:00Z").await;
    let missed = "shop: 3 runs that were due since 2026-11-03T01:00:00Z did not happen";
    let lines = timeless(bench.at_time("2026-11-05T09:00:00Z").await);
    assert_eq!(lines, [missed, done()[0], done()[1]]);
    // Late, but not by so much that it counts as missed.
    assert_eq!(timeless(bench.at_time("2026-11-06T01:30:00Z").await), done());
    assert_eq!(bench.status().missed, 3);
    bench.stop().await;
}

#[tokio::test]
async fn what_was_missed_while_there_was_no_service_is_told_by_the_next_one() {
    let work = Arc::new(Told::default());
    let mut bench = Bench::at("2026-11-01T12:00:00Z");
    bench.start(vec![daily(&work)], 1).await;
    bench.at_time("2026-11-02T01:00:00Z").await;
    bench.kill().await;
    bench.clock.set(at("2026-11-03T12:00:00Z"));
    bench.start(vec![daily(&work)], 1).await;
    let missed = "shop: the run that was due at 2026-11-03T01:00:00Z did not happen";
    assert_eq!(timeless(bench.settle().await), [missed, done()[0], done()[1]]);
    bench.stop().await;
    bench.start(vec![daily(&work)], 1).await;
    assert_eq!(bench.settle().await, [""; 0], "it was caught up");
    bench.stop().await;
}

#[tokio::test]
async fn a_run_that_was_killed_has_failed_and_is_told_by_the_next_service() {
    let work = Arc::new(Told { gate: Some(Semaphore::new(0)), ..Told::default() });
    let mut bench = Bench::at("2026-11-01T12:00:00Z");
    bench.start(vec![Job { retries: 1, ..daily(&work) }], 1).await;
    assert_eq!(bench.at_time("2026-11-02T01:00:00Z").await, ["shop: begun"]);
    bench.kill().await;
    work.gate.as_ref().expect("a gate").add_permits(1);
    bench.clock.set(at("2026-11-02T01:02:00Z"));
    bench.start(vec![Job { retries: 1, ..daily(&work) }], 1).await;
    assert_eq!(bench.settle().await, ["shop: failed: the run that began at 2026-11-02T01:00:00Z was cut off"]);
    let recovered = timeless(bench.at_time("2026-11-02T01:07:00Z").await);
    assert_eq!(recovered[0], "shop: begun");
    assert!(recovered[1].starts_with("shop: done"), "{recovered:?}");
    bench.stop().await;
}

#[tokio::test]
async fn a_failure_is_tried_again_so_often_and_then_waits_for_its_time() {
    let work = Arc::new(Told::default());
    let failed = |_| Err(Error::failed("no server").with_hint("start it"));
    work.next.lock().expect("next").extend((0..4).map(failed));
    let mut bench = Bench::at("2026-11-01T12:00:00Z");
    bench.start(vec![Job { retries: 2, ..daily(&work) }], 1).await;
    assert_eq!(bench.at_time("2026-11-02T01:00:00Z").await, ["shop: begun", "shop: failed: no server"]);
    assert_eq!(bench.at_time("2026-11-02T01:04:59Z").await, [""; 0]);
    let again = ["shop: begun", "shop: failed, 2 times in a row: no server"];
    assert_eq!(bench.at_time("2026-11-02T01:05:00Z").await, again);
    assert_eq!(bench.at_time("2026-11-02T01:14:59Z").await, [""; 0], "twice as long as the first time");
    assert_eq!(bench.at_time("2026-11-02T01:15:00Z").await[1], "shop: failed, 3 times in a row: no server");
    assert_eq!(bench.at_time("2026-11-02T23:00:00Z").await, [""; 0]);
    assert_eq!(bench.at_time("2026-11-03T01:00:00Z").await[1], "shop: failed, 4 times in a row: no server");
    assert_eq!(bench.status().error.as_deref(), Some("no server"));
    let recovered = bench.at_time("2026-11-04T01:00:00Z").await;
    assert!(recovered[1].ends_with(", after 4 failed"), "{recovered:?}");
    assert_eq!(bench.status().error, None);
    bench.stop().await;
}

#[tokio::test]
async fn a_run_is_put_off_by_chance_and_by_no_more_than_it_may() {
    let work = Arc::new(Told::default());
    let most = SignedDuration::from_mins(10);
    let mut bench = Bench::at("2026-11-01T12:00:00Z");
    bench.start(vec![Job { jitter: most, ..daily(&work) }], 1).await;
    let mut by = BTreeSet::new();
    for day in 2..30 {
        let due = at(&format!("2026-11-{day:02}T01:00:00Z"));
        let planned = bench.desk().next(&name("shop")).expect("a job").expect("a time");
        let put_off = planned.duration_since(due);
        assert!((SignedDuration::ZERO..=most).contains(&put_off), "{due}: {put_off}");
        bench.clock.set(planned - SignedDuration::from_millis(1));
        assert_eq!(bench.settle().await, [""; 0], "{due}");
        bench.clock.set(planned);
        assert_eq!(timeless(bench.settle().await), done(), "{due}");
        assert_eq!(work.whys.lock().expect("whys").pop(), Some(Why::Due(due)));
        by.insert(put_off);
    }
    assert!(by.len() > 20, "{by:?}");
    bench.stop().await;
}

#[tokio::test]
async fn one_run_of_a_job_and_some_jobs_at_once() {
    let work = Arc::new(Told { gate: Some(Semaphore::new(0)), ..Told::default() });
    let jobs = (0..5).map(|nth| Job { name: name(&format!("db{nth}")), ..daily(&work) }).collect();
    let mut bench = Bench::at("2026-11-01T12:00:00Z");
    bench.start(jobs, 2).await;
    assert_eq!(bench.at_time("2026-11-02T01:00:00Z").await.len(), 2);
    for _ in 0..3 {
        bench.desk().ask(&name("db0")).expect("a job");
    }
    // Those that wait, and those that go on, are told once when they are late.
    let late = bench.at_time("2026-11-02T02:00:00Z").await;
    let count = |end: &str| late.iter().filter(|line| line.ends_with(end)).count();
    assert_eq!((count("still goes on"), count("still waits")), (2, 3), "{late:?}");
    work.gate.as_ref().expect("a gate").add_permits(5);
    bench.settle().await;
    assert_eq!(*work.under_way.lock().expect("count"), (1, 2), "db0 was asked for once more");
    work.gate.as_ref().expect("a gate").add_permits(10);
    bench.settle().await;
    assert_eq!(work.whys.lock().expect("whys").len(), 6);
    bench.stop().await;
}

#[tokio::test]
async fn a_clock_that_was_years_ahead_stops_no_backup() {
    let work = Arc::new(Told::default());
    let mut bench = Bench::at("2036-11-01T00:59:00Z");
    bench.start(vec![daily(&work)], 1).await;
    assert_eq!(timeless(bench.at_time("2036-11-01T01:00:00Z").await), done());
    // The clock is set right, under the service's feet.
    assert_eq!(bench.at_time("2026-11-01T12:00:00Z").await, [""; 0]);
    assert_eq!(timeless(bench.at_time("2026-11-02T01:00:00Z").await), done());
    assert_eq!(bench.at_time("2026-11-01T12:00:00Z").await, [""; 0]);
    bench.stop().await;
    bench.start(vec![daily(&work)], 1).await;
    assert_eq!(bench.settle().await, [""; 0]);
    assert_eq!(timeless(bench.at_time("2026-11-02T01:00:00Z").await), done());
    bench.stop().await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_by_seconds_takes_no_backup_twice() {
    let work = Arc::new(Told::default());
    let mut bench = Bench::at("2026-01-01T12:00:00Z");
    bench.start(vec![daily(&work)], 1).await;
    bench.at_time("2026-01-02T01:00:00Z").await;
    assert_eq!(bench.at_time("2026-01-02T00:59:30Z").await, [""; 0]);
    bench.desk().ask(&name("shop")).expect("a job");
    assert_eq!(timeless(bench.settle().await), done());
    bench.stop().await;
    bench.start(vec![daily(&work)], 1).await;
    assert_eq!(bench.at_time("2026-01-02T01:00:10Z").await, [""; 0]);
    assert_eq!(timeless(bench.at_time("2026-01-03T01:00:00Z").await), done());
    bench.stop().await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_puts_off_no_further_try() {
    let work = Arc::new(Told::default());
    work.next.lock().expect("next").push_back(Err(Error::failed("no server")));
    let mut bench = Bench::at("2026-11-01T12:00:00Z");
    bench.start(vec![Job { retries: 1, ..daily(&work) }], 1).await;
    assert_eq!(bench.at_time("2026-11-02T01:00:00Z").await.len(), 2);
    bench.at_time("2026-11-01T22:00:00Z").await;
    assert_eq!(bench.at_time("2026-11-01T22:04:59Z").await, [""; 0]);
    assert_eq!(bench.at_time("2026-11-01T22:05:00Z").await.len(), 2);
    bench.stop().await;
}

#[tokio::test]
async fn a_run_during_which_the_clock_is_set_back_has_ended() {
    let work = Arc::new(Told { gate: Some(Semaphore::new(0)), ..Told::default() });
    let mut bench = Bench::at("2026-11-01T12:00:00Z");
    bench.start(vec![daily(&work)], 1).await;
    bench.at_time("2026-11-02T01:00:00Z").await;
    bench.at_time("2026-11-02T00:30:00Z").await;
    assert!(bench.status().is_under_way());
    work.gate.as_ref().expect("a gate").add_permits(1);
    assert_eq!(timeless(bench.settle().await), ["shop: done in 0s"]);
    assert!(!bench.status().is_under_way(), "{:?}", bench.status());
    bench.kill().await;
    bench.start(vec![daily(&work)], 1).await;
    assert_eq!(bench.settle().await, [""; 0], "nothing was cut off");
    bench.stop().await;
}

#[tokio::test]
async fn a_service_that_is_started_again_and_again_does_not_take_a_backup_each_time() {
    let work = Arc::new(Told::default());
    let job = || Job { at_start: true, schedule: Schedule::sleep("1d").expect("a period"), ..daily(&work) };
    let mut bench = Bench::at("2026-11-01T12:00:00Z");
    bench.start(vec![job()], 1).await;
    assert_eq!(timeless(bench.settle().await), done());
    bench.stop().await;
    bench.clock.forward(SignedDuration::from_mins(9));
    bench.start(vec![job()], 1).await;
    assert_eq!(bench.settle().await, [""; 0]);
    // A day after the last one, not after the start.
    assert_eq!(bench.at_time("2026-11-02T11:59:59Z").await, [""; 0]);
    assert_eq!(timeless(bench.at_time("2026-11-02T12:00:00Z").await), done());
    bench.stop().await;
    bench.clock.forward(SignedDuration::from_mins(10));
    bench.start(vec![job()], 1).await;
    assert_eq!(timeless(bench.settle().await), done());
    bench.stop().await;
    assert_eq!(*work.whys.lock().expect("whys"), [Why::Start, Why::Due(at("2026-11-02T12:00:00Z")), Why::Start]);
}

#[tokio::test]
async fn the_desk_says_what_is_next_what_is_proven_and_whether_the_service_lives() {
    let work = Arc::new(Told { gate: Some(Semaphore::new(0)), is_proof: true, ..Told::default() });
    let equal = Outcome::Done { line: "equal".into(), bytes: None };
    work.next.lock().expect("next").extend([Ok(equal), Err(Error::failed("no server")), Ok(Outcome::Idle("none".into()))]);
    let mut bench = Bench::at("2026-11-01T12:00:00Z");
    let idle = Service::new(vec![daily(&work)], bench.state(), 1).expect("a service").desk();
    assert!(!idle.is_alive() && idle.ready().is_err(), "it was never run");
    bench.start(vec![Job { retries: 1, ..daily(&work) }], 1).await;
    let (shop, desk) = (name("shop"), bench.desk().clone());
    assert!(desk.is_alive());
    desk.ready().expect("ready");
    assert_eq!(desk.next(&shop).expect("a job"), Some(at("2026-11-02T01:00:00Z")));
    bench.at_time("2026-11-02T01:00:00Z").await;
    assert_eq!(desk.next(&shop).expect("a job"), None, "it runs");
    assert!(bench.status().is_under_way());
    work.gate.as_ref().expect("a gate").add_permits(3);
    assert_eq!(timeless(bench.settle().await), ["shop: equal in 0s"]);
    assert_eq!(desk.next(&shop).expect("a job"), Some(at("2026-11-03T01:00:00Z")));
    bench.at_time("2026-11-03T01:00:00Z").await;
    assert_eq!(desk.next(&shop).expect("a job"), Some(at("2026-11-03T01:05:00Z")), "it is tried again");
    bench.at_time("2026-11-03T01:05:00Z").await;
    assert_eq!(bench.status().proven, Some(at("2026-11-02T01:00:00Z")), "neither a failure nor nothing proves anything");
    let stranger = desk.next(&name("stranger")).expect_err("no job");
    assert_eq!((stranger.kind(), desk.ask(&name("stranger")).is_err()), (Kind::NotFound, true));
    std::fs::remove_dir_all(bench.state()).expect("removed");
    let error = desk.ready().expect_err("nothing can be kept");
    assert!(error.chain().contains("write into the folder"), "{error:?}");
    bench.stop().await;
    assert!(!desk.is_alive());
}

#[tokio::test]
async fn a_stop_cuts_a_run_short_and_ends_well() {
    let work = Arc::new(Told { gate: Some(Semaphore::new(0)), ..Told::default() });
    let mut bench = Bench::at("2026-11-01T12:00:00Z");
    bench.start(vec![daily(&work)], 1).await;
    bench.at_time("2026-11-02T01:00:00Z").await;
    bench.stop().await;
    assert_eq!(bench.told.take(), ["shop: failed: interrupted"]);
}

#[tokio::test]
async fn a_state_that_cannot_be_kept_is_told_once_and_stops_no_backup() {
    let work = Arc::new(Told::default());
    let mut bench = Bench::at("2026-11-01T12:00:00Z");
    bench.start(vec![daily(&work)], 1).await;
    for days in [2..4, 4..6] {
        std::fs::remove_dir_all(bench.state()).expect("removed");
        for day in days.clone() {
            let told = timeless(bench.at_time(&format!("2026-11-{day:02}T01:00:00Z")).await);
            let (failed, rest) = told.split_at(told.len() - 2);
            assert_eq!(rest, done(), "day {day}");
            assert_eq!(failed.len(), usize::from(day == days.start), "day {day}: {failed:?}");
            assert!(failed.iter().all(|line| line.starts_with("shop: failed: failed to keep the state of shop")), "{failed:?}");
        }
        std::fs::create_dir_all(bench.state()).expect("made");
        bench.desk().ask(&name("shop")).expect("a job");
        assert_eq!(timeless(bench.settle().await), done());
        assert_eq!(bench.status().succeeded, Some(bench.clock.now()), "it is kept again");
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_stop_begins_nothing_of_what_waits_for_its_turn() {
    let work = Arc::new(Told { gate: Some(Semaphore::new(0)), ..Told::default() });
    let jobs = ["one", "two", "three"].map(|job| Job { name: name(job), ..daily(&work) });
    let mut bench = Bench::at("2026-11-01T12:00:00Z");
    bench.start(jobs.into(), 1).await;
    assert_eq!(bench.at_time("2026-11-02T01:00:00Z").await.len(), 1, "one begins");
    bench.stop().await;
    let told = bench.told.take();
    assert!(told.len() == 1 && told[0].ends_with(": failed: interrupted"), "{told:?}");
    assert_eq!(work.whys.lock().expect("whys").len(), 1);
}

#[tokio::test]
async fn a_second_service_on_the_same_folder_is_refused() {
    let work = Arc::new(Told::default());
    let bench = Bench::at("2026-11-01T12:00:00Z");
    let first = Service::new(vec![daily(&work)], bench.state(), 1).expect("a service");
    let second = Service::new(vec![daily(&work)], bench.state(), 1).expect_err("there is one");
    assert_eq!(second.kind(), Kind::Busy);
    drop(first);
    let twice = Service::new(vec![daily(&work), daily(&work)], bench.state(), 1).expect_err("the same name");
    assert_eq!(twice.kind(), Kind::Usage);
    assert_eq!(Service::new(Vec::new(), bench.state(), 1).expect_err("nothing").kind(), Kind::Usage);
    assert!(bench.clock.now() < Timestamp::MAX);
}
