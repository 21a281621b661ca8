//! What was stopped comes back, whatever becomes of whoever stopped it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backup_bosh::{Guard, Guarded, Progress};
use backup_core::testing_lifecycle::lifecycle_contract;
use backup_core::{Kind, Lifecycle};
use backup_host::Host;
use backup_tests::Director;

use crate::scene::{Login, SOON, running, services_on, up, wait_until_up};

/// Services of `host` whose guard waits so many seconds, and no longer than `most`.
pub(crate) fn guarded_on(host: Arc<dyn Host>, lease: u64, most: u64, progress: &Progress) -> Guarded {
    let [lease, most] = [lease, most].map(Duration::from_secs);
    let guard = Guard::new(host.clone(), &"bosh".parse().expect("a name"), lease, most);
    Guarded::new(Arc::new(services_on(host, 120).with_progress(progress.clone())), guard, progress.clone())
}

pub(crate) fn guarded(director: &Director, lease: u64, most: u64, progress: &Progress) -> Guarded {
    guarded_on(Arc::new(Login::at(director).host()), lease, most, progress)
}

/// What a guard has left on the director: its files and its processes.
pub(crate) fn traces(director: &Director) -> String {
    director.sh("ls -d /home/vcap/.bosh-backup 2>/dev/null || :; ps axo user,args | grep '^vcap .*[.]/guard' || :")
}

#[tokio::test(flavor = "multi_thread")]
async fn guarded_services_keep_the_contract_and_a_normal_end_leaves_no_trace() {
    let Some(director) = Director::start() else { return };
    lifecycle_contract(|| guarded(&director, 600, 600, &Progress::default())).await;
    assert_eq!(traces(&director), "");
    assert_eq!(up(&director), ["agent", "director", "nats", "postgres"]);
}

/// Gets on with something for ever.
pub(crate) async fn get_on(progress: &Progress) {
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        progress.made();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_kept_by_progress_and_lost_without() {
    let Some(director) = Director::start() else { return };
    let fired = "the guard on the host has brought the services back: nobody renewed its lease";
    // On a machine that has much to do a renewal may come too late; then a longer lease is tried.
    for lease in [5, 10, 20, 40] {
        let progress = Progress::default();
        let kept = guarded(&director, lease, 600, &progress);
        let all = running(&kept).await;
        let mut held = kept.pause(&all).await;
        if held.is_ok() {
            let second = guarded(&director, lease, 600, &progress).pause(&all).await.expect_err("one guard at a time");
            held = match second.kind() {
                Kind::Busy => {
                    let _ = tokio::time::timeout(Duration::from_secs(2 * lease), get_on(&progress)).await;
                    kept.held(&all).await
                }
                _ => Err(second),
            };
        }
        let longer_than_the_lease = held.is_ok();
        if longer_than_the_lease {
            assert_eq!(up(&director), [""; 0]);
        }
        // Alive, and stuck.
        wait_until_up(&director, &["agent", "director", "nats", "postgres"]);
        let error = kept.held(&all).await.expect_err("it has fired").chain();
        assert_eq!(error, fired);
        kept.resume(&all).await.expect("all run");
        assert_eq!(traces(&director), "");
        if longer_than_the_lease {
            return;
        }
        assert!(lease < 40, "a lease that is renewed is lost: {held:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_has_all_that_ran_running_again_and_the_copy_counts_for_nothing() {
    let Some(director) = Director::start() else { return };
    let progress = Progress::default();
    let backup = guarded(&director, 5, 600, &progress);
    let all = running(&backup).await;
    // On a machine that has much to do the lease may be lost before; what then follows is the same.
    let paused = backup.pause(&all).await;
    director.shut_out();
    let since = Instant::now();
    // It lives, and gets on.
    tokio::select! {
        () = get_on(&progress) => {}
        () = async { tokio::task::block_in_place(|| wait_until_up(&director, &["agent", "director", "nats", "postgres"])) } => {}
    }
    assert!(since.elapsed() < Duration::from_secs(5 + 60), "within the lease and a minute");
    let error = backup.held(&all).await.expect_err("nobody can be asked").chain();
    assert!(error.contains(" cannot be reached: nobody listens there"), "{error}");
    backup.resume(&all).await.expect_err("nobody can be told");

    director.let_in();
    let error = backup.held(&all).await.expect_err("it has fired").chain();
    assert_eq!(error, "the guard on the host has brought the services back: nobody renewed its lease");
    backup.resume(&all).await.expect("all run");
    assert_eq!(traces(&director), "");
    paused.expect("it was paused, on a machine that has little to do");
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
    let session =
        director.sh("cd /home/vcap/.bosh-backup/bosh; read -r pid <pid; [ $(ps -o sid= -p $pid) = $pid ] || echo shared");
    assert_eq!(session, "", "the guard has a session of its own");
    next.resume(&all).await.expect("all come back");
    assert_eq!(traces(&director), "");
}
