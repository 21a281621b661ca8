//! Servers that are not reached from here: by ssh, in a container, and by a command alone.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use backup_tests::{Authority, Docker, Major, Server, Setup, Sshd, hearing};

/// A person with a home and a sink.
struct Person {
    home: tempfile::TempDir,
    /// Where `ssh` is.
    path: String,
}

impl Person {
    fn new(ssh: &Path) -> Self {
        let ssh = ssh.parent().expect("a folder").display();
        let path = format!("{ssh}:{}", std::env::var("PATH").expect("a PATH"));
        Self { home: tempfile::tempdir().expect("a folder"), path }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The program with those arguments, and nothing of the caller's environment.
    fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = hearing(env!("CARGO_BIN_EXE_pg-backup"));
        for (name, _) in std::env::vars_os() {
            if ["PG", "BACKUP_"].iter().any(|ours| name.to_string_lossy().starts_with(ours)) {
                command.env_remove(name);
            }
        }
        command.env("HOME", self.home.path()).env("PATH", &self.path).env("BACKUP_STATE", self.file("state"));
        command.env("BACKUP_TO", self.file("sink")).envs(environment.iter().copied());
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        self.command(arguments, environment).output().expect("the program runs")
    }

    /// What it printed; it ended well.
    fn done(&self, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        let output = self.run(arguments, environment);
        let [out, words] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        assert!(output.status.success(), "{arguments:?}: {}\n{words}", output.status);
        out
    }

    /// What it complained; it ended with `code`.
    fn fails(&self, code: i32, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        let output = self.run(arguments, environment);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {words}");
        words
    }
}

/// How one logs in: the port, the key, and the file that knows the host's key.
fn login(port: u16, user: &str, key: &Path, known_hosts: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("BACKUP_VIA", format!("ssh://{user}@127.0.0.1:{port}")),
        ("BACKUP_SSH_KEY", key.display().to_string()),
        ("BACKUP_SSH_OPTION", format!("UserKnownHostsFile={}", known_hosts.display())),
    ]
}

fn borrowed<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[test]
fn by_ssh_a_server_keeps_its_name_for_its_certificate_and_its_password() {
    let Some(sshd) = Sshd::start() else { return };
    let authority = Authority::new();
    let certificate = std::fs::read(authority.certificate("/CN=db.example", "DNS:db.example")).expect("a certificate");
    let conf = ["ssl = on", "ssl_cert_file = 'server.pem'", "ssl_key_file = 'server.pem'"].map(str::to_owned);
    let setup = Setup {
        conf: conf.into(),
        hba: Some("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n".into()),
        password: Some("a secret".into()),
        files: vec![("server.pem".into(), certificate)],
        ..Setup::default()
    };
    let Some(server) = Server::start_with(Major::V17, &setup) else { return };
    server.psql("postgres", "CREATE TABLE beyond (n int); INSERT INTO beyond VALUES (17)");
    let person = Person::new(&sshd.client());
    let way = login(sshd.port(), sshd.user(), &sshd.key(), &sshd.known_hosts());
    let mut way = borrowed(&way);
    way.push(("PGPASSWORD", "a secret"));
    let ca = authority.ca().display().to_string();
    // The machine asks for the address, the certificate is compared with the name.
    let at = |name: &str| {
        format!("host={name} hostaddr=127.0.0.1 port={} user=postgres sslmode=verify-full sslrootcert={ca}", server.port())
    };

    let (named, other) = (at("db.example"), at("other.example"));
    assert!(person.done(&["dump", "--server", &named], &way).contains("CREATE TABLE public.beyond"));
    assert!(sshd.log().contains("Accepted publickey"), "it went by ssh");
    person.done(&["backup", "--server", &named, "--verify"], &way);
    person.done(&["restore", "latest", "--server", &named, "--database", "postgres", "--as", "again"], &way);
    assert_eq!(server.psql("again", "SELECT n FROM beyond"), "17");
    let words = person.fails(1, &["dump", "--server", &other], &way);
    assert!(words.contains("TLS failed"), "{words}");
    let words = person.fails(2, &["backup", "--server", &named, "--source", "pg_dumpall"], &way);
    assert!(words.contains("cannot speak TLS on a way through another host"), "{words}");

    // What is in between has the word where it is what fails.
    let words = person.fails(1, &["dump", "--server", "host=127.0.0.1 port=1 user=postgres"], &way);
    assert!(words.contains("cannot connect to 127.0.0.1:1: nobody listens there"), "{words}");
    let unknown: Vec<_> = way.iter().copied().filter(|(name, _)| *name != "BACKUP_SSH_OPTION").collect();
    let words = person.fails(1, &["dump", "--server", &named, "--ssh-option", "UserKnownHostsFile=/dev/null"], &unknown);
    assert!(words.contains("its host key is not known"), "{words}");
}

