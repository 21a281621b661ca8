//! `serve` with the environment of the backup container: its dumps, its log, its end, and what a failure leaves.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use backup_tests::{Major, Server, Setup};

use crate::program::{Ran, Service, Sink, until};
use crate::serve_receiver::{Answer, Receiver};

/// A database of an application whose user is no superuser, and the container's environment for it.
pub(crate) struct Container {
    pub(crate) server: Server,
    pub(crate) sink: Sink,
    variables: Vec<(&'static str, String)>,
}

impl Container {
    pub(crate) fn new() -> Option<Self> {
        Self::of(Major::V15, &Setup::default())
    }

    pub(crate) fn of(major: Major, setup: &Setup) -> Option<Self> {
        let server = Server::start_with(major, setup)?;
        server.psql("postgres", "CREATE ROLE app LOGIN PASSWORD 'hunter2'; CREATE ROLE reader; CREATE DATABASE shop OWNER app");
        server.psql(
            "shop",
            "SET ROLE app; CREATE TABLE item (id int PRIMARY KEY, name text); GRANT SELECT ON item TO reader; \
             INSERT INTO item SELECT n, E'row\\n' || n FROM generate_series(1, 20000) n; CREATE VIEW v AS SELECT name FROM item",
        );
        let sink = Sink::new();
        let root = sink.folder().join("backups");
        let variables = vec![
            ("DATABASE_SERVICE_NAME", "127.0.0.1".to_owned()),
            ("POSTGRESQL_USER", "app".to_owned()),
            ("POSTGRESQL_PASSWORD", "hunter2".to_owned()),
            ("POSTGRESQL_DATABASE", "shop".to_owned()),
            ("BACKUP_DIR", format!("{}/", root.display())),
            // The test's server has a port of its own, and its folder may be on any file system.
            ("POSTGRESQL_PORT_NUM", server.port().to_string()),
            ("BACKUP_EPHEMERAL", "true".to_owned()),
            ("TZ", "America/Vancouver".to_owned()),
        ];
        Some(Self { server, sink, variables })
    }

    /// The same database by a TOML file of ours, which [`write`](Self::write) writes, in place of all variables.
    pub(crate) fn by_toml(self) -> Self {
        std::fs::write(self.sink.folder().join("hunter2"), "hunter2\n").expect("written");
        Self { variables: vec![("BACKUP_CONFIG", "backup.toml".to_owned())], ..self }
    }

    /// Writes the file: a job `name` of dump files with the rest of it, behind more of the service.
    pub(crate) fn write(&self, service: &str, name: &str, rest: &str) {
        let (port, root) = (self.server.port(), self.root());
        // The test's folder may be on any file system.
        let text = format!(
            "[service]\nephemeral = true\nstate = \"state\"\nzone = \"America/Vancouver\"\n{service}\n[[job]]\nname = \"{name}\"\n\
             server = \"host=127.0.0.1 port={port} user=app\"\npassword = {{ file = \"hunter2\" }}\ndatabases = [\"shop\"]\n\
             format = \"sql.gz\"\nto = \"{}\"\n{rest}\n",
            root.display()
        );
        std::fs::write(self.sink.folder().join("backup.toml"), text).expect("written");
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.sink.folder().join("backups")
    }

    fn command(&self, arguments: &[&str], more: &[(&str, &str)]) -> Command {
        let mut command = self.sink.command(None, arguments);
        // A container has neither.
        command.env_remove("BACKUP_TO").env_remove("BACKUP_STATE").current_dir(self.sink.folder());
        command.envs(self.variables.iter().map(|(name, value)| (*name, value.as_str()))).envs(more.iter().copied());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str], more: &[(&str, &str)]) -> Ran {
        Ran::of(&mut self.command(arguments, more))
    }

    pub(crate) fn start(&self, more: &[(&str, &str)]) -> Service {
        Service::start(&mut self.command(&["serve"], more))
    }

