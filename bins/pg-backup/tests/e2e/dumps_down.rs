//! Applications in a cluster that are down while a dump takes the place of their database: a stand-in for the API, a real server.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use backup_tests::Major;
use backup_tests::kubernetes::StandIn;
use rustix::process::{Pid, Signal, kill_process};

use crate::dumps_restore::{session_of, with};
use crate::program::{Ran, until};
use crate::shelf::{Generation, Shelf};

const WEB: &str = "deployment/web";

/// The tree, the cluster, and the variable that names it.
fn places() -> Option<(Shelf, StandIn, String)> {
    let shelf = Shelf::new(Major::V15, Generation::First)?;
    shelf.take(3);
    shelf.server.psql("shop", "DELETE FROM tag");
    let api = StandIn::start();
    api.world().add(WEB, 3);
    let config = api.kubeconfig().display().to_string();
    Some((shelf, api, config))
}

const RESTORE: [&str; 6] = ["dumps", "restore", "--yes", "--scale-down", WEB, "--admin-password-file"];

fn restore(shelf: &Shelf, config: &str, more: &[&str]) -> Ran {
    Ran::of(&mut shelf.command(&[&RESTORE[..], &["sesame"], more].concat(), &[("KUBECONFIG", config)]))
}

fn tags(shelf: &Shelf) -> String {
    shelf.server.psql("shop", "SELECT count(*) FROM tag")
}

#[test]
fn applications_are_down_while_a_dump_is_restored_and_come_back() {
    let Some((shelf, api, config)) = places() else { return };
    let shown = restore(&shelf, &config, &[]).ok().text();
    for step in ["2. scale deployment/web to 0 and wait", "scale deployment/web back to what they had"] {
        assert!(shown.contains(step), "{step}: {shown}");
    }
    assert_eq!((api.replicas(WEB), tags(&shelf).as_str()), (3, "2"));
    assert_eq!(api.world().asked.iter().filter(|line| line.starts_with("PUT")).count(), 2, "down and up");
    assert_eq!(shelf.dumps_with(&["resume"], &[("KUBECONFIG", &config)]).ok().text(), "nothing is paused\n");
}

#[test]
fn a_dump_that_fails_before_the_swap_brings_them_back() {
    let Some((shelf, api, config)) = places() else { return };
    shelf.put(&shelf.path(4), &with(&shelf.pg_dump(), "SELECT 1/0;"));
    restore(&shelf, &config, &[]).fails(1, &["division by zero"]);
    assert_eq!((api.replicas(WEB), tags(&shelf).as_str()), (3, "0"));
    // In place it is gone by then, and nothing is served.
    restore(&shelf, &config, &["--in-place", "--yes-in-place"]).fails(5, &["deployment/web=3 in shop", "division by zero"]);
    assert_eq!(api.replicas(WEB), 0);
    // The same again with a dump that is whole.
    restore(&shelf, &config, &["-f", "20201003"]).ok();
    assert_eq!((api.replicas(WEB), tags(&shelf).as_str()), (3, "2"));
}

#[test]
fn whoever_is_still_connected_once_they_are_down_is_told_before_anything_is_restored() {
    let Some((shelf, api, config)) = places() else { return };
    shelf.server.psql("postgres", "ALTER ROLE app CREATEDB");
    let mut session = session_of(&shelf, "dba");
    let restore = || {
        let arguments = ["dumps", "restore", "--yes", "--drop-old", "--scale-down", WEB];
        Ran::of(&mut shelf.command(&arguments, &[("KUBECONFIG", &config)]))
    };
    let refused = restore().fails_with_hint(1, &["may not end the sessions in the database shop: 1 of dba"]);
    assert!(!refused.err.contains("play the dump"), "{}", refused.err);
    assert_eq!((api.replicas(WEB), tags(&shelf).as_str()), (3, "0"));
    assert_eq!(api.world().asked.iter().filter(|line| line.starts_with("PUT")).count(), 2, "down and up");
    drop(session.stdin.take());
    session.wait().expect("it ended");
    restore().ok();
    assert_eq!((api.replicas(WEB), tags(&shelf).as_str()), (3, "2"));
}

