//! A whole cluster is backed up, lost, and brought back in every way there is; the real pg_dumpall sees no difference.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use backup_tests::{Major, Server, corpus, judge};

use crate::program::{Ran, Sink};
use crate::shop;

/// The fenced block of `docs/format.md` that begins with this line.
fn commands(fence: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format.md");
    let page = fs::read_to_string(page).expect("docs/format.md");
    let block = page.split_once(&format!("\n```{fence}\n")).expect("docs/format.md has the block").1;
    block.split_once("\n```").expect("it ends").0.to_owned()
}

/// A shell in `folder` with `server`'s psql, connected as the environment says it.
fn shell(server: &Server, folder: &Path, commands: &str, input: &[u8]) -> Ran {
    let mut shell = server.command("/bin/sh");
    let path = format!("{}:{}", server.bin_dir().display(), std::env::var("PATH").unwrap_or_default());
    shell.args(["-ec", commands]).current_dir(folder).env("PATH", path);
    let shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut shell = shell.expect("a shell");
    let mut stdin = shell.stdin.take().expect("stdin is piped");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        shell.wait_with_output().expect("the shell ends")
    });
    Ran::ended(&output, commands.to_owned())
}

/// A cluster that is gone: what it held, in the words of the real pg_dumpall, and where its tablespaces were.
struct Lost {
    server: Server,
    held: Vec<u8>,
}

impl Lost {
    fn new(server: Server) -> Self {
        let held = judge::seen(&server);
        server.crash();
        Self { server, held }
    }

    /// An empty cluster comes in its place, is filled by `fill`, and holds the same.
    #[track_caller]
    fn comes_back(&self, how: &str, fill: impl FnOnce(&Server)) {
        // Tablespaces go where they were: nothing of the lost cluster is there any more.
        for folder in fs::read_dir(self.server.dir()).expect("the folder of the server").flatten() {
            for old in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                if folder.file_name().to_string_lossy().starts_with("tablespace-") {
                    fs::remove_dir_all(old.path()).expect("removed");
                }
            }
        }
        let target = Server::start(self.server.major()).expect("the programs are there");
        fill(&target);
        let found = judge::seen(&target);
        if let Some(difference) = judge::difference_of(&self.held, &found) {
            panic!("PostgreSQL {}, {how}: {difference}", target.major());
        }
    }
}

fn everything_comes_back(major: Major) {
    let Some(source) = Server::start(major) else { return };
    corpus::load_all(&source);
    let sink = Sink::new();
    let backup = sink.backup(&source, &[]);
    let dump = sink.on(&source, &["dump"]).ok().out;
    let lost = Lost::new(source);
    sink.offline(&["verify", "latest"]).ok();
    lost.comes_back("restored", |target| drop(sink.on(target, &["restore", "latest"]).ok()));
    lost.comes_back("dumped and fed to psql", |target| {
        drop(shell(target, sink.folder(), "psql -X -q -v ON_ERROR_STOP=1 >psql.log", &dump).ok());
    });
    lost.comes_back("opened by hand", |target| {
        shell(target, &backup, &commands("sh sums"), b"").ok();
        shell(target, &backup, &commands("sh manifest"), b"").ok();
        shell(target, &backup, &commands("sh zstd"), b"").ok();
    });
    let bin = lost.server.bin_dir().to_string_lossy().into_owned();
    let proven = sink.offline(&["prove", "latest", "--pg-bin", &bin]).ok();
    assert!(proven.text().contains(": equal in "), "{proven:?}");
    let listed = sink.offline(&["list"]).ok().text();
    assert!(listed.contains("verified, proven"), "{listed}");
}

#[test]
fn everything_comes_back_on_15() {
    everything_comes_back(Major::V15);
}

#[test]
fn everything_comes_back_on_17() {
    everything_comes_back(Major::V17);
}

#[test]
fn everything_comes_back_on_18() {
    everything_comes_back(Major::V18);
}

