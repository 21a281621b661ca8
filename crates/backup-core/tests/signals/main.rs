//! The bracket with real processes: real services, real signals, and SIGKILL at every point and at any moment.
//!
//! The services `a`, `b` and `c` run, `d` does not. The program under test stops them, works and brings them back; at each
//! point of its way it says `@point` and waits for a line, so that a signal meets it exactly there.

mod machine;
mod program;
mod unit;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use backup_core::OnFailure;
use backup_core::journal::Phase;
use backup_core::testing_lifecycle::lifecycle_contract;
use rustix::process::Signal;

use machine::{Machine, Processes};

/// Every point in the order in which the program passes them.
const POINTS: [&str; 19] = [
    "asked",
    "pause",
    "stopping c",
    "stopped c",
    "stopping b",
    "stopped b",
    "stopping a",
    "stopped a",
    "working",
    "worked",
    "held",
    "committing",
    "committed",
    "resume",
    "started a",
    "started b",
    "started c",
    "resumed",
    "struck",
];

/// Where a Hold holds: from the moment the work begins until it is on disk that it is over.
const HELD: [&str; 5] = ["working", "worked", "held", "committing", "committed"];

/// Where a signal cuts the run short; elsewhere it goes on to its end.
const CUT: [&str; 11] = [
    "asked",
    "pause",
    "stopping c",
    "stopped c",
    "stopping b",
    "stopped b",
    "stopping a",
    "stopped a",
    "working",
    "worked",
    "held",
];

const FAILED: i32 = 1;
const STILL_PAUSED: i32 = 5;
const BUSY: i32 = 75;
const INTERRUPTED: i32 = 130;

/// Not a test: what the tests start, as a process of its own.
#[test]
fn the_program() {
    program::main();
}

#[tokio::test]
async fn real_services_keep_the_contract() {
    let machine = Machine::new();
    lifecycle_contract(|| Processes::new(machine.folder())).await;
    assert_eq!(machine.up(), ["a", "b", "c"]);
}

#[test]
fn an_undisturbed_run_passes_every_point() {
    for on_failure in [OnFailure::Resume, OnFailure::Hold] {
        let machine = Machine::new();
        let mut run = machine.start("run", Some(on_failure));
        for point in POINTS {
            assert!(run.reaches(point), "{point}");
            let down = !["asked", "pause", "resumed", "struck", "started c"].contains(&point);
            assert_eq!(machine.up().len() < 3, down, "{point}");
            assert_eq!(machine.has_entry(), !["asked", "struck"].contains(&point), "{point}");
            run.go_on();
        }
        assert_eq!(run.ends(), 0);
    }
}

#[test]
fn sigkill_at_every_point_of_a_backup() {
    sigkill_at_every_point(OnFailure::Resume);
}

#[test]
fn sigkill_at_every_point_of_a_restore() {
    sigkill_at_every_point(OnFailure::Hold);
}

fn sigkill_at_every_point(on_failure: OnFailure) {
    for point in POINTS {
        let machine = Machine::new();
        let mut run = machine.start("run", Some(on_failure));
        assert!(run.passes_to(point), "{point}");
        run.signal(Signal::KILL);
        assert_ne!(run.ends(), 0);
        let left = machine.entry();
        assert_eq!(left.is_some(), !["asked", "struck"].contains(&point), "{point}: {left:?}");
        let survivors = machine.pids();

        if on_failure == OnFailure::Hold && HELD.contains(&point) {
            let mut recover = machine.start("recover", None);
            assert_eq!(recover.ends(), STILL_PAUSED, "{point}");
            assert_eq!(machine.pids(), survivors, "{point}: recover() touches nothing that is held");
            assert_eq!(left.map(|entry| entry.phase), Some(Phase::Working));
            is_brought_back(&machine, "resume", &survivors, "=back a, b, c");
        } else {
            let answer = if left.is_some() { "=back a, b, c" } else { "=nothing" };
            is_brought_back(&machine, "recover", &survivors, answer);
        }
    }
}

/// A new process brings everything back and starts only what ran and was stopped; the next one finds nothing to do.
#[track_caller]
fn is_brought_back(machine: &Machine, command: &str, survivors: &BTreeMap<String, i32>, answer: &str) {
    let mut back = machine.start(command, None);
    assert_eq!(back.ends(), 0, "{:?}", back.said());
    assert_eq!(back.said(), [answer]);
    assert_eq!(machine.up(), ["a", "b", "c"]);
    let after = machine.pids();
    assert!(survivors.iter().all(|(unit, pid)| after.get(unit) == Some(pid)), "what still ran was left alone");

    let mut again = machine.start("recover", None);
    assert_eq!((again.ends(), again.said()), (0, vec!["=nothing".to_owned()]));
    assert_eq!(machine.pids(), after, "there was nothing to do");
    assert!(machine.entry().is_none());
}

