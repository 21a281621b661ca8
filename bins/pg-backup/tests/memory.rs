//! Peak memory of each command: at most 64 MiB, six times the widest row, and 8 KiB for each table, whatever the size. A service
//! that waits has at most 12 MiB of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use backup_tests::usage::measure;
use backup_tests::{Major, Server, Setup};

const MIB: u64 = 1 << 20;

/// A source, a server to restore into, one to prove on, and how much memory each command may take.
struct Case {
    servers: [Server; 3],
    database: &'static str,
    most: u64,
}

impl Case {
    /// `None` where there is no PostgreSQL.
    fn start(database: &'static str, most: u64) -> Option<Self> {
        let locks = Setup { conf: vec!["max_locks_per_transaction = 1024".into()], ..Setup::default() };
        let start = || Server::start_with(Major::V15, &locks);
        let case = Self { servers: [start()?, start()?, start()?], database, most };
        case.servers[0].psql("postgres", &format!("CREATE DATABASE {database}"));
        Some(case)
    }

    fn sql(&self, sql: &str) {
        self.servers[0].psql(self.database, sql);
    }

    /// Backs up, dumps, verifies, restores and proves, each within its bound.
    fn stays_below_its_bound(&self) {
        let folder = tempfile::tempdir().expect("a folder");
        let scratch = self.servers[2].url();
        for (command, server) in [
            (&["backup", "--database", self.database] as &[&str], 0),
            (&["dump", "--database", self.database], 0),
            (&["list"], 0),
            (&["verify", "latest"], 0),
            (&["restore", "latest", "--database", self.database], 1),
            (&["prove", "latest", "--database", self.database, "--scratch", &scratch], 0),
        ] {
            self.measured(command, &self.servers[server], folder.path());
        }
        // What took so little memory did its work.
        let rows = "SELECT sum((xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM %I', relname), true, true, ''))) \
                    [1]::text::bigint) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
        assert_eq!(self.servers[1].psql(self.database, rows), self.servers[0].psql(self.database, rows));
    }

    fn measured(&self, arguments: &[&str], server: &Server, folder: &Path) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pg-backup"));
        command.args(["-q", "--to"]).arg(folder.join("to")).arg("--state").arg(folder.join("state")).args(arguments);
        command.env_clear().env("PATH", "/usr/bin:/bin").envs(server.env()).stdin(Stdio::null()).stdout(Stdio::null());
        let usage = measure(&mut command).expect("measured");
        assert!(usage.status.success(), "{arguments:?}: {}", usage.status);
        let [used, most] = [usage.own, self.most].map(|bytes| bytes / MIB);
        assert!(usage.own > MIB, "{arguments:?}: nobody looked");
        assert!(usage.own <= self.most, "{arguments:?} took {used} MiB of memory, {most} MiB are allowed");
    }
}

#[test]
fn many_tables_take_8_kib_each() {
    const TABLES: u64 = 2500;
    let Some(case) = Case::start("many", 64 * MIB + TABLES * 8 * 1024) else { return };
    for first in (0..TABLES).step_by(250) {
        let some: String = (first..first + 250)
            .map(|n| {
                format!(
                    "CREATE TABLE t{n} (id serial PRIMARY KEY, name text NOT NULL DEFAULT 'none', CHECK (id > 0));\n\
                     CREATE INDEX ON t{n} (name);\nCOMMENT ON TABLE t{n} IS 'number {n}';\nINSERT INTO t{n} (name) VALUES ('a'), ('b');\n"
                )
            })
            .collect();
        case.sql(&format!("BEGIN;\n{some}COMMIT;\n"));
    }
    case.stays_below_its_bound();
}

#[test]
fn remarks_on_large_objects_take_nothing_more() {
    let Some(case) = Case::start("remarks", 64 * MIB) else { return };
    case.sql("SELECT count(lo_from_bytea(n, 'x')) FROM generate_series(1, 20000) n");
    // As COMMENT would have it, one by one; 80 MiB.
    case.sql(
        "SET allow_system_table_mods = on; INSERT INTO pg_description SELECT n, 'pg_largeobject'::regclass, 0, repeat(md5(n::text), 128) \
         FROM generate_series(1, 20000) n",
    );
    case.stays_below_its_bound();
}

#[test]
fn wide_rows_take_six_times_the_width_of_one() {
    const WIDTH: u64 = 60 * MIB;
    let Some(case) = Case::start("wide", 64 * MIB + 6 * WIDTH) else { return };
    case.sql(&format!("CREATE TABLE wide (id int, text text); INSERT INTO wide SELECT n, repeat(md5(n::text), {} / 32) FROM generate_series(1, 8) n", WIDTH));
    case.stays_below_its_bound();
}

#[test]
fn a_large_table_takes_nothing_more() {
    let Some(case) = Case::start("large", 64 * MIB) else { return };
    case.sql(
        "CREATE TABLE large AS SELECT n AS id, md5(n::text) AS a, md5((-n)::text) AS b, repeat(md5(n::text), 5) AS c \
         FROM generate_series(1, 700000) n",
    );
    case.stays_below_its_bound();
}

#[test]
fn a_service_that_waits_has_at_most_12_mib_of_its_own() {
    let Some(server) = Server::start(Major::V15) else { return };
    server.psql("postgres", "CREATE DATABASE shop");
    let rows = "CREATE TABLE large AS SELECT n AS id, md5(n::text) AS a, repeat(md5(n::text), 5) AS b FROM generate_series(1, 200000) n";
    server.psql("shop", rows);
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pg-backup"));
    command.arg("serve").current_dir(folder.path()).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    // The container's five variables, the test's port, and a folder that may be on any file system.
    command.env("DATABASE_SERVICE_NAME", "127.0.0.1").env("POSTGRESQL_DATABASE", "shop").env("POSTGRESQL_USER", "postgres");
    command.env("POSTGRESQL_PASSWORD", "none").env("BACKUP_DIR", folder.path().join("backups"));
    command.env("POSTGRESQL_PORT_NUM", server.port().to_string()).env("BACKUP_EPHEMERAL", "true");
    let mut service = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut log = BufReader::new(service.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let done = log.find(|line| line.contains(" holds ") || line.contains("ERROR"));
    // What is given back, is given back a moment later.
    std::thread::sleep(Duration::from_secs(3));
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).expect("it runs");
    service.kill().and_then(|()| service.wait()).expect("ended");
    assert!(done.as_ref().is_some_and(|line| line.contains("holds 1 tables and 200000 rows")), "{done:?}");
    let kib = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)).and_then(|value| value.strip_suffix(" kB"));
        value.and_then(|value| value.trim().parse::<u64>().ok()).expect("proc(5)")
    };
    let [idle, anonymous, peak] = [kib("VmRSS:"), kib("RssAnon:"), kib("VmHWM:")];
    // The rest is the program's file, which is not the one that is shipped.
    assert!(anonymous <= 12 * 1024, "it waits with {idle} KiB, {anonymous} KiB of them its own, after a peak of {peak} KiB");
    assert!(anonymous > 1024, "nobody looked");
}
