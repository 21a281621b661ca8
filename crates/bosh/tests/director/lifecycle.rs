//! Services stop exactly, come back, and what goes wrong with one is told.

use std::time::Instant;

use backup_core::Lifecycle;
use backup_core::testing_lifecycle::lifecycle_contract;
use backup_tests::Director;

use crate::scene::{control, running, services, stopped_before, units, up, wait_until_up};

#[tokio::test(flavor = "multi_thread")]
async fn services_of_a_director_keep_the_contract_and_what_was_stopped_stays_so() {
    let Some(director) = Director::start() else { return };
    stopped_before(&director, "nats");
    let found = running(&services(&director, 120)).await;
    assert_eq!(found, units(&["monit/director", "monit/postgres", "monit/microbosh", "sv/agent"]));
    lifecycle_contract(|| services(&director, 120)).await;
    assert_eq!(up(&director), ["agent", "director", "postgres"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_does_not_stop_is_told_and_all_come_back() {
    let Some(director) = Director::start() else { return };
    let all = running(&services(&director, 120)).await;

    // monit waits for a process that its stop program has left there, and then gives it up.
    control(&director, "director", "stop) exit 0;;");
    let error = services(&director, 5).pause(&all).await.expect_err("it does not stop");
    assert!(error.chain().starts_with("after 5 s: "), "{}", error.chain());
    assert!(error.chain().contains("monit says director is running - stop pending"), "{}", error.chain());
    director.sh("until monit summary | grep ' director ' | grep -q 'Not monitored  '; do sleep 0.5; done");
    services(&director, 120).resume(&all).await.expect("all come back");
    assert_eq!(up(&director), ["agent", "director", "nats", "postgres"]);

    director.sh("sed -i '/stop program/s/$/ with timeout 1 seconds/' /var/vcap/monit/job/*director.monitrc; sv restart monit");
    wait_until_up(&director, &["agent", "director", "nats", "postgres"]);
    let error = services(&director, 40).pause(&all).await.expect_err("its process is there still").chain();
    assert!(error.ends_with(" of director runs though monit has stopped it"), "{error}");
    services(&director, 120).resume(&all).await.expect("all come back");
    assert_eq!(up(&director), ["agent", "director", "nats", "postgres"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_hangs_and_one_that_takes_long_end_with_all_running() {
    let Some(director) = Director::start() else { return };
    let all = running(&services(&director, 120)).await;
    control(&director, "nats", "stop) sleep 1000;;");
    let error = services(&director, 4).pause(&all).await.expect_err("it hangs");
    assert!(error.chain().contains("monit says nats is running - stop pending"), "{}", error.chain());
    // Whoever wanted it stopped has gone; what hangs ends by itself some time.
    let resumed = services(&director, 120);
    let (done, ()) = tokio::join!(resumed.resume(&all), async {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        director.sh("pkill -f 'sleep 1000$' || :");
    });
    done.expect("all come back");
    assert_eq!(up(&director), ["agent", "director", "nats", "postgres"]);

    // Told to stop, and resumed before it is down.
    control(&director, "nats", "stop) sleep 3;;");
    let before = director.sh("cat /var/vcap/sys/run/nats/nats.pid");
    director.sh("monit stop nats");
    services(&director, 120).resume(&all).await.expect("it is waited for and started again");
    assert_eq!(up(&director), ["agent", "director", "nats", "postgres"]);
    assert_ne!(director.sh("cat /var/vcap/sys/run/nats/nats.pid"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_does_not_start_keeps_no_other_down() {
    let Some(director) = Director::start() else { return };
    let all = running(&services(&director, 120)).await;
    control(&director, "nats", "start) exit 1;;");
    services(&director, 120).pause(&all).await.expect("all stop");
    assert_eq!(up(&director), [""; 0]);
    let error = services(&director, 10).resume(&all).await.expect_err("nats does not start").chain();
    assert!(error.starts_with("after 10 s: ") && error.contains("monit says nats is "), "{error}");
    wait_until_up(&director, &["agent", "director", "postgres"]);
    control(&director, "nats", "never) ;;");
    services(&director, 120).resume(&all).await.expect("now it does");
    assert_eq!(up(&director), ["agent", "director", "nats", "postgres"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_not_there_is_waited_for_and_what_is_unknown_or_refused_is_an_error() {
    let Some(director) = Director::start() else { return };
    let all = running(&services(&director, 120)).await;
    let strange = units(&["monit/director", "monit/nosuch", "sv/agent"]);
    let error = services(&director, 120).pause(&strange).await.expect_err("unknown").chain();
    assert_eq!(error, "monit knows no service \"nosuch\"");
    assert_eq!(up(&director), ["agent", "director", "nats", "postgres"], "nothing was stopped");
    services(&director, 120).pause(&all).await.expect("all stop");
    let error = services(&director, 120).resume(&strange).await.expect_err("unknown").chain();
    assert_eq!(error, "monit knows no service \"nosuch\"");
    assert_eq!(up(&director), ["agent", "director"], "the others run");
    services(&director, 120).resume(&all).await.expect("all come back");

    director.sh("sv down monit; until sv status monit | grep -q ^down; do sleep 0.1; done");
    let error = services(&director, 2).pause(&all).await.expect_err("no daemon").chain();
    assert_eq!(error, "after 2 s: the monit daemon is not running");
    let since = Instant::now();
    let stopping = services(&director, 120);
    let (done, ()) = tokio::join!(stopping.pause(&all), async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        director.sh("sv up monit");
    });
    done.expect("it was waited for");
    assert!(since.elapsed().as_secs() >= 1);
    services(&director, 120).held(&all).await.expect("nobody started one");
    director.sh("sv up agent; until sv status agent | grep -q ^run; do sleep 0.1; done");
    let error = services(&director, 120).held(&all).await.expect_err("the agent runs").chain();
    assert!(error.starts_with("agent was started meanwhile: runit says run: agent: "), "{error}");
    services(&director, 120).resume(&all).await.expect("all come back");

    director.sh("sed -i '/^vcap/d' /etc/sudoers");
    let error = services(&director, 120).pause(&all).await.expect_err("sudo refuses");
    assert!(error.chain().starts_with("/var/vcap/bosh/bin/monit status ended with exit status 1: sudo: "), "{}", error.chain());
    assert_eq!(error.hint(), Some("let the login user run monit and sv by sudo without a password"));
    assert_eq!(up(&director), ["agent", "director", "nats", "postgres"]);
}