    /// The dumps in the tree, by their paths in it, in order.
    pub(crate) fn dumps(&self) -> Vec<String> {
        let mut found = Vec::new();
        files(&self.root(), &mut found);
        let mut found: Vec<String> = found
            .iter()
            .map(|path| path.strip_prefix(self.root()).expect("within").to_string_lossy().into_owned())
            .filter(|path| !path.starts_with("records/") && !path.split('/').any(|part| part.starts_with('.')))
            .collect();
        found.sort();
        found
    }

    /// Waits until there are `count` dumps whose records are written.
    pub(crate) fn wait(&self, count: usize) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let dumps = self.dumps();
            let marks = self.root().join("records").read_dir().map_or(0, Iterator::count);
            if dumps.len() >= count && marks >= count {
                return dumps;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "there are {dumps:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Plays a dump as the container's manual has it: gunzip into psql.
    fn play(&self, dump: &str, database: &str) {
        self.server.psql("postgres", &format!("CREATE DATABASE {database} OWNER app"));
        let sql = Command::new("gunzip").arg("-c").arg(self.root().join(dump)).output().expect("gunzip runs");
        assert!(sql.status.success());
        self.server.feed(database, &[], &sql.stdout).expect("it is played");
    }

    /// Somebody has the table: who dumps it waits.
    pub(crate) fn hold(&self) -> Child {
        let lock = "BEGIN; LOCK item; SELECT pg_sleep(600)";
        let mut psql = self.server.command("psql");
        let holder = psql.args(["-Xqd", "shop", "-c", lock]).stderr(Stdio::null()).spawn().expect("psql");
        let held =
            "SELECT count(*) FROM pg_locks WHERE relation = 'item'::regclass AND mode = 'AccessExclusiveLock' AND granted";
        until("the table is held", || self.server.psql("shop", held).trim() == "1");
        holder
    }

    pub(crate) fn let_go(&self, mut holder: Child) {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%'";
        self.server.psql("postgres", end);
        holder.wait().expect("it ends");
    }

    pub(crate) fn pg_dump(&self, database: &str) -> String {
        let dump = self.server.command("pg_dump").args(["-d", database]).output().expect("pg_dump runs");
        assert!(dump.status.success());
        let text = String::from_utf8(dump.stdout).expect("text");
        // Each run has another key.
        text.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n")
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn the_five_variables_alone_do_what_the_container_did() {
    let Some(container) = Container::new() else { return };
    let child = container.start(&[]);
    let dumps = container.wait(1);
    let (code, log) = child.stop();
    assert_eq!(code, Some(0), "{log}");
    let [dump] = &dumps[..] else { panic!("{dumps:?}") };
    // 2026-11-20/shop2026-11-20-10-15.sql.gz
    let (day, name) = dump.split_once('/').expect("a folder");
    assert_eq!((day.len(), name.len(), name.starts_with(&format!("shop{day}-"))), (10, 27, true), "{dump}");
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(name)).collect();
    assert_eq!(lines.len(), 1, "one line for a backup: {log}");
    assert!(lines[0].contains("1 tables and 20000 rows") && !log.contains("hunter2"), "{log}");
    container.play(dump, "back");
    assert_eq!(container.pg_dump("back"), container.pg_dump("shop"));
    // Started again at once, it takes none; by hand it does.
    let child = container.start(&[]);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(child.stop().0, Some(0));
    assert_eq!(container.dumps().len(), 1);
    container.run(&["serve", "--once"], &[]).ok();
    assert_eq!(container.dumps().len(), 2);
}

#[test]
fn a_strategy_makes_the_later_tree_with_its_roles() {
    let Some(container) = Container::new() else { return };
    let rolling = [("BACKUP_STRATEGY", "rolling")];
    container.run(&["serve", "--once"], &rolling).ok();
    let dumps = container.dumps();
    let [dump] = &dumps[..] else { panic!("{dumps:?}") };
    let (tier, rest) = dump.split_once('/').expect("a tier");
    assert!(["daily", "weekly", "monthly"].contains(&tier), "{dump}");
    assert!(rest[11..].starts_with("127.0.0.1-shop_") && rest.ends_with(".sql.gz"), "{dump}");
    // A server that has neither role: they come back, without passwords.
    let other = Server::start(Major::V15).expect("a server");
    let sql = Command::new("gunzip").arg("-c").arg(container.root().join(dump)).output().expect("gunzip runs");
    let text = String::from_utf8_lossy(&sql.stdout).into_owned();
    assert!(!text.contains("SCRAM") && !text.contains("hunter2"));
    other.psql("postgres", "CREATE ROLE app; CREATE DATABASE shop OWNER app");
    other.feed("shop", &[], &sql.stdout).expect("it is played");
    assert_eq!(other.psql("shop", "SELECT has_table_privilege('reader', 'item', 'SELECT')").trim(), "t");
    // And into one that has both.
    container.play(dump, "back");
    assert_eq!(container.pg_dump("back"), container.pg_dump("shop"));
}

#[test]
fn a_dump_that_fails_is_told_leaves_nothing_and_culls_nothing() {
    let Some(container) = Container::new() else { return };
    let one = [("NUM_BACKUPS", "1")];
    container.run(&["serve", "--once"], &one).ok();
    let before = container.dumps();
    // A table that the user may not read.
    container.server.psql("shop", "CREATE TABLE secret (); REVOKE ALL ON secret FROM PUBLIC");
    container.run(&["serve", "--once"], &one).fails(1, &["secret"]);
    assert_eq!(container.dumps(), before);
    container.server.psql("postgres", "ALTER ROLE app NOLOGIN");
    container.run(&["serve", "--once"], &one).fails(1, &["not permitted to log in"]);
    assert_eq!(container.dumps(), before);
    container.server.psql("postgres", "ALTER ROLE app LOGIN");
    container.server.psql("shop", "DROP TABLE secret");
    container.run(&["serve", "--once"], &one).ok();
    let after = container.dumps();
    assert!(after.len() == 1 && after != before, "{after:?}");
}

#[test]
fn a_server_that_fails_is_told_and_the_service_goes_on() {
    let Some(container) = Container::new() else { return };
    // A table that the user may not read, with a name that would make two lines.
    container.server.psql("shop", "CREATE TABLE \"se\n2098-01-01T00:00:00Z INFO shop: cret\" ()");
    let path = container.sink.folder().join("log");
    let file = std::fs::File::create(&path).expect("a file");
    let mut command = container.command(&["serve"], &[]);
    let child = command.stdout(file.try_clone().expect("a second one")).stderr(file).spawn().expect("it starts");
    let child = Service::from(child);
    let log = || std::fs::read_to_string(&path).expect("a log");
    until("it is told", || log().contains(" ERROR shop: failed: "));
    let (code, _) = child.stop();
    assert_eq!((code, container.dumps().len()), (Some(0), 0), "{}", log());
    assert!(log().contains("cret"), "{}", log());
    assert!(!log().contains("\n2098"), "a line is a notice: {}", log());
}

/// What is being written in the tree.
fn partial(container: &Container) -> Option<PathBuf> {
    let mut found = Vec::new();
    files(&container.root(), &mut found);
    found.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "partial"))
}