#[test]
fn a_way_that_cannot_be_meant_is_refused_before_anything_is_asked() {
    let person = Person::new(Path::new("/usr/bin/ssh"));
    for (arguments, said) in [
        (&["dump", "--via", "ssh://ann:secret@host"][..], "--via leads nowhere"),
        (&["dump", "--via", "docker://db", "--via", "ssh://host"], "a container is on the way to something else"),
        (&["dump", "--via", "ssh://host", "--server", "host=/run/postgresql user=u"], "--via leads to no socket of host"),
        (&["dump", "--via", "ssh://host", "--ssh-option", "ProxyCommand=id"], "cannot be given"),
        (&["dump", "--via", "ssh://host", "--ssh-option", "x"], "cannot be given"),
        (&["list", "--via", "ssh://host"], "--via is for backup, restore, prove and dump"),
        (&["dump", "--run-as", "postgres"], "--run-as is for --source pg_dumpall"),
        (&["dump", "--source", "pg_dumpall", "--run-as=-u"], "is no user's name"),
        (&["dump", "--source", "pg_dumpall", "--server", "host=a password=secret"], "--server names password"),
    ] {
        let words = person.fails(2, arguments, &[]);
        assert!(words.contains(said) && !words.contains("secret@") && !words.contains("=secret"), "{arguments:?}: {words}");
    }
}

#[test]
#[ignore = "has waited for ever once: run by ./test --soak"]
fn a_server_that_only_its_container_reaches_is_backed_up_and_dumped_also_by_its_own_program() {
    let Some(docker) = Docker::start() else { return };
    docker.serve_postgres("within");
    docker.sh("cd /; sudo -u postgres psql -c 'CREATE TABLE beyond AS SELECT 17 AS n'");
    let person = Person::new(&docker.ssh_client());
    let mut way = login(docker.ssh_port(), "core", &docker.key(), &docker.known_hosts());
    if let Some((_, via)) = way.first_mut() {
        via.push_str(",docker://deis-database");
    }
    let way = borrowed(&way);

    let password = [way.as_slice(), &[("PGUSER", "postgres"), ("PGPASSWORD", "within")]].concat();
    assert!(person.done(&["dump"], &password).contains("CREATE TABLE public.beyond"));
    person.done(&["backup", "--verify"], &password);
    let wrong = [way.as_slice(), &[("PGUSER", "postgres"), ("PGPASSWORD", "wrong")]].concat();
    assert!(person.fails(1, &["dump"], &wrong).contains("password authentication failed"));

    let file = person.file("dump_all.sql");
    let name = file.display().to_string();
    let there = ["dump", "--source", "pg_dumpall", "--run-as", "postgres", "--output", &name];
    let [_, page] = include_str!("../../../docs/from/deis.md").split("\n```sh pg-backup\n").collect::<Vec<_>>()[..] else {
        panic!("the page of Deis has one command")
    };
    let (step, _) = page.split_once("\n```").expect("a block ends");
    let program = Path::new(env!("CARGO_BIN_EXE_pg-backup")).parent().expect("a folder").display();
    let mut shell = Command::new("sh");
    shell.args(["-ec", &step.replace("core@deis-1", &format!("core@127.0.0.1:{}", docker.ssh_port()))]);
    shell.current_dir(person.home.path()).env("PATH", format!("{program}:{}", person.path)).env("HOME", person.home.path());
    shell.env("BACKUP_STATE", person.file("state")).envs(way.iter().copied().filter(|(name, _)| *name != "BACKUP_VIA"));
    let output = shell.output().expect("sh runs");
    assert!(output.status.success(), "{step}: {}", String::from_utf8_lossy(&output.stderr));
    let dump = std::fs::read_to_string(&file).expect("a dump");
    assert!(dump.contains("CREATE TABLE public.beyond") && dump.contains("-- PostgreSQL database cluster dump complete\n"));
    assert_eq!(file.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
    let one = person.done(&["dump", "--source", "pg_dumpall", "--run-as", "postgres", "--database", "postgres"], &way);
    assert!(one.contains("-- PostgreSQL database dump complete\n") && !one.contains("CREATE ROLE"), "{one}");

    // Whoever fails leaves what was there.
    let words = person.fails(1, &["dump", "--source", "pg_dumpall", "--output", &name], &way);
    assert!(words.contains("pg_dumpall on container deis-database on core@127.0.0.1"), "{words}");
    assert_eq!(std::fs::read_to_string(&file).expect("a dump"), dump);
    // A stand-in that ends well in the middle.
    docker.sh("rm /opt/postgresql; mkdir -p /opt/postgresql/bin
        printf '#!/bin/sh\\necho \"CREATE TABLE a ();\"\\n' >/opt/postgresql/bin/pg_dumpall
        chmod 755 /opt/postgresql/bin/pg_dumpall");
    let words = person.fails(1, &there, &way);
    assert!(words.contains("its dump does not end with its last line"), "{words}");
    // One that is cut off.
    docker.sh("printf '#!/bin/sh\\necho begun\\nexec sleep 1000\\n' >/opt/postgresql/bin/pg_dumpall");
    let running = person.command(&there, &way).spawn().expect("it starts");
    while docker.sh("pgrep -x sleep -u postgres || :").is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    docker.cut();
    let ended = running.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(1), "{}", String::from_utf8_lossy(&ended.stderr));
    while !docker.sh("pgrep -x sleep -u postgres || :").is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(std::fs::read_to_string(&file).expect("a dump"), dump);
    let left = std::fs::read_dir(person.home.path()).expect("a home").flatten().map(|entry| entry.file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with(".pg-backup-")).collect();
    assert!(left.is_empty(), "{left:?}");
}
