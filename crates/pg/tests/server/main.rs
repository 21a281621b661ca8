//! Connections to real servers, and the scratch servers that they are tried on.
//!
//! Without PostgreSQL's programs each test says so and passes; with `REQUIRE_SERVICES=1` it fails.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it leaves out"
)]

mod login;
mod scratch;
mod settings;
mod tls;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use backup_core::Kind;
use backup_pg::{Config, Purpose, Scratch, ServerShape, Session, Version, connect};

/// The oldest release that any of these tests needs.
const OLDEST: Version = Version(150_000);

/// A server of the oldest series that this machine has, like `change` makes it.
async fn start(change: impl FnOnce(&mut ServerShape)) -> Option<Scratch> {
    let mut shape = ServerShape::of(OLDEST);
    change(&mut shape);
    match Scratch::start(None, None, &shape).await {
        Ok(scratch) => Some(scratch),
        Err(error) if error.kind() == Kind::Unproven && error.chain().contains("takes the server programs") => {
            assert!(std::env::var_os("REQUIRE_SERVICES").is_none(), "{error:?}");
            eprintln!("skipped: {error:?}");
            None
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// A server on 127.0.0.1 too, with `hba` as its pg_hba.conf behind a line that trusts everybody on the socket.
struct Listening {
    scratch: Scratch,
    port: u16,
    folder: tempfile::TempDir,
}

impl Listening {
    async fn start(hba: &str, files: impl FnOnce(&Path) -> Vec<(&'static str, PathBuf)>) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        run("chmod", &["0755"], folder.path());
        let hba_file = folder.path().join("pg_hba.conf");
        std::fs::write(&hba_file, format!("local all all trust\n{hba}\n")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut settings = vec![
            ("hba_file".to_owned(), hba_file.display().to_string()),
            ("listen_addresses".to_owned(), "127.0.0.1".to_owned()),
            ("port".to_owned(), port.to_string()),
        ];
        settings.extend(files(folder.path()).into_iter().map(|(name, path)| (name.to_owned(), path.display().to_string())));
        let scratch = start(|shape| shape.settings = settings).await?;
        Some(Self { scratch, port, folder })
    }

    async fn ask(&self, statements: &[&str]) {
        ask(self.scratch.config(), statements).await;
    }

    /// Connects over TCP with `conninfo`, and `HOME` in the test's folder.
    async fn connect(&self, conninfo: &str) -> backup_core::Result<Session> {
        let text = format!("hostaddr=127.0.0.1 port={} {conninfo}", self.port);
        let home = self.folder.path().display().to_string();
        connect(&Config::resolve(&text, |key| (key == "HOME").then(|| home.clone()))?, Purpose::Dump).await
    }
}

/// Runs `statements` as the superuser, each in a transaction of its own.
async fn ask(config: &Config, statements: &[&str]) {
    let session = connect(config, Purpose::Ask).await.unwrap();
    for sql in statements {
        session.client.batch_execute(sql).await.unwrap();
    }
    session.close().await;
}

/// What is waited for comes at once, or never: then the test fails instead of hanging.
async fn in_time(wait: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap();
}

/// What `sql` answers with.
async fn value(session: &Session, sql: &str) -> String {
    session.client.query_one(sql, &[]).await.unwrap().get(0)
}

fn run(program: &str, arguments: &[&str], on: &Path) {
    let done = Command::new(program).args(arguments).arg(on).output().unwrap();
    assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}