#[test]
fn a_dump_that_cannot_be_read_back_is_removed_and_culls_nothing() {
    let Some(container) = Container::new() else { return };
    let one = [("NUM_BACKUPS", "1")];
    container.run(&["serve", "--once"], &one).ok();
    let before = container.dumps();
    container.server.psql(
        "shop",
        "SET ROLE app; CREATE TABLE large AS SELECT sha512(n::text::bytea)::text AS t FROM generate_series(1, 60000) n",
    );
    let mut command = container.command(&["serve", "--once"], &one);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |about| about.len());
    until("some of it is written", || partial(&container).is_some_and(|path| size(&path) > 100_000));
    // While it stands still the disk loses a byte.
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("it runs");
    let file = std::fs::OpenOptions::new().read(true).write(true).open(partial(&container).expect("it is not whole"));
    let (file, mut byte) = (file.expect("opened"), [0]);
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut byte, 50_000).expect("a byte");
    std::os::unix::fs::FileExt::write_all_at(&file, &[byte[0] ^ 1], 50_000).expect("another one");
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).expect("it runs");
    let ran = Ran::ended(&child.wait_with_output().expect("it ended"), "serve --once".to_owned());
    ran.fails(4, &["back, so it was removed"]);
    assert_eq!(container.dumps(), before);
    assert_eq!(partial(&container), None);
}

