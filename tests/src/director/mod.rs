//! A real BOSH director for tests, as far as a backup sees it: sshd, sudo, monit, runit with an agent, and PostgreSQL.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::installed::{home, skipped};

/// A machine in namespaces of its own, under the one that runs the test; of the network it has ports of 127.0.0.1.
///
/// Its root is Debian 12 as `ci/install` has unpacked it, below what `tests/data/director` has and what is written there meanwhile.
/// The user `vcap` may use sudo without a password. runit looks after `agent` and monit, monit after `postgres`, `director` and
/// `nats`, of which the last two do nothing. PostgreSQL 15 trusts its user `vcap`.
///
/// Stopped and removed on drop, and also when the test process dies without one.
#[derive(Debug)]
pub struct Director {
    dir: PathBuf,
    /// The machine's first process, by the number that it has here.
    process: u32,
    ssh_port: u16,
    postgres_port: u16,
    keeper: Child,
}

/// What a process in the machine finds its programs by.
const PATH: &str = "PATH=/var/vcap/bosh/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Director {
    /// Starts one, in three seconds or more. Only root can.
    ///
    /// `None`, and a line that says so, for other users, where there can be no namespaces, and where `ci/install` has not put its
    /// programs: `let Some(director) = Director::start() else { return };`
    ///
    /// # Panics
    /// When it does not start, with its log. Where programs are missing and `REQUIRE_SERVICES=1` is set.
    pub fn start() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skipped("a director takes root", true);
            return None;
        }
        let namespaces = ["--mount", "--pid", "--uts", "--ipc", "--propagation", "unchanged", "--fork", "true"];
        if !Command::new("unshare").args(namespaces).output().is_ok_and(|output| output.status.success()) {
            skipped("a director takes namespaces, and the kernel gives none", true);
            return None;
        }
        let [programs, postgresql, openssh] = ["director", "postgresql-15", "openssh"].map(|name| home().join(name));
        if let Some(missing) = [&programs, &postgresql, &openssh].into_iter().find(|root| !root.join("complete").exists()) {
            skipped(&format!("a director's programs are not in {}: run ci/install", missing.display()), false);
            return None;
        }
        // Another process can take the free ports before the servers do.
        let mut failure = String::new();
        for _ in 0..5 {
            match Self::try_start(&programs, &postgresql) {
                Ok(director) => return Some(director),
                Err(log) => failure = log,
            }
            if !failure.contains("Address already in use") {
                break;
            }
        }
        panic!("the director does not start: {failure}");
    }

    fn try_start(programs: &Path, postgresql: &Path) -> Result<Self, String> {
        let dir = tempfile::Builder::new().prefix("backup-director-").tempdir().expect("a temporary folder").keep();
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let free = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let [ssh_port, monit_port, postgres_port] = free.map(|free| free.local_addr().expect("its address").port());
        let mut keeper = Command::new("sh")
            .args(["keeper.sh", "begin.sh"].map(|script| source.join("src/director").join(script)))
            .args([programs, postgresql, &source.join("data/director"), &dir])
            .args([ssh_port, monit_port, postgres_port].map(|port| port.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Who reads the test's standard error to its end has waited for the machine to go.
            .stderr(Stdio::inherit())
            // Ctrl-C ends the tests; the keeper then sees the end of its input.
            .process_group(0)
            .spawn()
            .expect("sh runs");
        let mut said = String::new();
        let _ = BufReader::new(keeper.stdout.take().expect("stdout is piped")).read_line(&mut said);
        let mut director = Self { dir, process: 0, ssh_port, postgres_port, keeper };
        if said.trim() != "ready" {
            return Err(director.log());
        }
        let process = std::fs::read_to_string(director.dir.join("process")).expect("the number of its first process");
        director.process = process.trim().parse().expect("a number");
        Ok(director)
    }

    /// The port of sshd on 127.0.0.1.
    pub fn ssh_port(&self) -> u16 {
        self.ssh_port
    }

    /// The program `ssh`, which the machine that runs the test need not have.
    pub fn client(&self) -> PathBuf {
        home().join("openssh/usr/bin/ssh")
    }

    /// The private key that `vcap` and `root` may log in with; the public one is beside it, with `.pub`.
    pub fn key(&self) -> PathBuf {
        self.dir.join("id_ed25519")
    }

    /// The file that knows the key of its sshd, as `[127.0.0.1]:PORT`.
    pub fn known_hosts(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }

    /// The port of PostgreSQL on 127.0.0.1.
    pub fn postgres_port(&self) -> u16 {
        self.postgres_port
    }

    /// What the machine has as `/var/vcap/store`. It lies on disk.
    pub fn store(&self) -> PathBuf {
        self.dir.join("store")
    }

    /// A program in the machine, as root, without sshd and sudo.
    pub fn root(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--uts", "--ipc", "--pid", "--root", "--target", &self.process.to_string(), "--"]);
        command.args(["env", "-i", "--chdir=/", PATH, "HOME=/root", "LC_ALL=C.UTF-8", program]);
        command
    }

    /// What a script of sh prints that root runs in the machine, without blanks around it.
    ///
    /// # Panics
    /// When it fails, with its words.
    pub fn sh(&self, script: &str) -> String {
        let output = self.root("sh").args(["-euc", script]).output().expect("nsenter of util-linux runs");
        let [out, words] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        assert!(output.status.success(), "{script}: {words}\n{out}");
        out
    }

    /// Kills all that runs in the machine but its first process, which then does what it did at first. Returns when that is done.
    ///
    /// Only a kill: the disk and `/var` are as they were, `/run` is empty.
    pub fn reboot(&self) {
        let _ = self.root("sh").args(["-c", "rm -f /run/booted; kill -KILL -1"]).output();
        while !self.root("test").args(["-e", "/run/booted"]).status().expect("nsenter runs").success() {
            assert!(Path::new(&format!("/proc/{}", self.process)).exists(), "the machine has ended: {}", self.log());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// Kills sshd and all its sessions: nobody can log in until [`let_in`](Self::let_in). What has detached itself from them runs on.
    pub fn shut_out(&self) {
        self.sh("pkill -KILL -x sshd; while pgrep -x sshd >/dev/null; do sleep 0.05; done");
    }

    /// Starts sshd again.
    pub fn let_in(&self) {
        self.sh("/usr/sbin/sshd");
    }

    /// What was said as it started, and by its sshd since.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

impl Drop for Director {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
