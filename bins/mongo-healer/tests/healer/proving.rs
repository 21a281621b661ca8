//! Proofs in a mongod that is started for them: what they find, and that nothing of it is left, however they end.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use backup_tests::{Mongod, MongodSetup, mongo_corpus};
use bson::{Document, doc};
use mongodb::Client;
use mongodb::options::{ClientOptions, ServerAddress};
use rustix::process::{Pid, Signal, kill_process};

use crate::{mongo_healer, run, told};

/// How long something may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(100);

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The processes with `word` in their command line, but for the run of ours.
fn processes(word: &Path) -> Vec<i32> {
    let word = word.to_string_lossy().into_owned();
    let pids = Path::new("/proc").read_dir().expect("/proc").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok());
    let line = |pid: &i32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let is_server = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        line.contains(&word) && line.contains("--dbpath")
    };
    pids.filter(|pid| is_server(&line(pid))).collect()
}

/// What lies in the folder of scratch servers.
fn left(folder: &Path) -> Vec<PathBuf> {
    folder.read_dir().expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
}

/// A program of which the shell does `script`.
fn program(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("program");
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o755).open(&path);
    file.expect("a file").write_all(format!("#!/bin/sh\n{script}\n").as_bytes()).expect("written");
    path
}

async fn fill(server: &Mongod) {
    for name in ["first", "last"] {
        let documents = (0..10).map(|n| doc! { "_id": n });
        server.client().database("app").collection::<Document>(name).insert_many(documents).await.expect("stored");
    }
}

/// A backup of a database with two collections, and how it is proven.
struct Scene {
    scratch: tempfile::TempDir,
    mongod: PathBuf,
}

impl Scene {
    fn state(&self) -> PathBuf {
        self.scratch.path().join("state")
    }

    /// Where the files of scratch servers go.
    fn servers(&self) -> PathBuf {
        self.scratch.path().join("servers")
    }

    fn new(mongod: PathBuf) -> Self {
        let scene = Self { scratch: tempfile::tempdir().expect("a folder"), mongod };
        std::fs::create_dir(scene.servers()).expect("a folder");
        scene
    }

    async fn taken() -> Option<Self> {
        let (server, mongod) = (Mongod::start().await?, Mongod::program()?);
        fill(&server).await;
        let scene = Self::new(mongod);
        let (code, _, err) = run(&scene.state(), &["backup", &scene.sink(), &server.host(), "app"]);
        assert_eq!(code, 0, "{err}");
        Some(scene)
    }

    fn sink(&self) -> String {
        self.scratch.path().join("sink").to_string_lossy().into_owned()
    }

    /// The proof in a server of `program`.
    fn prove(&self, job: &str, program: &Path) -> std::process::Command {
        let mut command = mongo_healer(&self.state());
        command.args(["--to", &self.sink(), "--job", job, "prove", "latest", "--mongod"]).arg(program);
        command.arg("--scratch-dir").arg(self.servers());
        command
    }

    /// The proof in a server that stops where the first of its collections is compared, and a client of that server.
    async fn stopped(&self, job: &str) -> (Child, Client) {
        let fail_point = "failpoint.waitInFindBeforeMakingBatch={mode:\"alwaysOn\",data:{nss:\"app.first\"}}";
        let script = format!(
            "exec '{}' \"$@\" --setParameter enableTestCommands=1 --setParameter '{fail_point}'",
            self.mongod.display()
        );
        let mut command = self.prove(job, &program(self.scratch.path(), &script));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let socket = || left(&self.servers()).first().map(|folder| folder.join("mongod.sock")).filter(|path| path.exists());
        until("there is a socket", || socket().is_some() || child.try_wait().expect("a status").is_some());
        assert!(socket().is_some(), "it ended: {:?}", child.try_wait());
        let path = socket().expect("a socket");
        let options = ClientOptions::builder().hosts(vec![ServerAddress::Unix { path }]).direct_connection(true).build();
        let client = Client::with_options(options).expect("options of a client");
        let wait = doc! { "waitForFailPoint": "waitInFindBeforeMakingBatch", "timesEntered": 1, "maxTimeMS": 100_000 };
        client.database("admin").run_command(wait).await.expect("it is compared");
        (child, client)
    }

    /// Nothing runs or lies about any more.
    fn nothing_is_left(&self) {
        assert_eq!(processes(&self.servers()), Vec::<i32>::new(), "a server runs");
        assert_eq!(left(&self.servers()), Vec::<PathBuf>::new(), "its files are left");
    }
}

fn send(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(pid, signal).expect("sent");
}

