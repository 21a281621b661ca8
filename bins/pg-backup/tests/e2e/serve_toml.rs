//! `serve --config FILE`: backups in our own format on schedule, their proofs, what is pruned, and what is refused.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use backup_tests::{Major, Server, Setup};

use crate::program::{Ran, Service, Sink, until};
use crate::serve_asked::{TOKEN, ask};
use crate::serve_receiver::Receiver;
use crate::shop;

/// A server with a shop, and a service for it.
struct Own {
    server: Server,
    sink: Sink,
}

impl Own {
    fn new() -> Option<Self> {
        Self::with(&Setup::default())
    }

    fn with(setup: &Setup) -> Option<Self> {
        let server = Server::start_with(Major::V17, setup)?;
        shop::fill(&server);
        Some(Self { server, sink: Sink::new() })
    }

    fn file(&self) -> PathBuf {
        self.sink.folder().join("backup.toml")
    }

    /// Writes the file: a job `pg` of the server into the sink, with `more`.
    fn write(&self, more: &str) {
        let (host, port) = (self.server.dir().display(), self.server.port());
        let to = self.sink.job();
        let to = to.parent().expect("a sink").display();
        // The test's folder may be on any file system.
        let text = format!(
            "[service]\nephemeral = true\n\n[[job]]\nname = \"pg\"\nserver = \"host={host} port={port} user=postgres\"\nto = \"{to}\"\n{more}"
        );
        std::fs::write(self.file(), text).expect("written");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sink.command(Some(&self.server), arguments);
        // The file alone says where and what.
        for (name, _) in self.server.env() {
            command.env_remove(name);
        }
        command.env_remove("BACKUP_TO").env("BACKUP_CONFIG", self.file());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    fn start(&self) -> Service {
        Service::start(&mut self.command(&["serve"]))
    }

    fn list(&self) -> String {
        self.sink.offline(&["list"]).text()
    }
}

impl Service {
    /// The next line of its log that has `words`; it must come soon.
    fn line(&mut self, words: &str) -> String {
        let _watched = self.watched();
        let out = self.stdout.as_mut().expect("piped");
        let mut seen = vec![Vec::new()];
        while seen.len() < 12 {
            let mut byte = [0];
            std::io::Read::read_exact(out, &mut byte).expect("it goes on");
            let last = seen.last_mut().expect("a line");
            match byte {
                [b'\n'] if String::from_utf8_lossy(last).contains(words) => return String::from_utf8_lossy(last).into_owned(),
                [b'\n'] => seen.push(Vec::new()),
                [byte] => last.push(byte),
            }
        }
        panic!("nothing of {words:?}: {}", String::from_utf8_lossy(&seen.join(&b'\n')))
    }
}

#[test]
fn backups_are_served_and_the_ordinary_commands_read_them() {
    let Some(own) = Own::with(&Setup { with_temporary_files: true, ..Setup::default() }) else { return };
    own.write("schedule = \"0 3 * * *\"\nat_start = true\nkeep = { last = 2 }\n");
    let child = own.start();
    until("there is one that is verified", || own.list().contains("verified"));
    // A second one of the same state is refused meanwhile.
    own.run(&["serve"]).fails(75, &["under way"]);
    let [id] = &own.sink.listed()[..] else { panic!("{}", own.list()) };
    let asked = own.run(&["ask", "--wait"]).ok().text();
    assert!(asked.starts_with("pg: done, ") && own.sink.listed().len() == 2, "{asked}");
    let (code, log) = child.stop();
    assert_eq!(code, Some(0), "{log}");
    let told: Vec<&str> = log.lines().filter(|line| line.contains(&format!(" INFO pg: {id} holds "))).collect();
    assert!(told.len() == 1 && told[0].contains(", verified in "), "{log}");
    own.sink.offline(&["verify", id]).ok();
    let other = Server::start(Major::V17).expect("a server");
    own.sink.on(&other, &["restore", id]).ok();
    let count = "SELECT count(*) FROM app.orders";
    assert_eq!(other.psql("shop", count), own.server.psql("shop", count));
    // Started again at once, it takes none; that all lies on one volume is told all the same.
    let mut child = own.start();
    let warning = child.line(" WARN ");
    assert!(warning.contains("is on the volume of the server's own data"), "{warning}");
    assert_eq!(child.stop().0, Some(0));
    assert_eq!(own.sink.listed().len(), 2);
}

#[test]
fn older_ones_go_after_a_verified_one_and_stay_after_a_failure() {
    let Some(own) = Own::new() else { return };
    own.write("schedule = []\nkeep = { last = 1 }\n");
    own.run(&["serve", "--once"]).ok();
    let first = own.sink.listed();
    let said = own.run(&["serve", "--once"]).ok().text();
    assert!(said.contains("verified, 1 older ones pruned"), "{said}");
    let second = own.sink.listed();
    assert!(second.len() == 1 && second != first && own.list().contains("verified"), "{}", own.list());
    // A server that does not let us in: a failed attempt, and nothing goes, not even by hand.
    own.server.psql("postgres", "CREATE ROLE nobody NOLOGIN");
    let text = std::fs::read_to_string(own.file()).expect("a file");
    std::fs::write(own.file(), text.replace("user=postgres", "user=nobody")).expect("written");
    own.run(&["serve", "--once"]).fails(1, &["failed to back up pg", "not permitted to log in"]);
    assert_eq!(own.sink.listed(), second);
    assert!(own.list().contains("failed"), "{}", own.list());
    std::fs::write(own.file(), text).expect("written");
    own.run(&["serve", "--once"]).ok();
    let third = own.sink.listed();
    assert!(third.len() == 1 && third != second && !own.list().contains("failed"), "{}", own.list());
}

#[test]
fn one_that_cannot_be_read_back_takes_no_other_with_it() {
    let Some(own) = Own::new() else { return };
    own.write("schedule = []\nkeep = { last = 2 }\n");
    own.run(&["serve", "--once"]).ok();
    own.run(&["serve", "--once"]).ok();
    let good = own.sink.listed();
    // The backup waits for this lock in a database that comes after the shop.
    own.server.psql("postgres", "CREATE DATABASE zoo");
    own.server.psql("zoo", "CREATE TABLE animal (name text)");
    let mut lock = own.server.command("psql");
    lock.args(["-qAtX", "-d", "zoo"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut lock = lock.spawn().expect("psql runs");
    let mut input = lock.stdin.take().expect("piped");
    std::io::Write::write_all(&mut input, b"BEGIN; LOCK TABLE animal IN ACCESS EXCLUSIVE MODE; SELECT 'locked';\n")
        .expect("written");
    let mut locked = [0; 6];
    std::io::Read::read_exact(lock.stdout.as_mut().expect("piped"), &mut locked).expect("locked");
    let child = own.command(&["serve", "--once"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let folder = own.sink.job();
    let stored = || stored(&folder, &good);
    until("a part of the shop is stored", || !stored().is_empty());
    // Meanwhile the disk loses a byte of it.
    for file in stored() {
        let mut bytes = std::fs::read(&file).expect("a part");
        if let Some(byte) = bytes.last_mut() {
            *byte ^= 1;
        }
        std::fs::remove_file(&file).expect("gone");
        std::fs::write(&file, bytes).expect("damaged");
    }
    drop(input);
    lock.wait().expect("it ended");
    let output = child.wait_with_output().expect("it ended");
    Ran::ended(&output, "serve --once".to_owned()).fails(4, &["so nothing is pruned", "is not what was written"]);
    let listed = own.sink.listed();
    // Pruned before it was read back, it would have passed for a good one, and the oldest would be gone.
    assert!(listed.len() == 3 && good.iter().all(|good| listed.contains(good)), "{}", own.list());
    assert!(own.list().contains("damaged"), "{}", own.list());
    own.run(&["serve", "--once"]).ok();
    let listed = own.sink.listed();
    assert!(!listed.contains(&good[0]) && listed.contains(&good[1]), "a damaged one takes no place: {}", own.list());
}

/// The parts that are stored of an attempt that is none of `but`.
fn stored(folder: &Path, but: &[String]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    folders.retain(|folder| !but.iter().any(|but| folder.ends_with(but)));
    while let Some(next) = folders.pop() {
        for path in next.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".sql.zst") && !name.starts_with('.') {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn the_newest_one_is_proven_on_schedule() {
    let Some(own) = Own::new() else { return };
    own.write(
        "schedule = []\nkeep = { last = 2 }\n[job.prove]\nevery = \"2s\"\ncheck_sql = [\"SELECT count(*) FROM app.orders\"]\ncheck_database = \"shop\"\n",
    );
    // Once is for backups alone.
    let said = own.run(&["serve", "--once"]).ok().text();
    assert!(!said.contains("proven"), "{said}");
    let [id] = &own.sink.listed()[..] else { panic!("{}", own.list()) };
    let child = own.start();
    until("it is proven", || own.list().contains("proven"));
    let (code, log) = child.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains(&format!(" INFO pg/proof: {id} is proven: equal in ")), "{log}");
    // A query that cannot be shown is a proof that failed.
    let text = std::fs::read_to_string(own.file()).expect("a file");
    std::fs::write(own.file(), text.replace("app.orders", "app.nothing")).expect("written");
    let mut child = own.start();
    let failed = child.line("ERROR pg/proof: failed: ");
    assert!(failed.contains("app.nothing"), "{failed}");
    assert_eq!(child.stop().0, Some(0));
}

#[test]
fn dump_files_are_served_too_with_a_password_from_a_file() {
    let Some(own) = Own::new() else { return };
    let folder = own.sink.folder();
    std::fs::write(folder.join("password"), "hunter2\n").expect("written");
    own.write(&format!(
        "password = {{ file = \"{}/password\" }}\ndatabases = [\"shop\"]\nformat = \"sql.gz\"\nlayout = \"dated\"\nkeep = {{ last = 1 }}\nevery = \"1d\"\n",
        folder.display()
    ));
    own.run(&["serve", "--once"]).ok();
    let said = own.run(&["serve", "--once"]).ok().text();
    assert!(said.contains("pg: ") && said.contains("1 older ones culled") && !said.contains("hunter2"), "{said}");
    let tree = own.sink.job();
    let tree = tree.parent().expect("a tree");
    let days: Vec<String> =
        tree.read_dir().expect("a tree").flatten().map(|day| day.file_name().to_string_lossy().into_owned()).collect();
    let day = days.iter().find(|day| day.starts_with("20")).expect("a day");
    let dumps: Vec<PathBuf> = tree.join(day).read_dir().expect("a day").flatten().map(|dump| dump.path()).collect();
    let [dump] = &dumps[..] else { panic!("{dumps:?}") };
    assert!(dump.display().to_string().contains("/pg_20"), "{dump:?}");
    let sql = Command::new("gunzip").arg("-c").arg(dump).output().expect("gunzip runs");
    own.server.psql("postgres", "CREATE DATABASE back OWNER shop_owner");
    own.server.feed("back", &[], &sql.stdout).expect("it is played");
    assert_eq!(own.server.psql("back", "SELECT count(*) FROM app.orders"), "2000");
}

#[test]
fn no_job_is_backed_up_twice_at_the_same_time() {
    let Some(own) = Own::new() else { return };
    own.write("schedule = []\nkeep = { last = 1 }\n");
    let mut holder = own.server.command("psql");
    let holder = holder.args(["-Xqd", "shop", "-c", "BEGIN; LOCK app.log; SELECT pg_sleep(600)"]).stderr(Stdio::null());
    let mut holder = holder.spawn().expect("psql");
    let once = || own.command(&["serve", "--once"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let waits = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'app.log'::regclass AND NOT granted";
    until("the table is held", || own.server.psql("shop", &waits.replace("NOT granted", "granted")) == "t");
    let first = once();
    until("it waits for the table", || own.server.psql("shop", waits) == "t");
    // Without a lock it would wait as long as the first one.
    let mut second = once();
    until("the second one gives up", || second.try_wait().expect("a child").is_some());
    Ran::ended(&second.wait_with_output().expect("it ended"), "the second one".to_owned()).fails(75, &["under way"]);
    own.server.psql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%'");
    holder.wait().expect("it ends");
    assert!(first.wait_with_output().expect("it ends").status.success());
    assert_eq!(own.sink.listed().len(), 1);
}

#[test]
fn those_whom_the_file_names_are_told_and_may_ask() {
    let Some(own) = Own::new() else { return };
    let (folder, hook, all, pager) = (own.sink.folder(), Receiver::start(&[]), Receiver::start(&[]), Receiver::start(&[]));
    for (name, secret) in [("hook", hook.url("/t0ken")), ("ping", pager.url("/ping?t0ken")), ("key", "t0ken".into())] {
        std::fs::write(folder.join(name), secret + "\n").expect("written");
    }
    std::fs::write(folder.join("token"), TOKEN).expect("written");
    let (place, textfile) = (folder.display(), folder.join("backup.prom"));
    own.server.psql("postgres", "CREATE ROLE backup SUPERUSER LOGIN");
    own.write(&format!(
        "at_start = true\nretries = 0\nschedule = []\nping = {{ file = \"{place}/ping\" }}\n\n[tell]\nname = \"shop-prod\"\n\
         friendly_name = \"The shop\"\n[[tell.webhook]]\nurl = {{ file = \"{place}/hook\" }}\n[[tell.webhook]]\n\
         url = {{ env = \"WEBHOOK\" }}\nform = \"json\"\ntells = \"all\"\n[tell.pagerduty]\nurl = \"{}\"\n\
         key = {{ file = \"{place}/key\" }}\n",
        pager.url("/page")
    ));
    let text = std::fs::read_to_string(own.file()).expect("a file").replace("user=postgres", "user=backup");
    let doors = format!(
        "[service]\nlisten = \"127.0.0.1:0\"\ntoken = {{ file = \"{place}/token\" }}\ntextfile = \"{}\"\n",
        textfile.display()
    );
    std::fs::write(own.file(), text.replace("[service]\n", &doors)).expect("written");
    let mut command = own.command(&["serve"]);
    command.env("WEBHOOK", all.url("/all")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut service = Service::from(command.spawn().expect("it starts"));
    let listening = service.line("listening at http://");
    let address = listening.split_once("http://").expect("an address").1;

    let told: Vec<_> = all.wait(3).into_iter().map(|asked| asked.body).collect();
    for (body, words) in told.iter().zip([r#""what":"started""#, r#""what":"begun""#, r#""what":"succeeded""#]) {
        assert!(body.contains(words) && body.contains(r#""projectName":"shop-prod""#), "{words}: {body}");
    }
    let lines = |receiver: &Receiver, count| receiver.wait(count).into_iter().map(|asked| asked.line).collect::<Vec<_>>();
    assert_eq!(lines(&pager, 2), ["POST /ping/start?t0ken", "POST /ping?t0ken"]);
    assert!(hook.take().is_empty(), "a success is no trouble");

    own.server.psql("postgres", "ALTER ROLE backup NOLOGIN");
    assert_eq!(ask(address, "POST /jobs/pg/run", None).0, 401);
    assert_eq!(ask(address, "POST /jobs/pg/run", Some(TOKEN)).0, 202);
    let [failed] = &hook.wait(1)[..] else { panic!("one message") };
    let fields = failed.fields();
    let values: Vec<&str> = fields.iter().take(3).map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["The shop", "shop-prod", "ERROR"]);
    assert!(fields[3].1.contains("not permitted to log in"), "{fields:?}");
    let mut paged = pager.wait(3);
    paged.sort_by(|one, other| one.line.cmp(&other.line));
    let lines: Vec<&str> = paged.iter().map(|asked| asked.line.as_str()).collect();
    assert_eq!(lines, ["POST /page", "POST /ping/fail?t0ken", "POST /ping/start?t0ken"]);
    assert!(paged[0].body.contains(r#""service_key":"t0ken""#), "{}", paged[0].body);
    let (code, log) = service.stop();
    assert!(code == Some(0) && !log.contains("t0ken") && !log.contains(TOKEN), "{code:?} {log}");
    let metrics = std::fs::read_to_string(textfile).expect("the file for node_exporter");
    assert!(metrics.contains("backup_consecutive_failures{backup_job=\"pg\"} 1"), "{metrics}");
}

#[test]
fn what_the_file_says_is_shown_with_its_lines_and_what_cannot_be_meant_is_refused() {
    let Some(own) = Own::new() else { return };
    let folder = own.sink.folder();
    std::fs::write(folder.join("secret"), "hunter2\n").expect("written");
    let good = format!("schedule = \"@daily\"\npassword = {{ file = \"{}/secret\" }}\n", folder.display());
    own.write(&good);
    let shown = own.run(&["config", "check"]).ok().text();
    for words in ["job.pg.schedule", "backup.toml, line 8", "(a secret)", "the default", "service.ephemeral"] {
        assert!(shown.contains(words), "{words:?} is not in\n{shown}");
    }
    assert!(!shown.contains("hunter2"), "{shown}");
    for (more, words) in [
        ("shcedule = \"@daily\"", &["backup.toml, line 8: \"shcedule\"", "did you mean schedule?"][..]),
        ("schedule = 3", &["backup.toml, line 8", "a number"]),
        ("schedule = \"@daily\"\npassword = \"hunter2\"", &["line 9", "{ file = "]),
        ("schedule = \"@daily\"\nkeep = { last = 99999999999999999999 }", &["line 9", "from 0 to"]),
        ("schedule = \"@daily\"\ndatabases = \"a\\u0000b\"", &["line 9", "NUL"]),
        ("schedule = \"@daily\"\n[[job]]\nname = \"pg\"\nto = \"x\"\nevery = \"1d\"", &["line 9", "another job called pg"]),
        ("schedule = \"@daily\"\n[[job]]\nname = \"x\"\nto = \"s3://b/x\"\nevery = \"1d\"", &["line 11", "s3"]),
        (
            "schedule = \"@daily\"\n[[job]]\nname = \"x\"\nto = \"x\"\nserver = \"host=x password=hunter2\"\nevery = \"1d\"",
            &["line 12", "holds a password"],
        ),
        (
            "schedule = \"@daily\"\n[[job]]\nname = \"x\"\nto = \"x\"\nserver = \"hots=hunter2\"\nevery = \"1d\"",
            &["line 12", "hots"],
        ),
        ("schedule = \"@daily\"\n[job", &["backup.toml, line 9"]),
    ] {
        own.write(more);
        for command in [&["config", "check"][..], &["serve"], &["serve", "--once"]] {
            let ran = own.run(command).fails_with_hint(2, words);
            assert!(!ran.err.contains("hunter2"), "{}", ran.err);
        }
    }
    own.write(&good);
    own.run(&["config", "check", "--config", "/nowhere/backup.toml"]).fails(3, &["/nowhere/backup.toml"]);
    own.run(&["serve", "--retries", "5"]).fails(2, &["--retries"]);
    assert!(!own.sink.job().exists());
}

#[test]
fn the_sample_of_the_manual_is_understood() {
    let sink = Sink::new();
    let folder = sink.folder();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let sample = std::fs::read_to_string(root.join("docs/pg-backup.toml")).expect("a sample");
    std::fs::write(folder.join("shop"), "hunter2\n").expect("written");
    let file = folder.join("sample.toml");
    std::fs::write(&file, sample.replace("/run/secrets", &folder.display().to_string())).expect("written");
    let file = file.to_str().expect("text");
    let check = |hook: &str| Ran::of(sink.command(None, &["config", "check", "--config", file]).env("WEBHOOK", hook));
    let shown = check("https://example.org/hunter2").ok().text();
    for words in ["job.main.prove.schedule", "job.shop.recipients", "job.blog.layout", "tell.webhook.tells"] {
        assert!(shown.contains(words), "{words:?} is not in\n{shown}");
    }
    assert!(!shown.contains("hunter2"), "{shown}");
    check("example.org/hunter2").fails(2, &["tell.webhook.url"]);
}
