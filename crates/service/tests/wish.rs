//! Runs that another process wishes for.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::{Context, Error, Kind, Name, Result};
use backup_service::{Job, Outcome, Schedule, Service, Status, Statuses, Why, Wish, Work};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

/// Fails each second time, and remembers why it was run.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<Why>>);

#[async_trait]
impl Work for Told {
    async fn run(&self, _: &Context, why: Why) -> Result<Outcome> {
        let mut whys = self.0.lock().await;
        whys.push(why);
        match whys.len() % 2 {
            1 => Ok(Outcome::Done { line: "done".into(), bytes: Some(17) }),
            _ => Err(Error::failed("no server")),
        }
    }
}

#[tokio::test]
async fn a_wish_is_seen_and_its_end_is_known() {
    let (work, state, job) =
        (Arc::new(Told::default()), tempfile::tempdir().expect("a folder"), "a/b \n%".parse::<Name>().expect("a name"));
    let wish = Wish::put(&state.path().join("nowhere"), &job).expect_err("no folder");
    assert_eq!(wish.kind(), Kind::NotFound);
    let task = Job {
        name: job.clone(),
        schedule: Schedule::sleep("1d").expect("a period"),
        at_start: false,
        jitter: SignedDuration::ZERO,
        late: SignedDuration::from_hours(1),
        retries: 0,
        work: work.clone(),
    };
    let service = Service::new(vec![task], state.path(), 1).expect("a service");
    let put = |job: &Name| Wish::put(state.path(), job).expect("a wish");
    // Nobody is there yet; dropped, it is as if it never was.
    let wish = put(&job);
    assert_eq!(wish.seen(Duration::from_millis(300)).await.expect_err("nobody").kind(), Kind::NotFound);
    drop(wish);
    let cx = Context::default();
    let running = tokio::spawn({
        let cx = cx.clone();
        async move { service.run(&cx).await }
    });
    let patience = Duration::from_secs(30);
    for failures in [0, 1, 0] {
        let wish = put(&job);
        wish.seen(patience).await.expect("seen");
        let status = tokio::time::timeout(patience, wish.ended()).await.expect("in time").expect("ended");
        assert_eq!((status.failures, status.error.is_some()), (failures, failures == 1));
    }
    let stranger = put(&"stranger".parse().expect("a name"));
    assert_eq!(stranger.seen(Duration::from_millis(1500)).await.expect_err("no such job").kind(), Kind::NotFound);
    cx.cancel.cancel();
    running.await.expect("no panic").expect("it ends well");
    assert_eq!(*work.0.lock().await, [Why::Asked; 3]);
}

#[tokio::test]
async fn the_end_of_an_earlier_run_is_not_that_of_the_wish() {
    let (state, job) = (tempfile::tempdir().expect("a folder"), "shop".parse::<Name>().expect("a name"));
    let statuses = Statuses::open(state.path()).expect("a folder");
    let at = |second| Some(Timestamp::from_second(second).expect("a time"));
    let keep = |begun, ended| {
        statuses.store(&job, &Status { begun: at(begun), ended: at(ended), ..Status::default() }).expect("kept");
    };
    keep(10, 20);
    let wish = Wish::put(state.path(), &job).expect("a wish");
    let soon = async || tokio::time::timeout(Duration::from_millis(700), wish.ended()).await;
    assert!(soon().await.is_err(), "nothing has run since");
    keep(30, 20);
    assert!(soon().await.is_err(), "it runs");
    keep(30, 40);
    assert_eq!(wish.ended().await.expect("ended").ended, at(40));
}
