//! A real PostgreSQL server for one test.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

mod client;
mod made;
mod major;

pub use self::major::Major;

/// Where the files of a server lie: in memory where there is room for them all, since a database is made and dropped three times as
/// quickly there; else, and for who wants it, where temporary files do.
fn place(setup: &Setup) -> PathBuf {
    const MEMORY: &str = "/dev/shm";
    const ROOM: u64 = 4 << 30;
    match rustix::fs::statvfs(MEMORY) {
        Ok(found) if !setup.with_temporary_files && found.f_bavail.saturating_mul(found.f_frsize) >= ROOM => {
            PathBuf::from(MEMORY)
        }
        _ => std::env::temp_dir(),
    }
}

/// How a server differs from the plain one.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Further arguments of initdb; a later one wins over the plain `--locale=C --encoding=UTF8`.
    pub initdb: Vec<String>,
    /// Lines of postgresql.conf.
    pub conf: Vec<String>,
    /// The whole of pg_hba.conf, in place of one that trusts everybody.
    pub hba: Option<String>,
    /// The password of `postgres`; TCP connections must then give it (SCRAM), the socket's need not.
    pub password: Option<String>,
    /// Files for the data directory, readable by the server alone: certificates and keys.
    pub files: Vec<(String, Vec<u8>)>,
    /// Its own files are on the volume of temporary ones, however much room there is in memory.
    pub with_temporary_files: bool,
}

/// A server on 127.0.0.1 and on a socket, in a folder of its own.
///
/// Stopped and removed on drop, and also when the test process dies without one.
#[derive(Debug)]
pub struct Server {
    major: Major,
    bin: PathBuf,
    dir: PathBuf,
    port: u16,
    password: Option<String>,
    keeper: Child,
}

/// Lives as long as its standard input is open, which is as long as the test lives. Runs as the server's user.
const KEEPER: &str = r#"
bin=$1 dir=$2
"$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -t 120 -w -s start >"$dir/start" 2>&1 </dev/null && echo ready || echo failed
cat >/dev/null
"$bin/pg_ctl" -D "$dir/data" -m immediate -t 60 -w -s stop >/dev/null 2>&1
rm -rf "$dir"
"#;

impl Server {
    /// Starts a plain server: encoding UTF8, locale C, everybody trusted, superuser `postgres`.
    ///
    /// `None` where [`Major::bin_dir`] is: `let Some(server) = Server::start(Major::V17) else { return };`
    ///
    /// # Panics
    /// When the server does not start; the message has its log.
    pub fn start(major: Major) -> Option<Self> {
        Self::start_with(major, &Setup::default())
    }

    /// Starts a server as `setup` has it; else as [`Server::start`].
    pub fn start_with(major: Major, setup: &Setup) -> Option<Self> {
        let bin = major.bin_dir()?;
        // Another process can take the free port before the server does.
        let mut failure = String::new();
        for _ in 0..5 {
            match Self::try_start(major, &bin, setup) {
                Ok(server) => return Some(server),
                Err(log) => failure = log,
            }
            if !failure.contains("Address already in use") {
                break;
            }
        }
        panic!("PostgreSQL {major} does not start: {failure}");
    }