#[test]
fn a_stop_during_a_dump_leaves_nothing_of_it_and_waits_for_nobody() {
    let Some(container) = Container::new() else { return };
    let (holder, hook) = (container.hold(), Receiver::start(&[Answer::Hang; 100]));
    let child = container.start(&[("WEBHOOK_URL", &hook.url("/hook"))]);
    let waits = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'item'::regclass AND NOT granted";
    until("it dumps", || container.server.psql("shop", waits).trim() == "t");
    let (code, log) = child.stop();
    assert!(code == Some(0) && log.contains(" ERROR shop: failed: ") && log.contains("interrupted"), "{code:?} {log}");
    assert_eq!((container.dumps().len(), partial(&container)), (0, None));
    container.let_go(holder);
}

#[test]
fn a_run_that_is_killed_leaves_no_dump_and_is_told_by_the_next_service() {
    let Some(container) = Container::new() else { return };
    // The dump waits for this lock.
    let mut lock = container.server.command("psql");
    lock.args(["-qAtX", "-d", "shop"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut lock = lock.spawn().expect("psql runs");
    let mut input = lock.stdin.take().expect("piped");
    std::io::Write::write_all(&mut input, b"BEGIN; LOCK TABLE item IN ACCESS EXCLUSIVE MODE; SELECT 'locked';\n")
        .expect("written");
    let mut locked = [0; 6];
    std::io::Read::read_exact(lock.stdout.as_mut().expect("piped"), &mut locked).expect("locked");
    let mut child = container.start(&[]);
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'app'";
    let begun = Instant::now();
    while container.server.psql("postgres", waiting).trim() == "0" {
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not come to the table");
    }
    // A second one on the same volume is refused meanwhile.
    container.run(&["serve"], &[]).fails(75, &["under way"]);
    child.kill().expect("killed");
    child.wait().expect("it ended");
    assert_eq!(container.dumps(), [""; 0]);
    drop(input);
    lock.wait().expect("it ended");
    let child = container.start(&[]);
    let dumps = container.wait(1);
    let (code, log) = child.stop();
    assert_eq!((code, dumps.len()), (Some(0), 1), "{log}");
    assert!(log.contains("was cut off") && log.contains("after 1 failed"), "{log}");
}

#[test]
fn a_folder_that_is_gone_with_the_container_is_refused() {
    let Some(container) = Container::new() else { return };
    let shm = Path::new("/dev/shm");
    let is_tmpfs = rustix::fs::statfs(shm).is_ok_and(|system| system.f_type == 0x0102_1994);
    assert!(is_tmpfs || std::env::var_os("REQUIRE_SERVICES").is_none(), "/dev/shm is no tmpfs here");
    let folder = tempfile::tempdir_in(shm).expect("a folder");
    let more = [("BACKUP_DIR", folder.path().to_str().expect("text")), ("BACKUP_EPHEMERAL", "false")];
    container.run(&["serve", "--once"], &more).fails(2, &["tmpfs", "persistent storage"]);
    assert_eq!(folder.path().read_dir().expect("a folder").count(), 0);
}

#[test]
fn what_is_understood_is_shown_and_what_is_not_is_refused() {
    let Some(container) = Container::new() else { return };
    let shown = container.run(&["config", "check"], &[]).ok().text();
    for words in ["POSTGRESQL_DATABASE", "the variable BACKUP_DIR", "the default", "(a secret)"] {
        assert!(shown.contains(words), "{words:?} is not in\n{shown}");
    }
    assert!(!shown.contains("hunter2"), "{shown}");
    for command in [&["config", "check"][..], &["serve"], &["serve", "--once"]] {
        container.run(command, &[("FTP_URL", "ftps://x/")]).fails(2, &["FTP_URL"]);
        container.run(command, &[("BACKUP_CONF", "/nowhere/backup.conf")]).fails(3, &["/nowhere/backup.conf"]);
    }
    std::fs::write(container.sink.folder().join("backup.conf"), "postgres=127.0.0.1/shop\nmariadb=other/db\n")
        .expect("written");
    container.run(&["serve"], &[]).fails(2, &["backup.conf, line 2", "mariadb"]);
    assert_eq!(container.dumps(), [""; 0]);
}

#[test]
fn once_takes_some_at_the_same_time_and_tells_of_them_in_their_order() {
    let Some(container) = Container::new() else { return };
    container.server.psql("postgres", "CREATE DATABASE quick OWNER app");
    container.server.psql("quick", "SET ROLE app; CREATE TABLE t (n int)");
    let lines = ["shop", "none", "quick"].map(|database| format!("127.0.0.1:{}/{database}\n", container.server.port()));
    std::fs::write(container.sink.folder().join("backup.conf"), lines.concat()).expect("written");
    let holder = container.hold();
    let mut command = container.command(&["serve", "--once", "--at-once", "2"], &[]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let dumps = container.wait(1);
    assert!(dumps.len() == 1 && dumps[0].contains("quick"), "{dumps:?}");
    container.let_go(holder);
    let ended = child.wait_with_output().expect("it ends");
    let [said, told] = [ended.stdout, ended.stderr].map(|bytes| String::from_utf8(bytes).expect("text"));
    let said: Vec<&str> = said.lines().collect();
    assert!(said.len() == 2 && said[0].contains("shop") && said[1].contains("quick"), "{said:?}");
    assert!(ended.status.code() == Some(3) && told.contains("none"), "{told}");
}

#[test]
fn a_small_database_costs_the_server_one_connection() {
    let Some(container) = Container::new() else { return };
    let server = &container.server;
    server.psql("postgres", "ALTER SYSTEM SET log_connections = on; SELECT pg_reload_conf()");
    let logged = || server.log().matches("connection authorized: user=app").count();
    let run = || container.run(&["serve", "--once"], &[("BACKUP_STRATEGY", "rolling")]);
    until("connections are logged", || {
        let _ = server.command("psql").args(["-XAtq", "-U", "app", "-d", "shop", "-c", ""]).status();
        logged() > 0
    });
    let before = logged();
    run().ok();
    assert_eq!(logged() - before, 1, "{}", server.log());

    // With a table of many pages the rows are worth connections of their own.
    server.psql("shop", "INSERT INTO item SELECT -n, repeat('x', 1000) FROM generate_series(1, 12000) n");
    let before = logged();
    run().ok();
    assert_eq!(logged() - before, 3, "{}", server.log());
}

#[test]
fn no_database_is_dumped_twice_at_the_same_time() {
    let Some(container) = Container::new() else { return };
    let holder = container.hold();
    let mut command = container.command(&["serve", "--once"], &[]);
    let first = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let waits = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'item'::regclass AND NOT granted";
    until("it dumps", || container.server.psql("shop", waits).trim() == "t");
    // Without a lock it would wait as long as the first one.
    let mut second = container.command(&["serve", "--once"], &[]);
    let mut second = second.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    until("the second one gives up", || second.try_wait().expect("a child").is_some());
    let second = second.wait_with_output().expect("it ended");
    Ran::ended(&second, "the second one".to_owned()).fails(75, &["under way"]);
    assert_eq!(container.dumps().len(), 0);
    container.let_go(holder);
    assert!(first.wait_with_output().expect("it ends").status.success());
    assert_eq!(container.dumps().len(), 1);
    container.run(&["serve", "--once"], &[]).ok();
}

#[test]
fn an_owner_who_is_no_superuser_dumps_a_database_of_an_old_server() {
    let Some(container) = Container::of(Major::V13, &Setup::default()) else { return };
    container.run(&["serve", "--once"], &[("BACKUP_STRATEGY", "daily")]).ok();
    let dumps = container.dumps();
    assert_eq!(dumps.len(), 1);
    container.play(&dumps[0], "again");
    let rows = "SELECT count(*), max(name) FROM item";
    assert_eq!(container.server.psql("again", rows), container.server.psql("shop", rows));
}
