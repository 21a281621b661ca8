//! A backup that did not happen: the alarm leaves the house.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::{Context, Result};
use backup_service::tell::Wants;
use backup_service::testing::MovedClock;
use backup_service::{Job, Outcome, Schedule, Service, Why, Work};
use jiff::SignedDuration;
use jiff::tz::TimeZone;

use crate::receiver::Receiver;
use crate::{GRACE, body, impatient, name, telling, webhook};

/// Work that never ends by itself.
#[derive(Debug)]
struct Stuck;

#[async_trait]
impl Work for Stuck {
    async fn run(&self, cx: &Context, _: Why) -> Result<Outcome> {
        cx.unless_cancelled(std::future::pending()).await
    }
}

/// Level and message.
fn told(request: &str) -> (String, String) {
    let fields: Vec<_> = form_urlencoded::parse(body(request).as_bytes()).into_owned().collect();
    (fields[2].1.clone(), fields[3].1.clone())
}

#[tokio::test]
async fn a_run_that_did_not_happen_and_one_that_does_not_end_reach_the_webhook() {
    let receiver = Receiver::start([]).await;
    let telling =
        Arc::new(telling(backup_service::tell::Webhook { wants: Wants::Troubles, ..webhook(&receiver.url("/")) }, impatient()));
    let clock = Arc::new(MovedClock::at("2026-11-01T12:00:00Z".parse().expect("a time")));
    let job = Job {
        name: name("shop"),
        schedule: Schedule::cron("0 1 * * *", TimeZone::UTC).expect("cron"),
        at_start: false,
        jitter: SignedDuration::ZERO,
        late: SignedDuration::from_hours(1),
        retries: 0,
        work: Arc::new(Stuck),
    };
    let state = tempfile::tempdir().expect("a folder");
    let service = Service::new(vec![job], state.path(), 1).expect("a service");
    let service = service.with_clock(clock.clone()).with_listener(telling.clone());
    let (cx, desk) = (Context::default(), service.desk());
    let running = tokio::spawn({
        let cx = cx.clone();
        async move { service.run(&cx).await }
    });
    while desk.next(&name("shop")).expect("a job").is_none() {
        tokio::task::yield_now().await;
    }
    // The machine was suspended for two nights.
    clock.set("2026-11-03T09:00:00Z".parse().expect("a time"));
    let missed = "shop: 2 runs that were due since 2026-11-02T01:00:00Z did not happen";
    assert_eq!(told(&receiver.asked(1).await[0]), ("ERROR".into(), missed.into()));
    // What is run instead does not end.
    while !desk.status(&name("shop")).expect("a status").is_under_way() {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    clock.forward(SignedDuration::from_hours(1));
    let late = "shop: the run that was due at 2026-11-03T01:00:00Z still goes on";
    assert_eq!(told(&receiver.asked(1).await[0]), ("WARN".into(), late.into()));
    cx.cancel.cancel();
    running.await.expect("no panic").expect("it ends well");
    telling.finish(GRACE).await;
    assert_eq!(told(&receiver.asked(1).await[0]), ("ERROR".into(), "shop: failed: interrupted".into()));
}
