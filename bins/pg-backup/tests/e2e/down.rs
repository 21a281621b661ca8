//! Applications in a cluster that are down while a database is restored: a stand-in for the API, a real server, the real program.

use std::process::Command;

use backup_tests::kubernetes::{StandIn, TOKEN};
use backup_tests::{Major, Server};
use rustix::process::{Pid, Signal, kill_process};

use crate::program::{Ran, Sink, until};
use crate::shop;

const WEB: &str = "deployment/web";

/// A server with a shop and a backup of it, and a cluster with applications.
struct Place {
    server: Server,
    sink: Sink,
    api: StandIn,
}

impl Place {
    fn new() -> Option<Self> {
        let server = Server::start(Major::V17)?;
        shop::fill(&server);
        let (sink, api) = (Sink::new(), StandIn::start());
        sink.backup(&server, &["--database", "shop"]);
        api.world().add(WEB, 3);
        api.world().add("statefulset/worker", 2);
        api.world().add("deployment/off", 0);
        Some(Self { server, sink, api })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sink.command(Some(&self.server), arguments);
        command.env("KUBECONFIG", self.api.kubeconfig());
        command
    }

    /// Restores the shop over itself with the applications down.
    fn restore(&self, more: &[&str]) -> Command {
        let down = ["--scale-down", "deployment/web,sts/worker", "--scale-down", "deployment/off"];
        let what = ["restore", "latest", "--database", "shop", "--clean"];
        self.command(&[&what, &down as &[&str], more].concat())
    }

    fn replicas(&self) -> (u32, u32, u32) {
        (self.api.replicas(WEB), self.api.replicas("statefulset/worker"), self.api.replicas("deployment/off"))
    }

    /// Whether the shop is the one that was there, and not the one of the backup.
    fn is_old(&self) -> bool {
        self.server.psql("shop", "SELECT to_regclass('public.mine') IS NOT NULL") == "t"
    }

    fn mark(&self) {
        self.server.psql("shop", "CREATE TABLE public.mine (x int)");
    }
}