fn ended(child: Child) -> (i32, String, String) {
    let output: Output = child.wait_with_output().expect("it ends");
    told(&output)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_proven_in_a_server_of_its_own_and_nothing_is_left() {
    let setup = MongodSetup { replica_set: true, ..MongodSetup::default() };
    let Some(server) = Mongod::start_with(&setup).await else { return };
    let Some(mongod) = Mongod::program() else { return };
    mongo_corpus::load(&server.client()).await;
    let scene = Scene::new(mongod);
    let (code, _, err) = run(&scene.state(), &["backup", &scene.sink(), &server.host(), "corpus"]);
    assert_eq!(code, 0, "{err}");
    // The server of the backup is not asked, and not needed.
    server.crash();
    // A relative path is of our folder, whatever that of the server is.
    let mut prove = scene.prove("corpus", Path::new("./program"));
    let program = program(scene.scratch.path(), &format!("exec '{}' \"$@\"", scene.mongod.display()));
    let (code, out, err) = told(&prove.current_dir(program.parent().expect("a folder")).output().expect("it runs"));
    assert!(code == 0 && out.starts_with("proven "), "{code} {out}{err}");
    scene.nothing_is_left();
    let (_, out, _) = run(&scene.state(), &["--to", &scene.sink(), "--job", "corpus", "list"]);
    assert!(out.contains("proven"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_reaches_the_server_and_what_differs_in_it_is_told() {
    let Some(scene) = Scene::taken().await else { return };
    let (child, client) = scene.stopped("app").await;
    let folder = left(&scene.servers()).remove(0);
    assert!(folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mongo-scratch-")), "{folder:?}");
    let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&folder.join("mongod.sock"))), (0o700, 0o600));
    let admin = client.database("admin");
    let asked = doc! { "getCmdLineOpts": 1 };
    let options = admin.run_command(asked).await.expect("its options");
    let net = options.get_document("parsed").and_then(|parsed| parsed.get_document("net")).expect("what it listens on");
    assert_eq!(net.get_str("bindIp").expect("a path"), folder.join("mongod.sock").to_string_lossy(), "{net}");
    assert_eq!(listening(*processes(&folder).first().expect("a server")), 0, "it listens on TCP");
    let ttl = admin.run_command(doc! { "getParameter": 1, "ttlMonitorEnabled": 1 }).await.expect("a parameter");
    assert!(!ttl.get_bool("ttlMonitorEnabled").expect("a parameter"), "old documents would vanish before they are compared");

    let last = client.database("app").collection::<Document>("last");
    assert_eq!(last.delete_one(doc! { "_id": 3 }).await.expect("deleted").deleted_count, 1);
    // It may end before it has answered.
    let _ = admin.run_command(doc! { "configureFailPoint": "waitInFindBeforeMakingBatch", "mode": "off" }).await;
    let (code, out, err) = ended(child);
    assert!(
        code == 6 && !out.contains("proven") && err.contains("app.last") && err.contains("9 documents"),
        "{code} {out}{err}"
    );
    scene.nothing_is_left();
    let (_, out, _) = run(&scene.state(), &["--to", &scene.sink(), "--job", "app", "list"]);
    assert!(!out.contains("proven"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_roles_are_part_of_a_proof_and_told_where_they_differ() {
    let setup = MongodSetup { password: Some("s0urce".to_owned()), ..MongodSetup::default() };
    let (Some(server), Some(other)) = (Mongod::start_with(&setup).await, Mongod::start().await) else { return };
    let Some(mongod) = Mongod::program() else { return };
    fill(&server).await;
    let app = server.client().database("app");
    app.run_command(doc! { "createRole": "keeper", "privileges": [], "roles": ["read"] }).await.expect("a role");
    app.run_command(doc! { "createUser": "ann", "pwd": "hers", "roles": ["keeper"] }).await.expect("a user");
    let scene = Scene::new(mongod);
    let mut backup = mongo_healer(&scene.state());
    backup.env("BACKUP_USERNAME", "root").env("BACKUP_PASSWORD", "s0urce");
    let (code, _, err) = told(&backup.args(["backup", &scene.sink(), &server.host()]).output().expect("it runs"));
    assert_eq!(code, 0, "{err}");
    server.crash();
    let list = || run(&scene.state(), &["--to", &scene.sink(), "list"]).1;

    // On a server of others nobody gets a login, so a part alone is compared.
    let (code, out, err) = run(&scene.state(), &["--to", &scene.sink(), "prove", "latest", &other.host()]);
    assert!(code == 0 && !out.contains("proven") && err.contains("no proof is recorded"), "{code} {out}{err}");
    let users = other.client().database("admin").collection::<Document>("system.users");
    assert_eq!(users.count_documents(doc! {}).await.expect("counted"), 0);
    assert!(!list().contains("proven"), "{}", list());

    let (child, client) = scene.stopped("mongo").await;
    let admin = client.database("admin");
    let more = doc! { "$set": { "customData.more": true } };
    let changed = admin.collection::<Document>("system.users").update_one(doc! { "_id": "app.ann" }, more).await;
    assert_eq!(changed.expect("changed").modified_count, 1);
    // It may end before it has answered.
    let _ = admin.run_command(doc! { "configureFailPoint": "waitInFindBeforeMakingBatch", "mode": "off" }).await;
    let (code, out, err) = ended(child);
    assert!(code == 6 && !out.contains("proven") && err.contains("admin.system.users: 2 documents"), "{code} {out}{err}");
    assert!(!format!("{out}{err}").contains("SCRAM") && !list().contains("proven"), "{err}{}", list());

    let (code, out, err) = told(&scene.prove("mongo", &scene.mongod).output().expect("it runs"));
    assert!(code == 0 && out.starts_with("proven ") && list().contains("proven"), "{code} {out}{err}");
    assert!(out.contains("3 users and roles"), "{out}");
    scene.nothing_is_left();
}

/// How many sockets of TCP a process listens on.
fn listening(pid: i32) -> usize {
    let sockets = Path::new(&format!("/proc/{pid}/fd")).read_dir().expect("its files").flatten();
    let sockets = sockets.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let sockets: Vec<String> = sockets.map(|link| link.to_string_lossy().into_owned()).collect();
    assert!(sockets.iter().any(|link| link.starts_with("socket:")), "not even the one that it has: {sockets:?}");
    let table = ["tcp", "tcp6"].map(|name| std::fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default());
    // The fourth column is the state, 0A where it listens; the tenth the number of the socket.
    let lines = table.iter().flat_map(|table| table.lines()).map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .filter(|line| line.get(3) == Some(&"0A"))
        .filter(|line| line.get(9).is_some_and(|number| sockets.contains(&format!("socket:[{number}]"))))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mongod_that_cannot_start_is_told_and_nothing_is_proven() {
    let Some(scene) = Scene::taken().await else { return };
    let quiet = program(scene.scratch.path(), "exit 3");
    for (program, says) in [
        (scene.scratch.path().join("none"), "none"),
        (quiet, "it said nothing"),
        (PathBuf::from("mongod-of-another-world"), "mongod-of-another-world"),
    ] {
        let (code, out, err) = told(&scene.prove("app", &program).output().expect("it runs"));
        assert!(code == 8 && out.is_empty() && err.contains(says) && err.contains("give another mongod"), "{code} {out}{err}");
        scene.nothing_is_left();
    }
    let refuses = format!("exec '{}' \"$@\" --setParameter noSuchParameter=1", scene.mongod.display());
    let refuses = program(scene.scratch.path(), &refuses);
    let (code, _, err) = told(&scene.prove("app", &refuses).output().expect("it runs"));
    assert!(code == 8 && err.contains("noSuchParameter"), "{code} {err}");
    let long = scene.scratch.path().join("x".repeat(90)).to_string_lossy().into_owned();
    std::fs::create_dir(&long).expect("a folder");
    let words = ["--to", &scene.sink(), "--job", "app", "prove", "latest", "--mongod", "mongod", "--scratch-dir", &long];
    let (code, _, err) = run(&scene.state(), &words);
    assert!(code == 2 && err.contains("too long for a socket"), "{code} {err}");
    for (words, says) in [(vec!["latest"], "HOST"), (vec!["latest", "localhost", "--mongod", "mongod"], "--mongod")] {
        let (code, _, err) =
            run(&scene.state(), &[&["--to", &scene.sink(), "--job", "app", "prove"], words.as_slice()].concat());
        assert!(code == 2 && err.contains(says), "{words:?}: {code} {err}");
    }
    scene.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_ends_the_run_ends_the_server_and_what_a_killed_run_left_the_next_one_removes() {
    let Some(scene) = Scene::taken().await else { return };
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let (child, _client) = scene.stopped("app").await;
        assert!(!processes(&scene.servers()).is_empty(), "the server runs");
        send(&child, signal);
        let (code, out, err) = ended(child);
        if signal == Signal::KILL {
            until("the server ends", || processes(&scene.servers()).is_empty());
            assert_eq!(left(&scene.servers()).len(), 1);
        } else {
            assert_eq!((code, out.as_str()), (130, ""), "{err}");
            scene.nothing_is_left();
        }
    }
    let theirs = scene.servers().join("mongo-scratch-of-another");
    std::fs::create_dir(&theirs).expect("a folder");
    // Also one that never listens is ended.
    let mut waits = scene.prove("app", &program(scene.scratch.path(), "while :; do sleep 1; done"));
    let child = waits.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    until("it waits", || !processes(&scene.servers()).is_empty());
    send(&child, Signal::TERM);
    assert_eq!(ended(child).0, 130);
    assert_eq!((processes(&scene.servers()), left(&scene.servers())), (Vec::new(), vec![theirs.clone()]));
    let (code, out, err) = told(&scene.prove("app", &scene.mongod).output().expect("it runs"));
    assert!(code == 0 && out.starts_with("proven "), "{code} {out}{err}");
    std::fs::remove_dir(&theirs).expect("what is nobody's is left alone");
    scene.nothing_is_left();
}
