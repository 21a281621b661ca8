//! `serve` proves dumps on schedule: restored into a scratch server, and what was counted is there.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use backup_tests::{Major, Server};

use crate::program::{Ran, Service, until};
use crate::serve::Container;
use crate::serve_receiver::Receiver;

const PROOF: &str = "127.0.0.1-shop/proof";

/// A service that proves, and who hears of it.
struct Prover {
    // In this order: the service goes before what it uses.
    service: Option<Service>,
    container: Container,
    is_toml: bool,
    hook: Receiver,
    scratch: tempfile::TempDir,
}

impl Prover {
    fn start(more: &[(&str, &str)]) -> Option<Self> {
        let mut prover = Self::new(Container::new()?, false);
        prover.serve(more);
        Some(prover)
    }

    /// The same by a TOML file, with `more` for the proof.
    fn start_by_toml(more: &str) -> Option<Self> {
        let mut prover = Self::new(Container::new()?.by_toml(), true);
        prover.write(more);
        prover.serve(&[]);
        Some(prover)
    }

    fn new(container: Container, is_toml: bool) -> Self {
        container.server.psql("shop", "SET ROLE app; CREATE TABLE extra (id int); INSERT INTO extra VALUES (1), (2)");
        let conf = format!(
            "127.0.0.1:{}/shop\n0 1 1 1 * default ./backup.sh -s\n0 4 1 1 * default ./backup.sh -s -v all\n",
            container.server.port()
        );
        fs::write(container.sink.folder().join("backup.conf"), conf).expect("written");
        Self { service: None, container, is_toml, hook: Receiver::start(&[]), scratch: open_folder() }
    }

    /// Writes the TOML file.
    fn write(&self, more: &str) {
        fs::write(self.container.sink.folder().join("url"), self.hook.url("/t0ken")).expect("written");
        let (bin, scratch) = (self.container.server.bin_dir().display(), self.scratch.path().display());
        let hook = "[[tell.webhook]]\nurl = { file = \"url\" }\nform = \"form\"\ntells = \"successes\"";
        let prove = format!("[job.prove]\npg_bin = \"{bin}\"\nscratch_dir = \"{scratch}\"\n{more}");
        self.container.write("", "127.0.0.1-shop", &format!("schedule = []\n{prove}\n{hook}"));
    }

    fn serve(&mut self, more: &[(&str, &str)]) {
        if self.is_toml {
            self.service = Some(self.container.start(&[]));
            assert_eq!(self.hook.wait(1)[0].told().0, "INFO", "the start");
            return;
        }
        let (url, scratch) = (self.hook.url("/t0ken"), self.scratch.path().to_str().expect("text"));
        let textfile = self.textfile().display().to_string();
        let own = [("WEBHOOK_URL", url.as_str()), ("BACKUP_SCRATCH_DIR", scratch), ("BACKUP_TEXTFILE", &textfile)];
        let bin = self.container.server.bin_dir().to_str().expect("text").to_owned();
        let child = self.container.start(&[&own[..], &[("BACKUP_PG_BIN", bin.as_str())], more].concat());
        self.service = Some(child);
        assert_eq!(self.hook.wait(1)[0].told().0, "INFO", "the start");
    }

    fn textfile(&self) -> PathBuf {
        self.container.sink.folder().join("backup.prom")
    }

    fn ask(&self, job: &str) -> Ran {
        self.container.run(&["ask", job, "--wait"], &[])
    }

    /// The proof fails, which is told, with all of `words`.
    #[track_caller]
    fn fails(&self, words: &[&str]) {
        self.ask(PROOF).fails(1, words);
        let (level, message) = self.hook.wait(1).pop().expect("a message").told();
        assert_eq!(level, "ERROR", "{message}");
        for word in words {
            assert!(message.contains(word), "nothing of {word:?} in {message}");
        }
        assert_eq!(self.scratch.path().read_dir().expect("a folder").count(), 0, "something of the server is left");
    }

    /// The proof succeeds, which is told, and the message.
    #[track_caller]
    fn proves(&self) -> String {
        self.ask(PROOF).ok();
        let (level, message) = self.hook.wait(1).pop().expect("a message").told();
        assert_eq!(level, "INFO", "{message}");
        assert!(message.contains("is proven"), "{message}");
        assert_eq!(self.scratch.path().read_dir().expect("a folder").count(), 0, "something of the server is left");
        message
    }

    fn back_up(&self) -> PathBuf {
        self.ask("127.0.0.1-shop").ok();
        assert_eq!(self.hook.wait(1)[0].told().0, "INFO");
        self.container.root().join(self.container.dumps().pop().expect("a dump"))
    }

