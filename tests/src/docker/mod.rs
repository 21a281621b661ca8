//! A real Docker Engine for tests, on a machine of its own with sshd, and a container in it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::installed::{home, skipped};

/// A machine in namespaces of its own, under the one that runs the test; of the network it has a port of 127.0.0.1.
///
/// The user `core` logs in by ssh and may use Docker. In Docker runs the container [`CONTAINER`](Self::CONTAINER): Debian's programs,
/// sudo, and PostgreSQL 15 that does not run yet; its network is its own 127.0.0.1.
///
/// Stopped and removed on drop, and also when the test process dies without one.
#[derive(Debug)]
pub struct Docker {
    dir: PathBuf,
    ssh_port: u16,
    keeper: Child,
}

impl Docker {
    /// What the container is called.
    pub const CONTAINER: &str = "deis-database";

    /// Starts one, in three seconds or more. Only root can.
    ///
    /// `None`, and a line that says so, for other users, where there can be no namespaces, and where `ci/install` has not put its
    /// programs: `let Some(docker) = Docker::start() else { return };`
    ///
    /// # Panics
    /// When it does not start, with its log. Where programs are missing and `REQUIRE_SERVICES=1` is set.
    pub fn start() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skipped("Docker Engine takes root", true);
            return None;
        }
        let namespaces = ["--mount", "--pid", "--uts", "--ipc", "--propagation", "unchanged", "--fork", "true"];
        if !Command::new("unshare").args(namespaces).output().is_ok_and(|output| output.status.success()) {
            skipped("Docker Engine takes namespaces, and the kernel gives none", true);
            return None;
        }
        let [programs, postgresql, openssh] = ["docker", "postgresql-15", "openssh"].map(|name| home().join(name));
        if let Some(missing) = [&programs, &postgresql, &openssh].into_iter().find(|root| !root.join("complete").exists()) {
            skipped(&format!("Docker's programs are not in {}: run ci/install", missing.display()), false);
            return None;
        }
        // Another process can take the free port before sshd does.
        let mut failure = String::new();
        for _ in 0..5 {
            match Self::try_start(&programs, &postgresql) {
                Ok(docker) => return Some(docker),
                Err(log) => failure = log,
            }
            if !failure.contains("Address already in use") {
                break;
            }
        }
        panic!("Docker Engine does not start: {failure}");
    }

    fn try_start(programs: &Path, postgresql: &Path) -> Result<Self, String> {
        let dir = tempfile::Builder::new().prefix("backup-docker-").tempdir().expect("a temporary folder").keep();
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let ssh_port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let mut keeper = Command::new("sh")
            .args(["keeper.sh", "begin.sh"].map(|script| source.join("src/docker").join(script)))
            .args([programs, postgresql, &source.join("data/docker"), &dir])
            .arg(ssh_port.to_string())
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
        let docker = Self { dir, ssh_port, keeper };
        if said.trim() != "ready" {
            return Err(std::fs::read_to_string(docker.dir.join("log")).unwrap_or_default());
        }
        let script = format!(
            "#!/bin/sh\nDOCKER_HOST=unix://{}/run/docker.sock exec {}/usr/bin/docker \"$@\"\n",
            docker.dir.display(),
            programs.display()
        );
        std::fs::write(docker.client(), script).expect("a program");
        std::fs::set_permissions(docker.client(), std::fs::Permissions::from_mode(0o755)).expect("a program");
        Ok(docker)
    }

    /// The program `docker` for this machine, which need not have one: it speaks to that Docker Engine.
    pub fn client(&self) -> PathBuf {
        self.dir.join("docker")
    }

    /// The port of sshd on 127.0.0.1.
    pub fn ssh_port(&self) -> u16 {
        self.ssh_port
    }

    /// The program `ssh`, which the machine that runs the test need not have.
    pub fn ssh_client(&self) -> PathBuf {
        home().join("openssh/usr/bin/ssh")
    }

    /// The private key that `core` may log in with.
    pub fn key(&self) -> PathBuf {
        self.dir.join("id_ed25519")
    }

    /// The file that knows the key of its sshd, as `[127.0.0.1]:PORT`.
    pub fn known_hosts(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }

    /// Kills the server's end of every connection by ssh; it goes on to listen.
    ///
    /// # Panics
    /// When it cannot be told to.
    pub fn cut(&self) {
        let process = std::fs::read_to_string(self.dir.join("process")).expect("the number of its first process");
        let script = "kill -KILL $(pgrep -x sshd | grep -vx $(pgrep -ox sshd))";
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--pid", "--root", "--target", process.trim(), "--", "sh", "-c", script]);
        let output = command.output().expect("nsenter of util-linux runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// What `docker` prints for those arguments, without blanks around it.
    ///
    /// # Panics
    /// When it fails, with its words.
    pub fn docker(&self, arguments: &[&str]) -> String {
        let output = Command::new(self.client()).args(arguments).output().expect("docker runs");
        let [out, words] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        assert!(output.status.success(), "docker {arguments:?}: {words}\n{out}");
        out
    }

    /// Starts PostgreSQL in the container: `postgres` gets in by its socket as the user of that name, and by 127.0.0.1 with `password`.
    ///
    /// # Panics
    /// When it does not start.
    pub fn serve_postgres(&self, password: &str) {
        self.sh(&format!(
            "install -d -o postgres -g postgres /var/lib/postgresql /run/postgresql
            ln -s /run /var/run
            cd /var/lib/postgresql
            echo '{password}' >/tmp/password
            sudo -u postgres initdb -D data -E UTF8 --locale=C --no-sync -A scram-sha-256 --auth-local=peer --pwfile=/tmp/password
            sudo -u postgres pg_ctl -D data -w -l log -o '-c fsync=off' start"
        ));
    }

    /// What a script of sh prints that root runs in the container, without blanks around it.
    ///
    /// # Panics
    /// When it fails, with its words.
    pub fn sh(&self, script: &str) -> String {
        self.docker(&["exec", Self::CONTAINER, "sh", "-euc", script])
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // The end of its input ends the keeper.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