/// Starts it, and ends it by `signal` once it runs the check, which does not end.
fn end_in_check(place: &Place, signal: Signal) -> Ran {
    let mut command = place.restore(&["--check-sql", "SELECT pg_sleep(600)"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().expect("it starts");
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()
        AND state = 'active'";
    until("the check runs", || place.server.psql("postgres", sleeps) == "1");
    assert_eq!(place.replicas(), (0, 0, 0), "they are down");
    kill_process(Pid::from_child(&child), signal).expect("it runs");
    Ran::ended(&child.wait_with_output().expect("it ends"), format!("{signal:?}"))
}

#[test]
fn applications_are_down_while_a_database_is_restored_and_come_back() {
    let Some(place) = Place::new() else { return };
    place.mark();
    let ran = Ran::of(&mut place.restore(&["--check-sql", "SELECT 1"])).ok();
    assert_eq!((place.replicas(), place.is_old()), ((3, 2, 0), false));
    for line in ["stopped deployment/web=3 in shop at https://127.0.0.1:", "started deployment/web=3 in shop at"] {
        assert!(ran.err.contains(line), "{line}: {}", ran.err);
    }
    assert!(!ran.err.contains("off") && !ran.err.contains(TOKEN), "{}", ran.err);
    assert_eq!(Ran::of(&mut place.command(&["resume"])).ok().text(), "nothing is paused\n");
}

#[test]
fn what_was_killed_halfway_is_brought_back_by_resume() {
    let Some(place) = Place::new() else { return };
    place.mark();
    assert_eq!(end_in_check(&place, Signal::KILL).code, 137);
    assert_eq!((place.replicas(), place.is_old()), ((0, 0, 0), false));
    // It is not brought back by the way, nor without the cluster.
    let mut nowhere = place.command(&["resume"]);
    nowhere.env_remove("KUBECONFIG");
    Ran::of(&mut nowhere).fails_with_hint(5, &["deployment/web=3 in shop", "KUBECONFIG"]);
    assert_eq!(place.replicas(), (0, 0, 0));
    let ran = Ran::of(&mut place.command(&["resume"])).ok();
    assert!(ran.text().starts_with("runs again: deployment/web=3 in shop at https://"), "{}", ran.text());
    assert_eq!(place.replicas(), (3, 2, 0));
    assert_eq!(Ran::of(&mut place.command(&["resume"])).ok().text(), "nothing is paused\n");
}

#[test]
fn a_restore_that_fails_before_anything_is_replaced_brings_them_back() {
    let Some(place) = Place::new() else { return };
    place.mark();
    let mut refused = place.command(&["restore", "latest", "--database", "shop", "--scale-down", WEB]);
    Ran::of(&mut refused).fails_with_hint(1, &["shop is not empty"]);
    assert_eq!((place.replicas(), place.is_old()), ((3, 2, 0), true));
    assert_eq!(place.api.world().asked.iter().filter(|line| line.starts_with("PUT")).count(), 2, "down and up");
    // A right that is missing, before anything was stopped.
    place.api.world().forbidden = vec!["get statefulsets/scale".to_owned()];
    Ran::of(&mut place.restore(&[])).fails_with_hint(1, &["not allowed to get statefulsets/scale in shop"]);
    assert_eq!((place.replicas(), place.is_old()), ((3, 2, 0), true));
    assert_eq!(Ran::of(&mut place.command(&["resume"])).ok().text(), "nothing is paused\n");
}

#[test]
fn an_interrupt_brings_them_back_unless_something_was_replaced() {
    let Some(place) = Place::new() else { return };
    place.mark();
    // While the pods are waited for.
    place.api.world().objects.get_mut(WEB).expect("it is there").is_stuck = true;
    let child = place.restore(&[]).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn();
    let child = child.expect("it starts");
    until("it is scaled down", || place.replicas() == (0, 0, 0));
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    Ran::ended(&child.wait_with_output().expect("it ends"), "interrupted".to_owned()).fails(130, &["interrupted"]);
    assert_eq!((place.replicas(), place.is_old()), ((3, 2, 0), true));
    place.api.world().objects.get_mut(WEB).expect("it is there").is_stuck = false;
    // While what was restored is looked at.
    end_in_check(&place, Signal::INT).fails_with_hint(5, &["deployment/web=3 in shop", "interrupted"]);
    assert_eq!((place.replicas(), place.is_old()), ((0, 0, 0), false));
    // The same again, which succeeds.
    place.mark();
    Ran::of(&mut place.restore(&[])).ok();
    assert_eq!((place.replicas(), place.is_old()), ((3, 2, 0), false));
    assert_eq!(Ran::of(&mut place.command(&["resume"])).ok().text(), "nothing is paused\n");
}

#[test]
fn an_interrupt_while_rows_are_loaded_beside_brings_them_back() {
    let Some(place) = Place::new() else { return };
    place.server.psql(
        "shop",
        "CREATE TABLE app.big AS SELECT i, sha512(i::text::bytea) AS a, sha512((-i)::text::bytea) AS b FROM generate_series(1, 60000) i;
         CREATE INDEX ON app.big (a)",
    );
    place.sink.backup(&place.server, &["--database", "shop"]);
    place.mark();
    let child = place.restore(&[]).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn();
    let child = child.expect("it starts");
    let loads =
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname <> 'shop' AND query LIKE 'COPY %' AND state = 'active'";
    until("rows are loaded", || place.server.psql("postgres", loads) == "t");
    assert_eq!(place.replicas(), (0, 0, 0), "they are down");
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    Ran::ended(&child.wait_with_output().expect("it ends"), "interrupted".to_owned()).fails(130, &["interrupted"]);
    assert_eq!((place.replicas(), place.is_old()), ((3, 2, 0), true));
}

#[test]
fn what_was_replaced_and_is_not_as_it_should_be_is_not_served() {
    let Some(place) = Place::new() else { return };
    let wrong = ["--check-sql", "SELECT 1/0"];
    Ran::of(&mut place.restore(&wrong)).fails_with_hint(5, &["deployment/web=3 in shop", "division by zero"]);
    assert_eq!(place.replicas(), (0, 0, 0));
    Ran::of(&mut place.restore(&wrong)).fails_with_hint(5, &["still down: deployment/web=3 in shop", "division by zero"]);
    // Somebody starts one: then nothing is restored beneath it.
    place.api.world().scale(WEB, 1);
    place.mark();
    Ran::of(&mut place.restore(&[])).fails_with_hint(5, &["an earlier restore broke off, and deployment/web=1 in shop"]);
    assert!(place.is_old());
    // Nor if only the other one is named.
    let other = ["restore", "latest", "--database", "shop", "--clean", "--scale-down", "sts/worker"];
    let words = ["still down: deployment/web=3 in shop", "somebody started deployment/web in shop meanwhile"];
    Ran::of(&mut place.command(&other)).fails_with_hint(5, &words);
    assert_eq!((place.replicas(), place.is_old()), ((1, 0, 0), true));
    Ran::of(&mut place.command(&["resume"])).ok();
    assert_eq!(place.replicas(), (1, 2, 0), "what somebody scaled stays so");
    // A role that may not make another database fills the empty one, which is half full then.
    place.server.psql("postgres", "CREATE ROLE own LOGIN");
    place.server.psql("postgres", "CREATE DATABASE held OWNER own");
    let mut fills = place.command(&["restore", "latest", "--database", "shop", "--as", "held", "--scale-down", WEB]);
    Ran::of(fills.env("PGUSER", "own")).fails_with_hint(5, &["deployment/web=1 in shop", "filled in place"]);
    assert_eq!(place.replicas(), (0, 2, 0));
}

#[test]
fn an_application_that_cannot_be_brought_back_is_exit_code_5() {
    let Some(place) = Place::new() else { return };
    place.api.world().objects.get_mut(WEB).expect("it is there").is_broken = true;
    // It becomes ready on no try.
    let ran = Ran::of(&mut place.restore(&["--scale-timeout", "3"]));
    ran.fails_with_hint(5, &["still stopped and cannot be started", "0 of 3 replicas"]);
    place.api.world().objects.get_mut(WEB).expect("it is there").is_broken = false;
    Ran::of(&mut place.command(&["resume"])).ok();
    assert_eq!(place.replicas(), (3, 2, 0));
}

#[test]
fn what_cannot_be_meant_is_usage() {
    let sink = Sink::new();
    for (arguments, what) in [
        (&["--scale-down", "pod/web"] as &[_], "pod"),
        (&["--scale-down", "web"], "web"),
        (&["--scale-down", "deployment/../x"], "../x"),
        (&["--scale-down", "deployment/web", "--namespace", "a/b"], "a/b"),
    ] {
        let ran = sink.offline(&[&["restore", "latest"], arguments].concat());
        assert!(ran.code == 2 && ran.err.contains(what), "{ran:?}");
    }
}