/// Starts a restore that waits in the middle of the dump.
fn sleeping(shelf: &Shelf, api: &StandIn, config: &str, more: &[&str]) -> Child {
    let arguments = [&RESTORE[..], &["sesame"], more].concat();
    let mut child = shelf.command(&arguments, &[("KUBECONFIG", config)]);
    let child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE datname ~ '^shop_restoring_' AND query ~ 'pg_sleep'";
    until("it plays the dump", || shelf.server.psql("postgres", sleeps) == "1");
    assert_eq!(api.replicas(WEB), 0, "it is down");
    child
}

#[test]
fn an_interrupt_cuts_a_dump_short_and_brings_them_back_unless_it_was_in_place() {
    let Some((shelf, api, config)) = places() else { return };
    shelf.put(&shelf.path(4), &with(&shelf.pg_dump(), "SELECT pg_sleep(60);"));
    let interrupted = |signal, more: &[&str]| {
        let child = sleeping(&shelf, &api, &config, more);
        let begun = Instant::now();
        kill_process(Pid::from_child(&child), signal).expect("it runs");
        let ran = Ran::ended(&child.wait_with_output().expect("it ends"), format!("{signal:?}"));
        assert!(begun.elapsed() < Duration::from_secs(30), "it waits for the end of the dump");
        ran
    };
    interrupted(Signal::INT, &[]).fails(130, &["interrupted"]);
    assert_eq!((api.replicas(WEB), tags(&shelf).as_str()), (3, "0"));
    assert_eq!(shelf.databases(), ["shop"], "what was made is gone");
    interrupted(Signal::TERM, &["--in-place", "--yes-in-place"]).fails(5, &["deployment/web=3 in shop", "interrupted"]);
    assert_eq!(api.replicas(WEB), 0);
}

#[test]
fn an_old_database_that_cannot_be_dropped_keeps_nobody_down() {
    let Some((shelf, api, config)) = places() else { return };
    // Its subscription goes before it does, and somebody does not want that.
    shelf.server.psql(
        "shop",
        "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (connect = false, slot_name = NONE); \
         CREATE FUNCTION no() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$not in this house$$; END'; \
         CREATE EVENT TRIGGER no ON ddl_command_start WHEN TAG IN ('DROP SUBSCRIPTION') EXECUTE FUNCTION no()",
    );
    let ran = restore(&shelf, &config, &["--drop-old"]).fails_with_hint(1, &["not in this house", "drop the old one by hand"]);
    assert!(ran.text().contains("the old one is \"shop_kept_"), "{}", ran.text());
    assert_eq!((api.replicas(WEB), tags(&shelf).as_str()), (3, "2"), "restored, and served again");
    assert_eq!(shelf.dumps_with(&["resume"], &[("KUBECONFIG", &config)]).ok().text(), "nothing is paused\n");
}

#[test]
fn what_a_killed_restore_left_down_is_brought_back_by_resume() {
    let Some((shelf, api, config)) = places() else { return };
    shelf.put(&shelf.path(4), &with(&shelf.pg_dump(), "SELECT pg_sleep(600);"));
    let mut child = sleeping(&shelf, &api, &config, &[]);
    child.kill().expect("killed");
    child.wait().expect("it ended");
    assert_eq!((api.replicas(WEB), tags(&shelf).as_str()), (0, "0"));
    let resumed = shelf.dumps_with(&["resume"], &[("KUBECONFIG", &config)]).ok().text();
    assert!(resumed.starts_with("runs again: deployment/web=3 in shop at https://"), "{resumed}");
    assert_eq!(api.replicas(WEB), 3);
}