    /// What is written down of `dump`, and where.
    fn record(&self, dump: &Path) -> (PathBuf, String) {
        let name = dump.file_name().expect("a name").to_string_lossy().into_owned();
        let files = self.container.root().join("records").read_dir().expect("records").flatten();
        let records = files.map(|file| (file.path(), fs::read_to_string(file.path()).expect("text")));
        records.into_iter().find(|(_, text)| text.contains(&name)).expect("a record")
    }

    fn stop(&mut self) -> String {
        let (code, log) = self.service.take().expect("it runs").stop();
        assert_eq!(code, Some(0), "{log}");
        assert!(!log.contains("hunter2") && !log.contains("t0ken"), "{log}");
        log
    }
}

/// A folder that the user of the scratch server can enter.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("opened");
    folder
}

fn gunzip(file: &Path) -> String {
    let output = Command::new("gunzip").arg("-c").arg(file).output().expect("gunzip runs");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}

fn gzip(sql: &str, file: &Path) {
    let out = fs::File::create(file).expect("a file");
    let mut gzip = Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(out).spawn().expect("gzip runs");
    gzip.stdin.take().expect("piped").write_all(sql.as_bytes()).expect("written");
    assert!(gzip.wait().expect("it ends").success());
}

/// `sql` without the table `extra`.
fn without_extra(sql: &str) -> String {
    let (mut kept, mut until) = (String::new(), None);
    for line in sql.split_inclusive('\n') {
        if until.is_none() && line.contains("extra") {
            until = Some(if line.starts_with("COPY ") { "\\.\n" } else { ";\n" });
        }
        match until {
            None => kept.push_str(line),
            Some(end) if line.ends_with(end) && !line.starts_with("COPY ") => until = None,
            Some(_) => {}
        }
    }
    kept
}

#[test]
fn a_dump_is_proven_and_one_that_was_tampered_with_is_not() {
    let Some(prover) = Prover::start(&[]) else { return };
    proven_and_not_once_tampered_with(prover);
}

#[test]
fn a_dump_of_a_job_of_our_file_is_proven_and_one_that_was_tampered_with_is_not() {
    let prover = Prover::start_by_toml("schedule = []\ncheck_sql = [\"SELECT count(*) FROM public.item\"]");
    let Some(prover) = prover else { return };
    proven_and_not_once_tampered_with(prover);
}

