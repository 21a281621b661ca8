//! A real MongoDB server for one test.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, Credential, ServerAddress, Tls, TlsOptions};

use crate::installed::{home, skipped};

/// How a server differs from the plain one.
#[derive(Clone, Debug, Default)]
pub struct MongodSetup {
    /// Whether it is the one member of the replica set `rs0`, and has an oplog.
    pub replica_set: bool,
    /// The password of the user `root`, who may do all; clients must then log in, with SCRAM and `authSource=admin`.
    pub password: Option<String>,
    /// The file (PEM) of the authority and the one with the server's certificate and key: all who connect must speak TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Further arguments of mongod.
    pub arguments: Vec<String>,
}

/// A server on 127.0.0.1, in a folder of its own.
///
/// Stopped and removed on drop, and also when the test process dies without one.
#[derive(Debug)]
pub struct Mongod {
    setup: MongodSetup,
    dir: PathBuf,
    port: u16,
    keeper: Child,
    line: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

/// Lives as long as its standard input is open, which is as long as the test lives, and does what is asked there.
/// It is bash that can ask a port.
const KEEPER: &str = r#"
dir=$1 port=$2
shift 2
# bash tells of what was killed; the descriptor stays open.
exec 4>&2 2>/dev/null
start() {
    "$@" >>"$dir/log" 2>&1 </dev/null &
    until (exec 3<>"/dev/tcp/127.0.0.1/$port"); do
        kill -0 $! || return
        sleep 0.02
    done
    kill -0 $!
}
start "$@" && echo ready || echo failed
while read -r word; do
    case $word in
        crash) kill -KILL $!; wait $!; echo gone ;;
        start) start "$@" && echo ready || echo failed ;;
        end) break ;;
    esac
done
kill -KILL $!
wait
rm -rf "$dir"
"#;

impl Mongod {
    /// Starts a plain server: standalone, everybody may do all.
    ///
    /// `None`, and a line that says so, where `ci/install` has not put MongoDB:
    /// `let Some(server) = Mongod::start().await else { return };`
    ///
    /// # Panics
    /// When it does not start; the message has its log. Where it is missing and `REQUIRE_SERVICES=1` is set.
    pub async fn start() -> Option<Self> {
        Self::start_with(&MongodSetup::default()).await
    }

    /// Starts the one member of a replica set, which is its primary when this returns; else as [`Mongod::start`].
    pub async fn replica_set() -> Option<Self> {
        Self::start_with(&MongodSetup { replica_set: true, ..MongodSetup::default() }).await
    }

    /// Starts a server as `setup` has it; else as [`Mongod::start`].
    pub async fn start_with(setup: &MongodSetup) -> Option<Self> {
        let server = Self::launch(setup)?;
        server.set_up().await;
        Some(server)
    }

    /// The program; `None` as with [`Mongod::start`].
    ///
    /// # Panics
    /// Where it is missing and `REQUIRE_SERVICES=1` is set.
    pub fn program() -> Option<PathBuf> {
        let root = home().join("mongod-6.0");
        if !root.join("complete").exists() {
            skipped(&format!("MongoDB is not in {}: run ci/install", root.display()), false);
            return None;
        }
        Some(root.join("bin/mongod"))
    }

    /// Starts a server that is not set up yet: no member of a set, without users.
    pub(crate) fn launch(setup: &MongodSetup) -> Option<Self> {
        let program = Self::program()?;
        // Another process can take the free port before the server does.
        let mut failure = String::new();
        for _ in 0..5 {
            match Self::try_start(&program, setup) {
                Ok(server) => return Some(server),
                Err(log) => failure = log,
            }
            if !failure.contains("Address already in use") {
                break;
            }
        }
        panic!("MongoDB does not start: {failure}");
    }

