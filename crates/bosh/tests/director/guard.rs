//! What was stopped comes back, whatever becomes of whoever stopped it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backup_bosh::{Guard, Guarded, Progress};
use backup_core::testing_lifecycle::lifecycle_contract;
use backup_core::{Kind, Lifecycle};
use backup_tests::Director;

use crate::scene::{Inside, SOON, running, stopped_before, up, wait_until_up};

/// Services whose guard waits so many seconds, and no longer than `most`.
fn guarded_at(place: &Inside, lease: u64, most: u64, progress: &Progress) -> Guarded {
    let [lease, most] = [lease, most].map(Duration::from_secs);
    let guard = Guard::new(Arc::new(place.clone()), &"bosh".parse().expect("a name"), lease, most);
    Guarded::new(Arc::new(place.services(120).with_progress(progress.clone())), guard, progress.clone())
}

fn guarded(director: &Director, lease: u64, most: u64, progress: &Progress) -> Guarded {
    guarded_at(&Inside::of(director), lease, most, progress)
}

/// Seconds. A renewal takes its time on a machine that has much to do.
const LEASE: u64 = 30;

/// What a guard has left on the director: its files and its processes.
fn traces(director: &Director) -> String {
    director.sh("ls -d /home/vcap/.bosh-backup 2>/dev/null || :; ps axo user,args | grep '^vcap .*[.]/guard' || :")
}

#[tokio::test(flavor = "multi_thread")]
async fn guarded_services_keep_the_contract_and_a_normal_end_leaves_no_trace() {
    let Some(director) = Director::start() else { return };
    lifecycle_contract(|| guarded(&director, 600, 600, &Progress::default())).await;
    assert_eq!(traces(&director), "");
    assert_eq!(up(&director), ["agent", "director", "nats", "postgres"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_killed_has_all_that_ran_running_again() {
    if let Some(place) = std::env::var_os("BACKUP_TESTS_PAUSE") {
        return be_killed(&place.to_string_lossy()).await;
    }
    let Some(director) = Director::start() else { return };
    stopped_before(&director, "nats");
    let mut backup = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "guard::a_backup_that_is_killed_has_all_that_ran_running_again", "--nocapture"])
        .env("BACKUP_TESTS_PAUSE", Inside::of(&director).0.join("\n"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program runs");
    let lines = BufReader::new(backup.stdout.take().expect("stdout is piped")).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "paused"), "it has stopped all");
    assert_eq!(up(&director), [""; 0]);
    backup.kill().expect("it is killed");
    backup.wait().expect("it is gone");
    let since = Instant::now();
    wait_until_up(&director, &["agent", "director", "postgres"]);
    assert!(since.elapsed() < Duration::from_secs(LEASE + 60), "within the lease and a minute");

    // The next run finds out, and clears up.
    let next = guarded(&director, LEASE, 600, &Progress::default());
    let all = running(&next).await;
    let error = next.held(&all).await.expect_err("it has fired").chain();
    assert_eq!(error, "the guard on the host has brought the services back: nobody renewed its lease");
    next.resume(&all).await.expect("all run");
    assert_eq!(traces(&director), "");
    assert_eq!(up(&director), ["agent", "director", "postgres"], "what was stopped before stays so");
}

/// Stops all, and gets on with something for ever.
#[expect(clippy::print_stdout, reason = "the test that started this process waits for it")]
async fn be_killed(place: &str) {
    let progress = Progress::default();
    let guarded = guarded_at(&Inside(place.lines().map(str::to_owned).collect()), LEASE, 600, &progress);
    let all = running(&guarded).await;
    guarded.pause(&all).await.expect("all stop");
    println!("\npaused");
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        progress.made();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_kept_by_progress_and_lost_without() {
    let Some(director) = Director::start() else { return };
    let progress = Progress::default();
    let kept = guarded(&director, LEASE, 600, &progress);
    let all = running(&kept).await;
    kept.pause(&all).await.expect("all stop");
    let second = guarded(&director, LEASE, 600, &progress).pause(&all).await.expect_err("one guard at a time");
    assert_eq!(second.kind(), Kind::Busy, "{}", second.chain());
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(LEASE + LEASE / 2) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        progress.made();
    }
    kept.held(&all).await.expect("longer than the lease, and it was renewed");
    assert_eq!(up(&director), [""; 0]);

    // Alive, and stuck.
    wait_until_up(&director, &["agent", "director", "nats", "postgres"]);
    let error = kept.held(&all).await.expect_err("it has fired").chain();
    assert_eq!(error, "the guard on the host has brought the services back: nobody renewed its lease");
    kept.resume(&all).await.expect("all run");
    assert_eq!(traces(&director), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_takes_no_longer_than_it_may() {
    let Some(director) = Director::start() else { return };
    let progress = Progress::default();
    let long = guarded(&director, 600, 15, &progress);
    let all = running(&long).await;
    // On a slow machine the time is over before all have stopped.
    let mut error = long.pause(&all).await.err();
    let since = Instant::now();
    while error.is_none() {
        assert!(since.elapsed() < SOON, "it goes on and on");
        progress.made();
        error = long.held(&all).await.err();
    }
    let error = error.expect("it has fired").chain();
    assert_eq!(error, "the guard on the host has brought the services back: the pause took longer than it may");
    wait_until_up(&director, &["agent", "director", "nats", "postgres"]);
    // Another job's run is not held up by what that guard has left; one of the same job takes it away.
    let next = guarded(&director, 600, 600, &progress);
    next.pause(&all).await.expect("all stop");
    next.resume(&all).await.expect("all come back");
    assert_eq!(traces(&director), "");
}