fn proven_and_not_once_tampered_with(mut prover: Prover) {
    prover.fails(&["there is no dump of 127.0.0.1-shop"]);
    let dump = prover.back_up();
    assert!(prover.record(&dump).1.contains(r#""proven":null"#), "{:?}", prover.record(&dump));
    let message = prover.proves();
    assert!(message.contains("2 tables and 20002 rows") && message.contains("PostgreSQL 15."), "{message}");
    assert!(!message.contains("without"), "its roles are in it: {message}");
    assert!(prover.record(&dump).1.contains(r#""proven":"2"#), "{:?}", prover.record(&dump));

    // Whole, with a table less: a dump as good as any, but not the one that was written.
    let sql = gunzip(&dump);
    let less = without_extra(&sql);
    assert!(less.len() < sql.len() && !less.contains("extra") && less.contains("CREATE TABLE"));
    let written = fs::read(&dump).expect("read");
    gzip(&less, &dump);
    prover.fails(&["not the file that was written"]);
    assert!(!prover.record(&dump).1.contains(r#""damaged":null"#), "{:?}", prover.record(&dump));

    // The file is the right one again, and holds other rows than were counted.
    fs::write(&dump, written).expect("written");
    assert!(prover.proves().contains("after 1 failed"));
    let (record, text) = prover.record(&dump);
    assert!(text.contains(r#""damaged":null"#), "{text}");
    let facts = text.replace(r#""rows":20002"#, r#""rows":20003"#);
    assert_ne!(facts, text);
    fs::write(record, facts).expect("written");
    prover.fails(&["20003 rows were written", "20002"]);

    // The next dump is proven.
    prover.back_up();
    prover.proves();
    let log = prover.stop();
    if !prover.is_toml {
        let metrics = fs::read_to_string(prover.textfile()).expect("metrics");
        let proof = "backup_last_proof_timestamp_seconds{backup_job=\"127.0.0.1-shop";
        assert!(metrics.contains(&format!("{proof}/proof\"}} ")) && !metrics.contains(&format!("{proof}\"}} ")), "{metrics}");
    }
    assert!(log.contains("to prove (see why none was taken, or take one by serve --once)"), "{log}");
}

#[test]
fn dumps_of_pg_dump_are_proven_and_those_of_a_newer_series_are_not() {
    let Some(mut prover) = Prover::start(&[]) else { return };
    let folder = prover.container.root().join("daily/2098-01-01");
    fs::create_dir_all(&folder).expect("a folder");
    gzip(&prover.container.pg_dump("shop"), &folder.join("127.0.0.1-shop_2098-01-01_01-00-00.sql.gz"));
    // Of its roles none is in it.
    let message = prover.proves();
    assert!(message.contains("2 tables and 20002 rows") && message.contains(", without "), "{message}");
    // Cut off, as a full disk leaves it.
    let whole = gunzip(&folder.join("127.0.0.1-shop_2098-01-01_01-00-00.sql.gz"));
    gzip(&whole[..whole.len() / 2], &folder.join("127.0.0.1-shop_2098-01-02_01-00-00.sql.gz"));
    prover.fails(&["2098-01-02"]);
    // A statement that fails and is of no role or tablespace is left out of no proof.
    gzip(&format!("{whole}SELECT 1/0;\n"), &folder.join("127.0.0.1-shop_2098-01-02_02-00-00.sql.gz"));
    prover.fails(&["division by zero"]);
    // Whole, and what comes of it is not what it holds.
    gzip(&format!("{whole}DROP TABLE public.extra;\n"), &folder.join("127.0.0.1-shop_2098-01-03_01-00-00.sql.gz"));
    prover.fails(&["2 tables were written, and it has 1"]);
    let swallows = "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';\n\
        CREATE TRIGGER f BEFORE INSERT ON public.extra FOR EACH ROW EXECUTE FUNCTION public.f();\nCOPY public.extra ";
    let swallowing = whole.replacen("COPY public.extra ", swallows, 1);
    gzip(&swallowing, &folder.join("127.0.0.1-shop_2098-01-04_01-00-00.sql.gz"));
    prover.fails(&["20002 rows were written, and it has 20000"]);
    let newer = Server::start(Major::V17).expect("a server");
    newer.psql("postgres", "CREATE TABLE t (id int)");
    let dump = newer.command("pg_dump").args(["-d", "postgres"]).output().expect("pg_dump runs");
    assert!(dump.status.success());
    gzip(&String::from_utf8_lossy(&dump.stdout), &folder.join("127.0.0.1-shop_2098-01-05_01-00-00.sql.gz"));
    prover.fails(&["PostgreSQL 17 or later", "there are those of 15"]);
    prover.stop();
}

#[test]
fn bytes_that_are_no_text_are_proven_in_a_server_of_their_encoding() {
    let Some(container) = Container::new() else { return };
    container.server.psql("postgres", "DROP DATABASE shop");
    container.server.psql("postgres", "CREATE DATABASE shop OWNER app ENCODING 'SQL_ASCII' TEMPLATE template0");
    container.server.psql(
        "shop",
        r"SET ROLE app; CREATE TABLE item AS SELECT E'\xff\xfe'::text AS bytes; COMMENT ON TABLE item IS E'a\xe4o'",
    );
    let mut prover = Prover::new(container, false);
    prover.serve(&[]);
    prover.back_up();
    assert!(prover.proves().contains("2 tables and 3 rows"));
    prover.stop();
}

#[test]
fn a_proof_waits_for_the_dump_that_is_under_way() {
    let Some(mut prover) = Prover::start(&[]) else { return };
    let holder = prover.container.hold();
    prover.container.run(&["ask", "127.0.0.1-shop"], &[]).ok();
    let waits = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'item'::regclass AND NOT granted";
    until("it dumps", || prover.container.server.psql("shop", waits).trim() == "t");
    prover.container.run(&["ask", PROOF], &[]).ok();
    // By then it would have told that there is no dump.
    std::thread::sleep(std::time::Duration::from_millis(500));
    prover.container.let_go(holder);
    let told: Vec<_> = prover.hook.wait(2).iter().map(|asked| asked.told()).collect();
    assert!(told[0].0 == "INFO" && told[1].0 == "INFO" && told[1].1.contains("is proven"), "{told:?}");
    prover.stop();
}

#[test]
fn a_service_that_ends_takes_the_server_of_its_proof_along() {
    let Some(mut prover) = Prover::start(&[]) else { return };
    let folder = prover.container.root().join("daily/2098-01-01");
    fs::create_dir_all(&folder).expect("a folder");
    let endless = prover.container.pg_dump("shop") + "\nSELECT pg_sleep(600);\n";
    gzip(&endless, &folder.join("127.0.0.1-shop_2098-01-01_01-00-00.sql.gz"));
    let folders = |prover: &Prover| -> Vec<PathBuf> {
        prover.scratch.path().read_dir().expect("a folder").flatten().map(|entry| entry.path()).collect()
    };
    for killed in [false, true] {
        prover.container.run(&["ask", PROOF], &[]).ok();
        let pid = |prover: &Prover| {
            let file = folders(prover).pop()?.join("data/postmaster.pid");
            fs::read_to_string(file).ok()?.lines().next()?.parse::<u32>().ok()
        };
        until("the server starts", || pid(&prover).is_some());
        let stat = format!("/proc/{}/stat", pid(&prover).expect("it runs"));
        // Gone, or only its exit status is left for somebody to collect.
        let is_over = || {
            fs::read_to_string(&stat).map_or(true, |stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
        };
        if killed {
            let mut service = prover.service.take().expect("it runs");
            service.kill().expect("killed");
            service.wait().expect("it ended");
            until("the server ends", is_over);
        } else {
            prover.stop();
            assert!(is_over(), "the server outlives the service");
            assert!(folders(&prover).is_empty(), "its files are left");
            let (level, message) = prover.hook.wait(1).pop().expect("a message").told();
            assert!(level == "ERROR" && message.contains("interrupted"), "{level} {message}");
            prover.serve(&[]);
        }
    }
}

#[test]
fn without_programs_in_time_or_a_table_nothing_counts_as_proven() {
    let programs = open_folder();
    let empty = programs.path().to_str().expect("text");
    let Some(mut prover) = Prover::start(&[("BACKUP_PG_BIN", empty)]) else { return };
    let dump = prover.back_up();
    prover.fails(&["takes the server programs", "there are none"]);
    prover.stop();
    for (name, script) in [("postgres", "echo 'postgres (PostgreSQL) 15.1'"), ("initdb", "exec sleep 600")] {
        let file = programs.path().join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a program");
    }
    prover.serve(&[("BACKUP_PG_BIN", empty), ("DATABASE_SERVER_TIMEOUT", "1")]);
    prover.fails(&["initdb", "within 1s"]);
    prover.stop();
    prover.serve(&[("TABLE_SCHEMA", "sales")]);
    prover.fails(&["no table in the schema \"sales\""]);
    prover.stop();
    assert!(prover.record(&dump).1.contains(r#""proven":null"#), "{:?}", prover.record(&dump));
    assert!(prover.record(&dump).1.contains(r#""damaged":null"#), "{:?}", prover.record(&dump));
}

#[test]
fn a_job_of_our_file_is_proven_when_it_is_due_and_its_queries_must_succeed() {
    let Some(mut prover) = Prover::start_by_toml("schedule = []") else { return };
    let dump = prover.back_up();
    prover.stop();
    prover.write("every = \"2s\"");
    prover.serve(&[]);
    until("it is proven", || prover.record(&dump).1.contains(r#""proven":"2"#));
    prover.stop();
    // Tables in any schema will do, but a query that fails is a proof that failed, and no damage.
    prover
        .container
        .server
        .psql("shop", "CREATE SCHEMA inner_room AUTHORIZATION app; ALTER TABLE item SET SCHEMA inner_room; DROP TABLE extra");
    prover.hook.take();
    prover.write("schedule = []\ncheck_sql = \"SELECT count(*) FROM inner_room.item\"");
    prover.serve(&[]);
    prover.back_up();
    assert!(prover.proves().contains("1 tables and 20000 rows"));
    prover.stop();
    prover.write("schedule = []\ncheck_sql = \"SELECT count(*) FROM public.item\"");
    prover.serve(&[]);
    let dump = prover.back_up();
    prover.fails(&["SELECT count(*) FROM public.item", "does not exist"]);
    // Nothing at all is no proof of anything.
    prover.container.server.psql("shop", "DROP TABLE inner_room.item CASCADE");
    let empty = prover.back_up();
    prover.fails(&["it has no table"]);
    prover.stop();
    for dump in [dump, empty] {
        let (_, record) = prover.record(&dump);
        assert!(record.contains(r#""proven":null"#) && record.contains(r#""damaged":null"#), "{record}");
    }
}

#[test]
fn a_verification_of_no_database_is_refused() {
    let Some(container) = Container::new() else { return };
    let conf = "127.0.0.1/shop\n0 4 * * * default ./backup.sh -s -v 127.0.0.1/store\n";
    fs::write(container.sink.folder().join("backup.conf"), conf).expect("written");
    for command in [&["serve"][..], &["config", "check"]] {
        container.run(command, &[]).fails_with_hint(2, &["line 2", "127.0.0.1/store"]);
    }
}
