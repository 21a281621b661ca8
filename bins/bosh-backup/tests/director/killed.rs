//! A backup or a restore is killed at any step, nobody runs anything afterwards, and all that ran runs again.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::scene::Scene;

/// How many seconds the guard waits. On a machine that has much to do a run loses so short a lease before it comes to the step that it is
/// to be killed at: then it is tried again with a longer one.
const LEASES: [u64; 5] = [5, 15, 45, 90, 180];

/// Kills a run with SIGKILL as soon as it tells that `step` begins; whether it came to that.
fn kill_at(scene: &Scene, arguments: &[&str], step: &str, lease: u64) -> bool {
    let mut program = scene.program(arguments);
    program.env("BOSH_BACKUP_LEASE", lease.to_string()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut run = program.spawn().expect("it runs");
    let lines = BufReader::new(run.stderr.take().expect("stderr is piped")).lines();
    let is_step = |line: String| serde_json::from_str::<Value>(&line).is_ok_and(|event| event["what"] == step);
    let came = lines.map_while(Result::ok).any(is_step);
    run.kill().expect("it is killed");
    run.wait().expect("it is gone");
    came
}

/// Kills a run at that step. All that ran must run again, `within` so long after the lease if that is said.
pub(crate) fn killed_at(scene: &Scene, arguments: &[&str], step: &str, within: Option<Duration>) {
    let lease = LEASES.into_iter().find(|lease| kill_at(scene, arguments, step, *lease));
    let lease = Duration::from_secs(lease.unwrap_or_else(|| panic!("no run came to the step {step:?}")));
    let since = Instant::now();
    // Until the lease has run out it is not known whether all is up for good.
    std::thread::sleep(lease);
    scene.wait_until_up(&["agent", "director", "postgres"]);
    let back = since.elapsed();
    assert!(within.is_none_or(|within| back < lease + within), "{step}: up again after {back:?}");
}

/// Kills a backup at each of `steps`.
fn backup_killed_at(steps: &[&str], within: Option<Duration>) {
    let Some(scene) = Scene::start() else { return };
    scene.stopped_before("nats");
    for step in steps {
        let before = scene.out();
        killed_at(&scene, &["--json", "backup"], step, within);
        for name in scene.out().iter().filter(|name| !before.contains(name) && name.ends_with("gz") && !name.starts_with('.')) {
            assert_eq!(*step, "write the archive", "{name} is seen");
            // It was written before the kill came: then it is whole.
            scene.run(&["verify", &scene.at("out").join(name).display().to_string()], 0);
        }
    }
    // The next run finds out, and leaves nothing behind.
    let said = scene.run(&["--json", "backup"], 0);
    assert!(said.result()["archive"].is_string());
    assert!(scene.out().iter().all(|name| !name.starts_with('.')), "{:?}", scene.out());
    assert_eq!(scene.traces(), "");
    assert_eq!(scene.up(), ["agent", "director", "postgres"], "what was stopped before stays so");
}

/// Kills a restore at each of `steps`.
fn restore_killed_at(steps: &[&str], within: Option<Duration>) {
    let Some(scene) = Scene::start() else { return };
    scene.stopped_before("nats");
    scene.backed_up();
    let count = "SELECT count(*) FROM instances";
    for step in steps {
        scene.psql("bosh", "DELETE FROM instances");
        killed_at(&scene, &["--json", "restore", "--yes", "--keep"], step, within);
        // What was there or what came back, and nothing between.
        let rows = scene.psql("bosh", count);
        assert!(["0", "1000"].contains(&rows.as_str()), "{step}: {rows} rows");
    }
    // The next run finds out, and what the killed ones had loaded goes.
    scene.run(&["restore", "--yes"], 0);
    assert_eq!(scene.psql("bosh", count), "1000");
    let working = "SELECT count(*) FROM pg_database WHERE datname LIKE 'bosh_backup_restoring_%'";
    assert_eq!(scene.psql("postgres", working), "0");
    assert_eq!(scene.traces(), "");
    assert_eq!(scene.run(&["resume"], 0).out.trim(), "nothing was left stopped");
    assert_eq!(scene.up(), ["agent", "director", "postgres"], "what was stopped before stays so");
}

#[test]
#[ignore = "minutes: one of the long tests"]
fn a_backup_that_is_killed_while_services_are_down_leaves_none_down() {
    backup_killed_at(&["dump databases", "copy what changed"], None);
}

#[test]
fn a_restore_that_is_killed_while_services_are_down_leaves_none_down_and_no_half_of_a_database() {
    restore_killed_at(&["start postgres", "give databases their names"], None);
}

#[test]
#[ignore = "minutes: one of the long tests"]
fn a_backup_that_is_killed_at_any_step_leaves_nothing_down() {
    let steps = [
        "look whether all is ready",
        "copy files while services run",
        "stop services, then the agent",
        "start postgres",
        "dump databases",
        "stop postgres",
        "copy what changed",
        "start services, then the agent",
        "write the archive",
    ];
    backup_killed_at(&steps, Some(Duration::from_secs(60)));
}

#[test]
#[ignore = "minutes: one of the long tests"]
fn a_restore_that_is_killed_at_any_step_leaves_nothing_down_and_no_half_of_a_database() {
    let steps = [
        "read the archive to its end",
        "look whether all is ready",
        "load databases beside those that are there",
        "stop services, then the agent",
        "start postgres",
        "give databases their names",
        "start services, then the agent",
    ];
    restore_killed_at(&steps, Some(Duration::from_secs(60)));
}