#[test]
fn sigint_sigterm_and_sighup_in_a_backup() {
    signals(OnFailure::Resume);
}

#[test]
fn sigint_sigterm_and_sighup_in_a_restore() {
    signals(OnFailure::Hold);
}

fn signals(on_failure: OnFailure) {
    let kinds = [Signal::INT, Signal::TERM, Signal::HUP];
    for (nth, point) in POINTS.into_iter().enumerate() {
        for signal in kinds.into_iter().enumerate().filter(|(kind, _)| point == "working" || nth % 3 == *kind).map(|(_, it)| it)
        {
            let machine = Machine::new();
            let mut run = machine.start("run", Some(on_failure));
            assert!(run.passes_to(point), "{point}");
            run.signal(signal);
            assert!(run.says("=signal"), "{point}");
            let cut = CUT.contains(&point);
            if !cut {
                run.go_on();
            }
            let held = on_failure == OnFailure::Hold && cut && HELD.contains(&point);
            let expected = if held {
                STILL_PAUSED
            } else if cut {
                INTERRUPTED
            } else {
                0
            };
            assert_eq!(run.ends(), expected, "{signal:?} at {point}: {:?}", run.said());
            assert_eq!(machine.is_committed(), !cut, "{signal:?} at {point}");
            if held {
                assert_eq!((machine.up().len(), machine.has_entry()), (0, true), "{signal:?} at {point}");
                is_brought_back(&machine, "resume", &BTreeMap::new(), "=back a, b, c");
            } else {
                assert_eq!((machine.up().join(""), machine.has_entry()), ("abc".to_owned(), false), "{signal:?} at {point}");
            }
        }
    }
}

#[test]
fn sigkill_in_a_recovery() {
    for command in ["recover", "resume"] {
        let machine = Machine::new();
        let mut run = machine.start("run", Some(OnFailure::Resume));
        assert!(run.passes_to("working"));
        run.signal(Signal::KILL);
        run.ends();
        for point in ["resume", "started a", "started b", "started c"] {
            let mut back = machine.start_announcing(command);
            assert!(back.passes_to(point), "{command} to {point}");
            back.signal(Signal::KILL);
            back.ends();
            assert!(machine.entry().is_some(), "the entry stays until all is back");
        }
        is_brought_back(&machine, command, &machine.pids(), "=back a, b, c");
    }
}

#[test]
fn a_second_run_is_told_which_process_holds_the_job() {
    let machine = Machine::new();
    let mut first = machine.start("run", Some(OnFailure::Resume));
    assert!(first.passes_to("working"));
    for command in ["run", "recover", "resume"] {
        let mut second = machine.start(command, Some(OnFailure::Resume));
        assert_eq!(second.ends(), BUSY);
        let process = format!("process {}", first.pid());
        assert!(second.said().iter().any(|line| line.ends_with(&process)), "{:?}", second.said());
    }
    first.go_on();
    assert_eq!(first.ends(), 0);
}

#[test]
fn a_service_that_somebody_starts_meanwhile_voids_the_work() {
    let machine = Machine::new();
    let mut run = machine.start("run", Some(OnFailure::Resume));
    assert!(run.passes_to("worked"));
    machine.start_unit("b");
    run.go_on();
    assert_eq!(run.ends(), FAILED);
    assert_eq!((machine.is_committed(), machine.up().len()), (false, 3));
}

#[test]
fn sigkill_at_thirty_moments() {
    let machine = Machine::new();
    // A fixed seed (splitmix64): the points are always the same, the moments between them are the machine's.
    let mut seed = 20_261_120_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 31) % below
    };
    for kill in 0..30 {
        let on_failure = if random(3) == 0 { OnFailure::Hold } else { OnFailure::Resume };
        let mut run = machine.start("run", Some(on_failure));
        run.never_waits();
        for _ in 0..random(POINTS.len() as u64) {
            run.hears();
        }
        let moment = Instant::now() + Duration::from_micros(random(4000));
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        run.signal(Signal::KILL);
        run.ends();

        let left = machine.entry();
        assert!(left.is_some() || machine.up().len() == 3, "kill {kill}: what is stopped is in the journal");
        let mut recover = machine.start("recover", None);
        match recover.ends() {
            0 => {}
            STILL_PAUSED => {
                assert!(left.is_some_and(|entry| entry.is_held()), "kill {kill}: {:?}", recover.said());
                assert_eq!(machine.start("resume", None).ends(), 0, "kill {kill}");
            }
            other => panic!("kill {kill}: recover ends with {other}: {:?}", recover.said()),
        }
        assert_eq!(machine.up(), ["a", "b", "c"], "kill {kill}");
        let pids = machine.pids();
        let mut again = machine.start("recover", None);
        assert_eq!((again.ends(), again.said()), (0, vec!["=nothing".to_owned()]), "kill {kill}");
        assert_eq!(machine.pids(), pids, "kill {kill}");
    }
}
