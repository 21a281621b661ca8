//! Runs that a signal asks to end: they end with 130 and leave nothing half done.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;

use backup_tests::{Major, Server, judge};
use rustix::process::{Pid, Signal, kill_process};

use crate::program::{Ran, Sink, until};
use crate::shop;

const ASKING: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::HUP];

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("it runs");
}

fn wait(child: Child) -> Ran {
    let output = child.wait_with_output().expect("it ends");
    Ran::ended(&output, "a run".to_owned())
}

/// A shop with a table whose rows take a while.
fn source() -> Option<Server> {
    let source = Server::start(Major::V17)?;
    shop::fill(&source);
    source.psql(
        "shop",
        "CREATE TABLE app.big AS SELECT i, sha512(i::text::bytea) AS a, sha512((-i)::text::bytea) AS b FROM generate_series(1, 60000) i;
         CREATE INDEX ON app.big (a)",
    );
    Some(source)
}

const COPYING: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg-backup' AND query LIKE 'COPY %' AND state = 'active'";

fn is_copying(server: &Server) -> bool {
    server.psql("postgres", COPYING) != "0"
}

#[test]
fn a_backup_a_dump_and_a_restore() {
    let (Some(source), Some(target)) = (source(), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    for signal in ASKING {
        let run = sink.start(&source, &["backup"]);
        until("rows are read", || is_copying(&source));
        send(&run, signal);
        wait(run).fails(130, &[]);
        assert_eq!(sink.listed(), [""; 0]);
    }
    // Also while it waits for somebody else.
    let mut holder = source.command("psql");
    let mut holder = holder.args(["-XAtq", "-d", "shop", "-c", "BEGIN; LOCK TABLE app.log; SELECT pg_sleep(600)"]).spawn();
    let holder = holder.as_mut().expect("psql runs");
    let held =
        "SELECT count(*) FROM pg_locks WHERE relation = 'app.log'::regclass AND mode = 'AccessExclusiveLock' AND granted";
    until("the table is locked", || source.psql("shop", held) == "1");
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg-backup' AND wait_event_type = 'Lock'";
    let run = sink.start(&source, &["backup"]);
    until("the run waits", || source.psql("postgres", waiting) != "0");
    send(&run, Signal::HUP);
    wait(run).fails(130, &[]);
    source.psql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    let _ = holder.wait();
    assert_eq!(sink.listed(), [""; 0]);

    for signal in ASKING {
        let mut run = sink.start(&source, &["dump"]);
        until("rows are read", || is_copying(&source));
        send(&run, signal);
        // It ends although nobody reads what it wrote.
        until("it ends", || run.try_wait().expect("it is ours").is_some());
        let mut written = Vec::new();
        run.stdout.take().expect("piped").read_to_end(&mut written).expect("read");
        wait(run).fails(130, &[]);
        assert!(!String::from_utf8_lossy(&written).contains("End of the dump"), "it is not whole and says so");
    }

    sink.backup(&source, &[]);
    for signal in ASKING {
        let run = sink.start(&target, &["restore", "latest"]);
        until("rows are loaded", || is_copying(&target));
        send(&run, signal);
        wait(run).fails(130, &[]);
        assert_eq!(shop::databases(&target), "", "nothing is left");
    }
    sink.on(&target, &["restore", "latest"]).ok();
    judge::assert_same(&source, &target);
}

/// The only folder in `scratch`, once there is one.
fn only(scratch: &Path) -> Option<PathBuf> {
    let mut folders = fs::read_dir(scratch).expect("a folder").flatten();
    let folder = folders.next()?.path();
    assert!(folders.next().is_none(), "more than one folder");
    Some(folder)
}

#[test]
fn a_proof_takes_its_server_and_its_files_along() {
    let Some(source) = source() else { return };
    let sink = Sink::new();
    sink.backup(&source, &[]);
    let scratch = tempfile::tempdir().expect("a folder");
    fs::set_permissions(scratch.path(), PermissionsExt::from_mode(0o711)).expect("its mode");
    let place = scratch.path().to_string_lossy().into_owned();
    let prove = ["prove", "latest", "--scratch-dir", &place];
    // Whether rows are being loaded there.
    let is_loading = || {
        let Some(folder) = only(scratch.path()) else { return false };
        let mut psql = source.command("psql");
        psql.env("PGHOST", folder).env("PGPORT", "5432").args(["-XAtqc", COPYING]);
        psql.output().is_ok_and(|output| output.status.success() && output.stdout != b"0\n")
    };
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        let run = sink.start(&source, &prove);
        until("rows are loaded", is_loading);
        let folder = only(scratch.path()).expect("it is there");
        let pid = fs::read_to_string(folder.join("data/postmaster.pid")).expect("the server runs");
        let stat = Path::new("/proc").join(pid.lines().next().expect("its process")).join("stat");
        // Gone, or only its exit status is left for somebody to collect.
        let is_over = || {
            fs::read_to_string(&stat).map_or(true, |stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
        };
        assert!(!is_over(), "the server runs");
        send(&run, signal);
        let ran = wait(run);
        if signal == Signal::KILL {
            until("the server ends", is_over);
            let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
            assert!(name.starts_with("pg-scratch-"), "the manual says another name: {name}");
        } else {
            ran.fails(130, &[]);
            assert!(is_over(), "the server outlives its run");
            assert_eq!(only(scratch.path()), None, "its files are left");
        }
        assert!(!sink.offline(&["list"]).ok().text().contains("proven"));
    }
    // The next one takes along what the killed one has left.
    sink.on(&source, &prove).ok();
    assert_eq!(only(scratch.path()), None);
}
