//! What a run tells of what it does, and where it goes when it is not told where.

use std::fs;
use std::process::Command;

use backup_tests::{Major, Server, judge};
use rustix::process::{Pid, Signal, kill_process};

use crate::program::{Ran, Sink, until};
use crate::{forge, shop};

#[test]
fn a_scratch_server_that_is_the_original_is_refused() {
    let Some(source) = Server::start(Major::V17) else { return };
    shop::fill(&source);
    let sink = Sink::new();
    sink.backup(&source, &["--database", "shop"]);
    // What would tell that it was touched.
    source.psql(
        "postgres",
        "ALTER ROLE shop_owner CONNECTION LIMIT 7; CREATE DATABASE other; ALTER DATABASE shop RENAME TO renamed",
    );
    let untouched = source.pg_dumpall(&[]);
    // The port alone: the host is that of the environment.
    for scratch in [format!("port={}", source.port()), source.url()] {
        sink.on(&source, &["prove", "latest", "--scratch", &scratch])
            .fails_with_hint(8, &["127.0.0.1", "is not empty", "database renamed"]);
    }
    assert_eq!(judge::difference_of(&untouched, &source.pg_dumpall(&[])), None);
    // Without databases and roles it is an empty server as any other.
    source.psql("postgres", "DROP DATABASE other");
    source.psql("postgres", "DROP DATABASE renamed");
    source.psql("postgres", "DROP ROLE shop_owner; DROP ROLE shop_reader");
    sink.on(&source, &["prove", "latest", "--scratch", &source.url()]).ok();
    sink.offline(&["prove", "latest", "--scratch", "host=127.0.0.1 port=1"]).fails(8, &["nothing listens there"]);
}

#[test]
fn every_difference_is_told_up_to_a_hundred() {
    let (Some(source), Some(target)) = (Server::start(Major::V17), Server::start(Major::V17)) else { return };
    source.psql("postgres", "CREATE DATABASE many");
    let tables: String = (1..=120).map(|n| format!("CREATE SEQUENCE s{n};")).collect();
    source.psql("many", &tables);
    let sink = Sink::new();
    let backup = sink.backup(&source, &["--database", "many"]);
    for (count, shown) in [(5, 5), (120, 100)] {
        let mut left = count;
        forge::manifest(&backup, |manifest| {
            let sequences =
                manifest.parts.iter_mut().filter_map(|part| part.facts.get_mut("sequences")?.as_array_mut()).flatten();
            for sequence in sequences {
                let last = if left > 0 { 42 + count } else { 1 };
                left = i32::max(left - 1, 0);
                sequence["last"] = last.into();
            }
        });
        let ran =
            sink.on(&target, &["prove", "latest", "--scratch", &target.url()]).fails(6, &[&format!("{count} differences")]);
        let told = ran.text().lines().filter(|line| line.contains("sequence public.s")).count();
        assert_eq!(told, shown, "{}", ran.text());
        target.psql("postgres", "DROP DATABASE many");
    }
}

#[test]
fn a_restore_is_told_before_a_check_that_fails_or_is_interrupted() {
    let (Some(source), Some(target)) = (shop::server(), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    sink.backup(source, &["--database", "shop"]);
    let restore = |name, check| ["restore", "latest", "--database", "shop", "--as", name, "--check-sql", check];
    let ran = sink.on(&target, &restore("one", "SELECT * FROM app.nothing")).fails(8, &["app.nothing"]);
    assert!(ran.text().starts_with("restored "), "{}", ran.text());
    assert_eq!(shop::databases(&target), "one");
    // Nothing that a row holds moves the cursor.
    let evil = "SELECT E'a\\x1b[2J\\nb' AS \"c\x1b[1m\"";
    let ran = sink.on(&target, &restore("two", evil)).ok();
    assert!(ran.text().contains("a [2J b"), "{}", ran.text());
    assert_eq!(ran.text().chars().find(|c| c.is_control() && *c != '\n'), None);
    let run = sink.start(&target, &restore("three", "SELECT pg_sleep(600)"));
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    until("the check runs", || target.psql("postgres", sleeps) == "1");
    // While it reads, nothing is pruned.
    sink.offline(&["prune", "--keep-last", "1"]).fails_with_hint(75, &["read"]);
    kill_process(Pid::from_child(&run), Signal::INT).expect("it runs");
    let ran = Ran::ended(&run.wait_with_output().expect("it ends"), "a check".into()).fails(130, &[]);
    assert!(ran.text().starts_with("restored "), "{}", ran.text());
}

#[test]
fn the_database_is_postgres_unless_one_is_named() {
    let Some(source) = Server::start(Major::V17) else { return };
    source.psql("postgres", "CREATE ROLE backup SUPERUSER LOGIN; CREATE DATABASE named");
    let sink = Sink::new();
    let port = source.port();
    let globals = |server: &str| {
        let ran = sink.offline(&["dump", "--globals-only", "--server", server]);
        ran.code
    };
    let url = format!("postgresql://backup@127.0.0.1:{port}");
    assert_eq!(globals(&url), 0, "there is no database backup");
    let services = sink.folder().join("services");
    fs::write(&services, format!("[mine]\nhost=127.0.0.1\nport={port}\nuser=backup\ndbname=named\n")).expect("written");
    source.psql("named", "ALTER DATABASE postgres ALLOW_CONNECTIONS false");
    assert_eq!(globals(&url), 1, "nobody can connect to postgres");
    assert_eq!(globals(&format!("{url}/named")), 0);
    assert_eq!(globals(&format!("servicefile={} service=mine", services.display())), 0, "the service names one");
}

#[test]
fn a_bar_has_its_totals() {
    let (Some(source), Some(target)) = (shop::server(), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    sink.backup(source, &["--database", "shop"]);
    let program = sink.command(Some(&target), &["restore", "latest"]);
    let mut script = Command::new("script");
    let line = format!("stty cols 200; {} restore latest --clean", env!("CARGO_BIN_EXE_pg-backup"));
    script.args(["-qefc", &line, "/dev/null"]).env_clear();
    script.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
    let ran = Ran::of(script.env("SHELL", "/bin/sh")).ok();
    let shown = ran.text();
    // Each operation begins anew, and knows how much there is to do.
    let mut begins = Vec::new();
    for frame in shown.split('\r') {
        let words: Vec<&str> =
            frame.split_whitespace().map(|word| word.trim_start_matches(|c: char| !c.is_alphanumeric())).collect();
        let what = words.iter().find(|word| ["2Kverify", "2Krestore", "verify", "restore"].contains(word));
        let Some(what) = what.map(|what| what.trim_start_matches("2K").to_owned()) else { continue };
        let bytes = frame.split_once('/').map(|(_, total)| total.split_whitespace().next().unwrap_or_default().to_owned());
        begins.push((what, bytes.unwrap_or_default()));
    }
    for what in ["verify", "restore"] {
        assert!(
            begins.iter().any(|(it, total)| it == what && total.parse::<f64>().is_ok_and(|total| total > 0.0)),
            "{what}: {begins:?}\n{shown:?}"
        );
    }
}