    fn try_start(major: Major, bin: &Path, setup: &Setup) -> Result<Self, String> {
        let dir = tempfile::Builder::new().prefix("backup-pg-").tempdir_in(place(setup)).expect("a temporary folder").keep();
        give(&dir);
        let data = dir.join("data");
        if let Err(log) = made::data(major, bin, &dir, setup) {
            let _ = std::fs::remove_dir_all(&dir);
            return Err(log);
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let mut conf = format!(
            "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nfsync = off\nfull_page_writes = off\nshared_buffers = 32MB\nmax_connections = 60\nmax_prepared_transactions = 10\nlog_timezone = UTC\ntimezone = UTC\n",
            dir.display()
        );
        if major >= Major::V15 {
            conf.push_str("allow_in_place_tablespaces = on\n");
        }
        for line in &setup.conf {
            conf.push_str(line);
            conf.push('\n');
        }
        let write = |name: &str, bytes: &[u8]| {
            let path = data.join(name);
            std::fs::write(&path, bytes).expect("a file of the data directory");
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("its mode");
            give(&path);
        };
        let mut whole = std::fs::read(data.join("postgresql.conf")).expect("initdb's postgresql.conf");
        whole.extend_from_slice(conf.as_bytes());
        write("postgresql.conf", &whole);
        for (name, bytes) in &setup.files {
            write(name, bytes);
        }
        if let Some(hba) = &setup.hba {
            write("pg_hba.conf", hba.as_bytes());
        } else if setup.password.is_some() {
            write("pg_hba.conf", b"local all all trust\nhost all all all scram-sha-256\n");
        }
        Self::keep(major, bin, dir, port, setup.password.clone())
    }

    /// Starts a standby of this server that has replayed all that is there now.
    ///
    /// # Panics
    /// When it does not start.
    pub fn standby(&self) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("backup-pg-")
            .tempdir_in(place(&Setup::default()))
            .expect("a temporary folder")
            .keep();
        give(&dir);
        let data = dir.join("data");
        let copy = as_server(self.command("pg_basebackup"), &dir)
            .args(["--checkpoint=fast", "--write-recovery-conf", "--no-sync", "--pgdata"])
            .arg(&data)
            .output()
            .expect("pg_basebackup runs");
        assert!(copy.status.success(), "{}", String::from_utf8_lossy(&copy.stderr));
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let mut conf = std::fs::read(data.join("postgresql.conf")).expect("the copied postgresql.conf");
        conf.extend(format!("port = {port}\nunix_socket_directories = '{}'\n", dir.display()).bytes());
        std::fs::write(data.join("postgresql.conf"), conf).expect("postgresql.conf");
        let standby = Self::keep(self.major, &self.bin, dir, port, self.password.clone());
        let standby = standby.unwrap_or_else(|log| panic!("the standby of PostgreSQL {} does not start: {log}", self.major));
        let now = self.psql("postgres", "SELECT pg_current_wal_lsn()");
        while standby.psql("postgres", &format!("SELECT pg_last_wal_replay_lsn() >= '{now}'")) != "t" {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        standby
    }

    /// Starts the server whose files lie in `dir`, under a process that ends it.
    fn keep(major: Major, bin: &Path, dir: PathBuf, port: u16, password: Option<String>) -> Result<Self, String> {
        let mut keeper = as_server(Command::new("/bin/sh"), &dir)
            .args(["-c", KEEPER, "keeper"])
            .args([bin, dir.as_path()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Who reads the test's standard error to its end has waited for the servers to go.
            .stderr(Stdio::inherit())
            // Ctrl-C ends the tests; the keeper then sees the end of its input.
            .process_group(0)
            .spawn()
            .expect("/bin/sh runs");
        let mut said = String::new();
        let _ = BufReader::new(keeper.stdout.take().expect("stdout is piped")).read_line(&mut said);
        if said.trim() != "ready" {
            let log = [dir.join("start"), dir.join("log")].map(|path| std::fs::read_to_string(path).unwrap_or_default());
            drop(keeper.stdin.take());
            let _ = keeper.wait();
            return Err(log.concat());
        }
        Ok(Self { major, bin: bin.to_owned(), dir, port, password, keeper })
    }

    /// The server's version.
    pub fn major(&self) -> Major {
        self.major
    }

    /// The folder of its programs, for a command that looks for them there or on the PATH.
    pub fn bin_dir(&self) -> &Path {
        &self.bin
    }

    /// Its folder: the socket, `log`, `data`; removed with it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// An empty folder that the server may use for a tablespace, made now.
    pub fn tablespace(&self, name: &str) -> PathBuf {
        let path = self.dir.join(name);
        std::fs::create_dir(&path).expect("a folder for a tablespace");
        give(&path);
        path
    }

    /// Ends the server as a crash does: connections break where they are. [`Server::start_again`] brings it back.
    pub fn crash(&self) {
        self.pg_ctl(&["-m", "immediate", "-w", "stop"]);
    }

    /// Starts the server after [`Server::crash`], on the same port.
    pub fn start_again(&self) {
        let log = self.dir.join("log");
        self.pg_ctl(&["-w", "-l", &log.to_string_lossy(), "start"]);
    }

    /// Runs pg_ctl on the data directory.
    pub fn pg_ctl(&self, arguments: &[&str]) {
        // Not output(): the postmaster that a start leaves behind would hold the pipes open.
        let status = as_server(Command::new(self.bin.join("pg_ctl")), &self.dir)
            .arg("-D")
            .arg(self.dir.join("data"))
            .arg("-s")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("pg_ctl runs");
        assert!(status.success(), "pg_ctl {arguments:?} failed: {}", self.log());
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Debian's `nobody`: the server refuses root.
const NOBODY: u32 = 65534;

fn as_server(mut command: Command, dir: &Path) -> Command {
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.current_dir(dir).env("LC_ALL", "C.UTF-8").env("HOME", dir);
    command
}

fn give(path: &Path) {
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("root may give a file away");
    }
}
