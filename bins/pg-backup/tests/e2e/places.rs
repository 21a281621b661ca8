//! Where a restore goes: whatever ends it, what was there under the name is as it was, or all of the new one is.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Stdio};

use backup_tests::{Major, Server, judge};
use rustix::process::{Pid, Signal, kill_process};

use crate::program::{Ran, Sink, until};
use crate::shop;

/// A database whose restore stands still at an index as long as there is a [`Hold`].
const HELD: &str = r"
    CREATE TABLE held (x int);
    INSERT INTO held SELECT generate_series(1, 10);
    CREATE FUNCTION hold(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN
        WHILE EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE application_name = 'hold') LOOP
            PERFORM pg_catalog.pg_stat_clear_snapshot();
            PERFORM pg_catalog.pg_sleep(0.01);
        END LOOP;
        RETURN $1;
    END$$;
    CREATE INDEX ON held (hold(x))";

/// Keeps restores of [`HELD`] on a server from ending until it is dropped.
struct Hold(Child);

impl Hold {
    fn on(server: &Server) -> Self {
        let mut psql = server.command("psql");
        psql.args(["-XAtq"]).env("PGAPPNAME", "hold").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let hold = Self(psql.spawn().expect("psql runs"));
        let there = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hold'";
        until("psql is connected", || server.psql("postgres", there) == "1");
        hold
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server with the databases of these names, all of them held.
fn source(names: &[&str]) -> Option<Server> {
    let source = Server::start(Major::V17)?;
    for name in names {
        if *name != "postgres" {
            source.psql("postgres", &format!("CREATE DATABASE {name}"));
        }
        source.psql(name, HELD);
    }
    Some(source)
}

fn until_held(server: &Server) {
    let building = "SELECT count(*) > 0 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%CREATE INDEX%' \
                    AND application_name = 'pg-backup'";
    until("rows are there and an index is built", || server.psql("postgres", building) == "t");
}

fn kill(run: Child) {
    let pid = i32::try_from(run.id()).ok().and_then(Pid::from_raw).expect("a process of ours");
    kill_process(pid, Signal::KILL).expect("it runs");
    drop(ended(run));
}

fn ended(run: Child) -> Ran {
    Ran::ended(&run.wait_with_output().expect("it ends"), "a run".to_owned())
}

/// What the real pg_dumpall says of all of a server, that it has databases like `postgres` included.
fn all(server: &Server) -> Vec<u8> {
    server.pg_dumpall(&["--clean"])
}

#[test]
fn an_empty_database_stays_as_it_was_until_the_restored_one_is_whole() {
    let (Some(source), Some(target)) = (source(&["held"]), Server::start(Major::V17)) else { return };
    target.psql("postgres", "CREATE ROLE own; CREATE DATABASE held OWNER own ENCODING LATIN1 TEMPLATE template0");
    target.psql("postgres", "ALTER DATABASE held SET work_mem = '7MB'; COMMENT ON DATABASE held IS 'mine'");
    let sink = Sink::new();
    let backup = sink.backup(&source, &["--database", "held"]);
    let before = all(&target);
    let same = |when: &str| {
        if let Some(difference) = judge::difference_of(&before, &all(&target)) {
            panic!("{when}: {difference}");
        }
    };
    let restore = ["restore", "latest", "--database", "held"];

    let hold = Hold::on(&target);
    for signal in [Signal::INT, Signal::TERM] {
        let run = sink.start(&target, &restore);
        until_held(&target);
        let pid = i32::try_from(run.id()).ok().and_then(Pid::from_raw).expect("a process of ours");
        kill_process(pid, signal).expect("it runs");
        ended(run).fails(130, &[]);
        same("asked to end");
    }
    let run = sink.start(&target, &restore);
    until_held(&target);
    kill(run);
    let databases = shop::databases(&target);
    assert!(databases.starts_with("held,held_restoring_"), "killed: {databases}");
    assert_eq!(target.psql("held", "SELECT count(*) FROM pg_class WHERE relname = 'held'"), "0");
    drop(hold);

    let data = fs::read_dir(backup.join("db/0001/data")).expect("rows").flatten().next().expect("a part").path();
    let whole = fs::read(&data).expect("read");
    let at = whole.len() / 2;
    fs::write(&data, whole.iter().enumerate().map(|(i, byte)| if i == at { byte ^ 4 } else { *byte }).collect::<Vec<_>>())
        .expect("written");
    sink.on(&target, &restore).fails(4, &[]);
    same("damaged");
    fs::write(&data, whole).expect("written");

    // Somebody sits in it; that alone keeps nobody from replacing it.
    let mut sitting = target.command("psql");
    let sitting = sitting.args(["-d", "held"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut sitting = sitting.spawn().expect("psql runs");
    until("somebody sits in it", || {
        target.psql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = 'held'") == "1"
    });
    sink.on(&target, &restore).ok();
    drop(sitting.stdin.take());
    let _ = sitting.wait();
    let print = "SELECT sum(x), (SELECT pg_encoding_to_char(encoding) || pg_get_userbyid(datdba) FROM pg_database WHERE datname = \
                 'held'), shobj_description((SELECT oid FROM pg_database WHERE datname = 'held'), 'pg_database') FROM held";
    assert_eq!(target.psql("held", print), "55|LATIN1postgres|", "the encoding is its own, the rest the backup's");
    assert_eq!(shop::databases(&target), "held", "what the killed run left is gone");
}

#[test]
fn the_database_postgres_is_filled_only_as_a_whole() {
    let (Some(source), Some(target)) = (source(&["postgres"]), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    sink.backup(&source, &[]);
    let before = all(&target);
    let hold = Hold::on(&target);
    let run = sink.start(&target, &["restore", "latest"]);
    until_held(&target);
    kill(run);
    drop(hold);
    until("its server processes have seen it", || {
        target.psql("template1", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg-backup'") == "0"
    });
    let left = target.psql("template1", "SELECT datname FROM pg_database WHERE oid >= 16384");
    assert!(left.starts_with("postgres_restoring_"), "{left}");
    target.psql("template1", &format!("DROP DATABASE \"{left}\""));
    assert_eq!(judge::difference_of(&before, &all(&target)), None);
    sink.on(&target, &["restore", "latest"]).ok();
    judge::assert_same(&source, &target);
    assert_eq!(target.psql("postgres", "SELECT sum(x) FROM held"), "55");
}

#[test]
fn who_may_make_no_databases_fills_an_empty_one_and_is_told_what_that_means() {
    let (Some(source), Some(target)) = (Server::start(Major::V17), Server::start(Major::V17)) else { return };
    for server in [&source, &target] {
        server.psql("postgres", "CREATE ROLE own LOGIN");
        server.psql("postgres", "CREATE DATABASE mine OWNER own");
    }
    source.psql("mine", "SET ROLE own; CREATE TABLE t AS SELECT generate_series(1, 10) AS x");
    let sink = Sink::new();
    let backup = sink.backup(&source, &["--database", "mine"]);
    let url = format!("postgres://own@127.0.0.1:{}/postgres", target.port());
    let restore = ["--server", &url, "restore", "latest", "--database", "mine"];
    sink.offline(&restore).ok();
    assert_eq!(target.psql("mine", "SELECT sum(x) FROM t"), "55");
    sink.offline(&[&restore[..], &["--clean"]].concat()).fails_with_hint(1, &["may not replace the database mine"]);
    assert_eq!(target.psql("mine", "SELECT sum(x) FROM t"), "55");

    target.psql("mine", "DROP TABLE t");
    let data = fs::read_dir(backup.join("db/0001/data")).expect("rows").flatten().next().expect("a part").path();
    let whole = fs::read(&data).expect("read");
    fs::write(&data, &whole[..whole.len() / 2]).expect("written");
    sink.offline(&restore).fails(4, &["mine, which is filled in place and keeps what it has got so far"]);
}

#[test]
fn a_database_that_is_no_longer_empty_is_not_replaced() {
    let (Some(source), Some(target)) = (source(&["held"]), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    sink.backup(&source, &[]);
    target.psql("postgres", "CREATE DATABASE held");
    let hold = Hold::on(&target);
    let run = sink.start(&target, &["restore", "latest", "--database", "held"]);
    until_held(&target);
    target.psql("held", "CREATE TABLE mine AS SELECT 42 AS x");
    drop(hold);
    ended(run).fails_with_hint(1, &["held", "not empty any more", "held_unfinished_"]);
    assert_eq!(target.psql("held", "SELECT x FROM mine"), "42");
}

#[test]
fn whatever_users_have_made_in_it_keeps_a_database_from_being_empty() {
    let Some(server) = Server::start(Major::V17) else { return };
    let sink = Sink::new();
    sink.backup(&server, &["--database", "postgres"]);
    for (what, sql) in [
        ("default privileges", "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC"),
        ("collations", "CREATE COLLATION c FROM \"C\""),
        ("casts", "CREATE CAST (int AS bit varying) WITH INOUT"),
        ("operators", "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)"),
        ("operator families", "CREATE OPERATOR FAMILY f USING btree"),
        ("text search configurations", "CREATE TEXT SEARCH CONFIGURATION c (COPY = simple)"),
        ("text search dictionaries", "CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = simple)"),
        ("languages", "CREATE LANGUAGE l HANDLER plpgsql_call_handler"),
        ("conversions", "CREATE CONVERSION c FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8"),
        ("access methods", "CREATE ACCESS METHOD a TYPE INDEX HANDLER bthandler"),
        ("extensions", "CREATE EXTENSION backup_probe"),
        ("large objects", "SELECT lo_create(0)"),
        ("schemas", "CREATE SCHEMA s"),
        ("privileges on the schema public", "REVOKE USAGE ON SCHEMA public FROM PUBLIC"),
    ] {
        server.psql("template1", "DROP DATABASE IF EXISTS other");
        server.psql("postgres", "CREATE DATABASE other");
        server.psql("other", sql);
        let before = shop::pg_dump(&server, "other", &[]);
        let ran = sink.on(&server, &["restore", "latest", "--database", "postgres", "--as", "other"]);
        ran.fails_with_hint(1, &["other is not empty", what]);
        assert_eq!(judge::difference_of(&before, &shop::pg_dump(&server, "other", &[])), None, "{what}");
    }
    server.psql("postgres", "DROP DATABASE other");
    server.psql("postgres", "CREATE DATABASE other");
    sink.on(&server, &["restore", "latest", "--database", "postgres", "--as", "other"]).ok();
}

#[test]
fn what_killed_runs_have_left_goes_whichever_backup_they_were_of() {
    let (Some(source), Some(target)) = (shop::server(), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    sink.backup(source, &[]);
    sink.on(&target, &["restore", "latest", "--database", "shop"]).ok();
    let (restoring, before) = ("shop_restoring_20200101T000000Z", "shop_before_20200101T000000Z");
    let others = ["shop_before_the_move", "shop_restoring_20200101", "workshop_restoring_20200101T000000Z"];
    for name in [restoring, before].iter().chain(&others) {
        target.psql("postgres", &format!("CREATE DATABASE \"{name}\""));
    }
    // What was there before is only for those to drop who replace.
    sink.on(&target, &["restore", "latest", "--database", "shop"]).fails(1, &["not empty"]);
    target.psql("postgres", "ALTER DATABASE shop RENAME TO kept");
    sink.on(&target, &["restore", "latest", "--database", "shop"]).ok();
    let left = |also: &[&str]| {
        let mut left = [&["kept", "shop"], &others[..], also].concat();
        left.sort_unstable();
        left.join(",")
    };
    let databases = || {
        target.psql(
            "postgres",
            "SELECT string_agg(datname, ',' ORDER BY datname COLLATE \"C\") FROM pg_database WHERE oid >= 16384",
        )
    };
    assert_eq!(databases(), left(&[before]));
    sink.on(&target, &["restore", "latest", "--database", "shop", "--clean"]).ok();
    assert_eq!(databases(), left(&[]));
    // Also where nothing has the name, and where the server has crashed while it dropped one.
    target.psql("postgres", "DROP DATABASE shop");
    target.psql("postgres", &format!("CREATE DATABASE \"{before}\""));
    target.psql("postgres", &format!("CREATE DATABASE \"{restoring}\""));
    target.psql("postgres", &format!("UPDATE pg_database SET datconnlimit = -2 WHERE datname = '{restoring}'"));
    sink.on(&target, &["restore", "latest", "--database", "shop", "--clean"]).ok();
    assert_eq!(databases(), left(&[]));
}

#[test]
fn a_restore_waits_for_what_the_server_still_does_for_one_that_was_killed() {
    let (Some(source), Some(target)) = (shop::server(), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    sink.backup(source, &[]);
    let left = "shop_restoring_20200101T000000Z";
    target.psql("postgres", &format!("CREATE DATABASE \"{left}\""));
    // Whoever comments on it keeps it from being dropped.
    let mut hold = target.command("psql");
    let mut hold = hold.arg("-XAtq").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("psql runs");
    let comment = format!("BEGIN; COMMENT ON DATABASE \"{left}\" IS 'held'; SELECT 'held';\n");
    hold.stdin.as_mut().expect("piped").write_all(comment.as_bytes()).expect("written");
    hold.stdout.as_mut().expect("piped").read_exact(&mut [0; 5]).expect("it is held");

    let ours = |what: &str| {
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg-backup' {what}");
        target.psql("postgres", &sql)
    };
    let dropping = "AND query LIKE 'DROP DATABASE%' AND wait_event_type = 'Lock'";
    let first = sink.start(&target, &["restore", "latest", "--database", "shop"]);
    until("the first one drops it", || ours(dropping) == "1");
    kill(first);
    until("only that is left of it", || ours("") == "1");
    let next = sink.start(&target, &["restore", "latest", "--database", "shop"]);
    until("the next one asks whether it may begin", || ours("AND query LIKE '%pg_try_advisory_lock%'") == "1");
    drop(hold.stdin.take());
    let _ = hold.wait();
    ended(next).ok();
    assert_eq!(shop::databases(&target), "shop");
}

#[test]
fn two_restores_of_one_database_do_not_meet() {
    let (Some(source), Some(target)) = (source(&["held", "other"]), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    sink.backup(&source, &[]);
    let hold = Hold::on(&target);
    let restore = ["restore", "latest", "--database", "held"];
    let first = sink.start(&target, &restore);
    until_held(&target);
    sink.on(&target, &restore).fails_with_hint(75, &["another restore", "held"]);
    let beside = sink.start(&target, &["restore", "latest", "--database", "other"]);
    let building = "SELECT count(DISTINCT datname) FROM pg_stat_activity WHERE query LIKE '%CREATE INDEX%' AND state = 'active' \
                    AND application_name = 'pg-backup'";
    until("both are at work", || target.psql("postgres", building) == "2");
    drop(hold);
    ended(first).ok();
    ended(beside).ok();
    assert_eq!(shop::databases(&target), "held,other");
    assert_eq!(target.psql("held", "SELECT sum(x) FROM held"), "55");
}

#[test]
fn a_cluster_that_is_cut_off_says_what_is_whole_and_how_to_go_on() {
    let (Some(source), Some(target)) = (Server::start(Major::V17), Server::start(Major::V17)) else { return };
    for name in ["alpha", "beta"] {
        source.psql("postgres", &format!("CREATE DATABASE {name}"));
        source.psql(name, "CREATE TABLE t AS SELECT generate_series(1, 10) AS x");
    }
    let sink = Sink::new();
    let backup = sink.backup(&source, &["--database", "alpha", "--database", "beta"]);
    let data = fs::read_dir(backup.join("db/0002/data")).expect("rows").flatten().next().expect("a part").path();
    let whole = fs::read(&data).expect("read");
    fs::write(&data, &whole[..whole.len() / 2]).expect("written");
    sink.on(&target, &["restore", "latest"]).fails_with_hint(4, &["beta", "alpha is restored", "--clean"]);
    assert_eq!(shop::databases(&target), "alpha");
    fs::write(&data, whole).expect("written");
    sink.on(&target, &["restore", "latest", "--clean"]).ok();
    judge::assert_same(&source, &target);
}

#[test]
fn event_triggers_that_refuse_everything_come_back() {
    let (Some(source), Some(target)) = (Server::start(Major::V17), Server::start(Major::V17)) else { return };
    source.psql("postgres", "CREATE DATABASE strict");
    source.psql(
        "strict",
        "CREATE TABLE t AS SELECT generate_series(1, 10) AS x;
         CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''nothing is changed here''; END';
         CREATE EVENT TRIGGER refuse ON ddl_command_start EXECUTE FUNCTION refuse()",
    );
    let sink = Sink::new();
    sink.backup(&source, &[]);
    sink.on(&target, &["restore", "latest"]).ok();
    judge::assert_same(&source, &target);
    let bin = source.bin_dir().to_string_lossy().into_owned();
    sink.offline(&["prove", "latest", "--pg-bin", &bin]).ok();
}