    fn try_start(program: &Path, setup: &MongodSetup) -> Result<Self, String> {
        let dir = tempfile::Builder::new().prefix("backup-mongo-").tempdir().expect("a temporary folder").keep();
        std::fs::create_dir(dir.join("data")).expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let mut command = Command::new("/bin/bash");
        command.args(["-c", KEEPER, "keeper"]).arg(&dir).arg(port.to_string()).arg(program);
        command.args(["--bind_ip", "127.0.0.1", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"]);
        // It writes figures of its own every second, which no test reads.
        command.args(["--setParameter", "diagnosticDataCollectionEnabled=false"]);
        command.arg("--port").arg(port.to_string()).arg("--dbpath").arg(dir.join("data"));
        if setup.replica_set {
            command.args(["--replSet", "rs0", "--oplogSize", "64"]);
        }
        if setup.password.is_some() {
            let key = dir.join("key");
            std::fs::write(&key, "bWVtYmVycyBvZiBvbmUgc2V0").expect("a file with the key");
            std::fs::set_permissions(&key, PermissionsExt::from_mode(0o400)).expect("its mode");
            command.arg("--auth").arg("--keyFile").arg(key);
        }
        if let Some((ca, certificate)) = &setup.tls {
            command.args(["--tlsMode", "requireTLS", "--tlsAllowConnectionsWithoutCertificates", "--tlsCAFile"]).arg(ca);
            command.arg("--tlsCertificateKeyFile").arg(certificate);
        }
        let mut keeper = command
            .args(&setup.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Who reads the test's standard error to its end has waited for the servers to go.
            .stderr(Stdio::inherit())
            // Ctrl-C ends the tests; the keeper then sees the end of its input.
            .process_group(0)
            .spawn()
            .expect("/bin/bash runs");
        let stdin = keeper.stdin.take().expect("stdin is piped");
        let mut said = BufReader::new(keeper.stdout.take().expect("stdout is piped"));
        let mut word = String::new();
        let _ = said.read_line(&mut word);
        if word.trim() == "ready" {
            return Ok(Self { setup: setup.clone(), dir, port, keeper, line: Mutex::new((stdin, said)) });
        }
        let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
        drop(stdin);
        let _ = keeper.wait();
        Err(log)
    }

    /// Makes the replica set and the user, whom the server lets be made by whoever is on its machine as long as there is none.
    async fn set_up(&self) {
        let client = self.connect(None);
        let admin = client.database("admin");
        let run = async |command: Document| {
            admin.run_command(command.clone()).await.unwrap_or_else(|error| panic!("{command}: {error}"))
        };
        if self.setup.replica_set {
            let member = doc! { "_id": 0, "host": self.host() };
            run(doc! { "replSetInitiate": { "_id": "rs0", "members": [member] } }).await;
            while !run(doc! { "hello": 1 }).await.get_bool("isWritablePrimary").unwrap_or(false) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        if let Some(password) = &self.setup.password {
            run(doc! { "createUser": "root", "pwd": password, "roles": ["root"] }).await;
        }
    }

    fn connect(&self, password: Option<&str>) -> Client {
        let host = ServerAddress::Tcp { host: "127.0.0.1".to_owned(), port: Some(self.port) };
        let mut options = ClientOptions::builder().hosts(vec![host]).direct_connection(true).build();
        options.credential = password.map(|password| {
            let credential = Credential::builder().username("root".to_owned()).password(password.to_owned());
            credential.source("admin".to_owned()).build()
        });
        options.tls = self.setup.tls.as_ref().map(|(ca, _)| {
            // The driver wants one provider for the process.
            let _ = rustls::crypto::ring::default_provider().install_default();
            Tls::Enabled(TlsOptions::builder().ca_file_path(ca.clone()).build())
        });
        Client::with_options(options).expect("options of a client")
    }

    /// A client that may do all. Each test has its own: a client belongs to the runtime that made it.
    pub fn client(&self) -> Client {
        self.connect(self.setup.password.as_deref())
    }

    /// Its TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its folder, with its `log` and its `data`; removed with it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the server has logged: a line of JSON for each event.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Ends the server as a crash does: connections break where they are. [`Mongod::start_again`] brings it back.
    pub fn crash(&self) {
        assert_eq!(self.ask("crash"), "gone");
    }

    /// Starts the server after [`Mongod::crash`], on the same port.
    pub fn start_again(&self) {
        let said = self.ask("start");
        assert_eq!(said, "ready", "{}", self.log());
    }

    fn ask(&self, word: &str) -> String {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let (stdin, stdout) = &mut *line;
        writeln!(stdin, "{word}").expect("the keeper listens");
        let mut said = String::new();
        stdout.read_line(&mut said).expect("the keeper answers");
        said.trim().to_owned()
    }
}

impl Drop for Mongod {
    fn drop(&mut self) {
        // The end of its input ends the keeper; the lock's own half goes with the server.
        let line = self.line.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(line.0, "end");
        let _ = self.keeper.wait();
    }
}
