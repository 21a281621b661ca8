//! Runs that are killed at any moment, and changes beside a run that goes on.

use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use backup_tests::{Major, Server, judge};

use crate::program::{Sink, until};
use crate::shop;

/// Delays from a seed, spread over `span` and a little more.
struct Moments(u64, Duration);

impl Moments {
    fn next(&mut self) -> Duration {
        // xorshift64 (Marsaglia 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.1 * u32::try_from(self.0 % 1100).unwrap_or_default() / 1000
    }
}

/// Lets it run for a while and ends it without a word. Whether it had ended by itself.
fn killed_after(mut child: Child, delay: Duration) -> bool {
    thread::sleep(delay);
    let ended = child.try_wait().expect("it is ours").is_some();
    let _ = child.kill();
    let _ = child.wait();
    ended
}

/// Waits until the server has done all that a run has asked for: it knows late that nobody waits for the answer, and renames,
/// drops and ends sessions meanwhile.
fn until_left_alone(server: &Server) {
    let there = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg-backup'";
    until("its server processes have seen it", || server.psql("postgres", there) == "0");
}

#[track_caller]
fn assert_shop(source: &Server, target: &Server, when: &str) {
    if let Some(difference) = judge::difference_of(&shop::pg_dump(source, "shop", &[]), &shop::pg_dump(target, "shop", &[])) {
        panic!("{when}: {difference}");
    }
}

/// `rounds` times a backup is killed, at moments from `seed`.
fn backups_killed(rounds: u32, seed: u64) {
    let Some(source) = Server::start(Major::V17) else { return };
    shop::fill(&source);
    let sink = Sink::new();
    let begun = Instant::now();
    sink.backup(&source, &[]);
    let mut moments = Moments(seed, begun.elapsed());
    let mut whole = sink.listed();
    for round in 0..rounds {
        let delay = moments.next();
        let ended = killed_after(sink.start(&source, &["backup"]), delay);
        let listed = sink.listed();
        let new: Vec<_> = listed.iter().filter(|id| !whole.contains(id)).collect();
        assert!(whole.iter().all(|id| listed.contains(id)), "round {round}, {delay:?}: a backup is gone");
        assert!(!ended || new.len() == 1, "round {round}, {delay:?}: it ended and there is no backup");
        for id in new {
            sink.offline(&["verify", id]).ok();
        }
        whole = listed;
    }
    sink.backup(&source, &["--verify"]);
    assert_eq!(sink.listed().len(), whole.len() + 1);
    let target = Server::start(Major::V17).expect("the programs are there");
    sink.on(&target, &["restore", "latest"]).ok();
    judge::assert_same(&source, &target);
}

/// `rounds` times a restore is killed, at moments from `seed`: into nothing, and over a database that is there.
fn restores_killed(rounds: u32, seed: u64) {
    let (Some(source), Some(target)) = (Server::start(Major::V17), Server::start(Major::V17)) else { return };
    shop::fill(&source);
    let sink = Sink::new();
    sink.backup(&source, &[]);
    let begun = Instant::now();
    sink.on(&target, &["restore", "latest", "--database", "shop"]).ok();
    target.psql("postgres", "CREATE DATABASE copy TEMPLATE shop OWNER shop_owner");
    let mut moments = Moments(seed, begun.elapsed());
    let names = |target: &Server| target.psql("postgres", "SELECT datname FROM pg_database WHERE datname = 'shop'");
    for round in 0..rounds {
        let over = round % 2 == 0;
        if over {
            if names(&target).is_empty() {
                target.psql("postgres", "CREATE DATABASE shop TEMPLATE copy OWNER shop_owner");
            }
            target.psql("shop", "CREATE TABLE IF NOT EXISTS public.mine (id int)");
        } else if !names(&target).is_empty() {
            target.psql("postgres", "DROP DATABASE shop");
        }
        let delay = moments.next();
        let mut arguments = vec!["restore", "latest", "--database", "shop"];
        arguments.extend(over.then_some("--clean"));
        killed_after(sink.start(&target, &arguments), delay);
        until_left_alone(&target);
        let when = format!("round {round}, {delay:?}");
        if over {
            // What was there, or what was restored.
            assert_eq!(names(&target), "shop", "{when}: it is gone");
            let mine = target.psql("shop", "SELECT to_regclass('public.mine') IS NOT NULL");
            target.psql("shop", "DROP TABLE IF EXISTS public.mine");
            assert_shop(&source, &target, &format!("{when}, what was there {}", if mine == "t" { "stays" } else { "went" }));
        } else if !names(&target).is_empty() {
            assert_shop(&source, &target, &when);
        }
    }
    sink.on(&target, &["restore", "latest", "--database", "shop", "--clean"]).ok();
    assert_shop(&source, &target, "the next run");
    assert_eq!(shop::databases(&target), "copy,shop", "what the killed runs left is gone");
}