#[test]
fn privileges_on_the_views_of_the_system_come_back() {
    // The real pg_dump leaves them out, and so the judge does not see them.
    for major in Major::ALL {
        let (Some(source), Some(target)) = (Server::start(major), Server::start(major)) else { return };
        source.psql("postgres", "CREATE ROLE reader; CREATE DATABASE shut");
        source.psql(
            "shut",
            "REVOKE SELECT ON information_schema.tables FROM PUBLIC; REVOKE USAGE ON SCHEMA information_schema FROM PUBLIC;
             GRANT SELECT ON information_schema.columns, information_schema._pg_foreign_tables TO reader",
        );
        let sink = Sink::new();
        sink.backup(&source, &[]);
        sink.on(&target, &["restore", "latest"]).ok();
        let privileges = "SELECT relname, relacl FROM pg_class WHERE relnamespace = 'information_schema'::regnamespace
             AND relkind IN ('r', 'v') UNION ALL SELECT nspname, nspacl FROM pg_namespace ORDER BY 1";
        assert_eq!(source.psql("shut", privileges), target.psql("shut", privileges), "PostgreSQL {major}");
    }
}

#[test]
fn an_old_server_comes_back_over_itself() {
    let (Some(source), Some(target)) = (Server::start(Major::V13), Server::start(Major::V13)) else { return };
    corpus::load_all(&source);
    shop::fill(&source);
    let sink = Sink::new();
    sink.backup(&source, &[]);
    for arguments in [&["restore", "latest"][..], &["restore", "latest", "--clean"]] {
        let mut sitting = target.command("psql");
        let sitting = sitting.args(["-d", "postgres"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut sitting = sitting.spawn().expect("psql runs");
        sink.on(&target, arguments).ok();
        judge::assert_same(&source, &target);
        drop(sitting.stdin.take());
        let _ = sitting.wait();
    }
    let bin = source.bin_dir().to_string_lossy().into_owned();
    let proven = sink.offline(&["prove", "latest", "--pg-bin", &bin]).ok();
    assert!(proven.text().contains(": equal in "), "{proven:?}");
}

#[test]
fn whatever_it_is_sealed_with_it_opens_by_hand() {
    let Some(source) = Server::start(Major::V17) else { return };
    shop::fill(&source);
    let sink = Sink::new();
    let key = sink.folder().join("key.txt");
    let made = Command::new("age-keygen").arg("-o").arg(&key).output().expect("age-keygen: run ci/install");
    assert!(made.status.success());
    let text = fs::read_to_string(&key).expect("the identity");
    let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: ")).expect("age-keygen says it");
    let passphrase = sink.folder().join("passphrase");
    fs::write(&passphrase, "correct horse\n").expect("written");
    let gzip = sink.backup(&source, &["--compress", "gzip"]);
    let none = sink.backup(&source, &["--compress", "none"]);
    let sealed = sink.backup(&source, &["--recipient", recipient]);
    let guarded = sink.backup(&source, &["--seal-passphrase-file", &passphrase.to_string_lossy()]);
    let lost = Lost::new(source);
    lost.comes_back("gzip by hand", |target| drop(shell(target, &gzip, &commands("sh gzip"), b"").ok()));
    lost.comes_back("uncompressed by hand", |target| drop(shell(target, &none, &commands("sh none"), b"").ok()));
    lost.comes_back("sealed, by hand", |target| {
        fs::copy(&key, sealed.join("key.txt")).expect("copied");
        shell(target, &sealed, &commands("sh age"), b"").ok();
        fs::remove_file(sealed.join("key.txt")).expect("removed");
    });
    lost.comes_back("under a passphrase, by hand", |target| {
        // age asks the terminal; script is one.
        let asks = format!("script -qec '{}' /dev/null", commands("sh passphrase"));
        shell(target, &guarded, &asks, b"correct horse\n").ok();
        shell(target, &guarded, &commands("sh age"), b"").ok();
        fs::remove_file(guarded.join("key.txt")).expect("removed");
    });
    lost.comes_back("under a passphrase, restored", |target| {
        sink.on(target, &["restore", "latest", "--passphrase-file", &passphrase.to_string_lossy()]).ok();
    });
}
