//! Settings of a server that change what text means, or what is read.

use backup_tests::{Major, Server, Setup, judge};

use crate::program::Sink;
use crate::shop;

/// A server with these lines in its configuration.
fn server(major: Major, conf: &[&str]) -> Option<Server> {
    Server::start_with(major, &Setup { conf: conf.iter().map(ToString::to_string).collect(), ..Setup::default() })
}

#[test]
fn a_target_that_reads_text_in_another_way() {
    const OTHER: [&str; 8] = [
        "array_nulls = off",
        "datestyle = 'SQL, DMY'",
        "intervalstyle = 'sql_standard'",
        "xmloption = document",
        "default_transaction_read_only = on",
        "row_security = off",
        "timezone = 'Asia/Kathmandu'",
        "transform_null_equals = on",
    ];
    for major in Major::ALL {
        let Some(source) = Server::start(major) else { return };
        let table = "CREATE TABLE odd (a text[] DEFAULT '{NULL,a}', d date DEFAULT '2026-02-03', i interval, t timestamptz, \
                     b boolean GENERATED ALWAYS AS ((a IS NULL) = NULL) STORED, x xml)";
        source.psql("postgres", table);
        source.psql(
            "postgres",
            "INSERT INTO odd VALUES ('{NULL,a,\"NULL\"}', '2026-02-03', '-1 2:03:04', now(), DEFAULT, 'a<b/>')",
        );
        let sink = Sink::new();
        sink.backup(&source, &["--database", "postgres"]);
        let dump = sink.on(&source, &["dump", "--database", "postgres"]).ok().out;
        let held = shop::pg_dump(&source, "postgres", &[]);
        let same = |how: &str, target: &Server| {
            if let Some(difference) = judge::difference_of(&held, &shop::pg_dump(target, "postgres", &[])) {
                panic!("PostgreSQL {major}, {how}: {difference}");
            }
        };
        let target = server(major, &OTHER).expect("the programs are there");
        sink.on(&target, &["restore", "latest", "--database", "postgres"]).ok();
        same("restored", &target);
        let target = server(major, &OTHER).expect("the programs are there");
        target.feed("postgres", &[], &dump).expect("psql takes it");
        same("fed to psql", &target);
    }
}

#[test]
fn a_backup_takes_no_more_connections_than_the_manual_says() {
    let few = ["max_connections = 10", "superuser_reserved_connections = 0", "max_wal_senders = 0"];
    let Some(source) = server(Major::V17, &few) else { return };
    for n in 0..6 {
        source.psql("postgres", &format!("CREATE DATABASE many{n}"));
        source.psql(&format!("many{n}"), "CREATE TABLE t AS SELECT generate_series(1, 20000) n; CREATE TABLE u AS TABLE t");
    }
    let sink = Sink::new();
    // Twice as many as --jobs says and one more each.
    sink.backup(&source, &["--jobs", "4"]);
}