#[test]
fn thirty_backups_killed_leave_nothing_listed_that_is_not_whole() {
    backups_killed(30, 0x9e37_79b9_7f4a_7c15);
}

#[test]
fn thirty_restores_killed_leave_no_half_database_under_its_name() {
    restores_killed(30, 0x2545_f491_4f6c_dd1d);
}

#[test]
#[ignore = "soak: hundreds of runs"]
fn hundreds_of_runs_killed() {
    for seed in 1..=5 {
        backups_killed(60, seed * 0x9e37_79b9);
        restores_killed(60, seed * 0x2545_f491);
    }
}

#[test]
fn definitions_that_change_beside_backups() {
    let (Some(source), Some(target)) = (Server::start(Major::V17), Server::start(Major::V17)) else { return };
    source.psql("postgres", "CREATE DATABASE busy");
    source.psql(
        "busy",
        "CREATE TABLE hundred AS SELECT i FROM generate_series(1, 100) i; CREATE TABLE fleeting (x int); CREATE TABLE pair (a int, b int);
         INSERT INTO pair VALUES (0, 0)",
    );
    let changes = "BEGIN; TRUNCATE hundred; INSERT INTO hundred SELECT generate_series(1, 100); COMMIT;
        ALTER TABLE hundred ADD COLUMN more int DEFAULT 1;
        BEGIN; UPDATE pair SET a = a + 1; UPDATE pair SET b = b + 1; COMMIT;
        DROP TABLE fleeting; CREATE TABLE fleeting (x int, y text); INSERT INTO fleeting VALUES (1, 'one');
        ALTER TABLE hundred DROP COLUMN more; VACUUM FULL hundred; ALTER TABLE pair ALTER a TYPE bigint; ALTER TABLE pair ALTER a TYPE int;";
    let sink = Sink::new();
    let over = AtomicBool::new(false);
    let mut taken = 0;
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                if let Err(error) = source.try_psql("busy", changes) {
                    return Some(error);
                }
            }
            None
        });
        for round in 0..10 {
            let ran = sink.on(&source, &["backup", "--database", "busy"]);
            if ran.code == 0 {
                taken += 1;
                let name = format!("busy_{round}");
                sink.on(&target, &["restore", "latest", "--database", "busy", "--as", &name]).ok();
                let facts = target.psql(&name, "SELECT count(*), sum(i), (SELECT bool_and(a = b) FROM pair) FROM hundred");
                assert_eq!(facts, "100|5050|t", "round {round}");
                target.psql("postgres", &format!("DROP DATABASE {name}"));
            } else {
                ran.fails(1, &[]);
            }
        }
        over.store(true, Ordering::Relaxed);
        assert_eq!(writer.join().expect("the writer ends"), None, "no run keeps the writer from its work");
    });
    assert_eq!(sink.listed().len(), taken);
    // In peace it succeeds.
    sink.on(&source, &["backup", "--database", "busy"]).ok();
}

#[test]
fn transactions_beside_a_backup_are_in_it_whole_or_not_at_all() {
    let (Some(source), Some(target)) = (Server::start(Major::V17), Server::start(Major::V17)) else { return };
    let pgbench = |arguments: &[&str]| {
        let mut command = source.command("pgbench");
        command.args(arguments).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command.spawn().expect("pgbench runs")
    };
    source.psql("postgres", "CREATE DATABASE bench");
    assert!(pgbench(&["-i", "-q", "-s", "1", "bench"]).wait().expect("it ends").success());
    let mut load = pgbench(&["-c", "2", "-T", "600", "-n", "bench"]);
    let sink = Sink::new();
    until("there is load", || source.psql("bench", "SELECT count(*) > 20 FROM pgbench_history") == "t");
    let during = source.psql("bench", "SELECT count(*) FROM pgbench_history");
    let runs: Vec<_> = (0..3).map(|_| sink.backup(&source, &["--database", "bench"])).collect();
    let _ = load.kill();
    let _ = load.wait();
    let after = source.psql("bench", "SELECT count(*) FROM pgbench_history");
    assert_ne!(during, after, "there was load");
    for (at, run) in runs.iter().enumerate() {
        let (id, name) = (run.file_name().expect("an ID").to_string_lossy().into_owned(), format!("bench_{at}"));
        sink.on(&target, &["restore", &id, "--database", "bench", "--as", &name]).ok();
        let sums = "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = d AND (SELECT sum(tbalance) FROM pgbench_tellers) = d \
                    AND (SELECT sum(bbalance) FROM pgbench_branches) = d FROM (SELECT sum(delta) AS d FROM pgbench_history) h";
        assert_eq!(target.psql(&name, sums), "t", "{name}");
    }
}
