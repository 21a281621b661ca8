//! A real SSH server for one test.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::installed::{home, skipped};

/// A server on 127.0.0.1 that lets in whoever runs the tests, with a key of its own.
///
/// Stopped and removed on drop, and also when the test process dies without one.
#[derive(Debug)]
pub struct Sshd {
    root: PathBuf,
    dir: PathBuf,
    port: u16,
    user: String,
    /// The process that listens; each connection has a child of its.
    listener: Pid,
    keeper: Child,
}

/// As root the server wants a user and a folder, and one who may log in without a password: they are in a namespace of its own, where
/// the folder `$1` has them. Its `log` says why there can be none.
const OWN: &str = r#"
dir=$(cd "$1" && pwd -P)
# In a chroot / is no mount point. What is mounted there would be seen outside if the mount below it were shared.
mount --make-rprivate / 2>/dev/null || :
mkdir "$dir/run" && mount -t tmpfs tmpfs "$dir/run" 2>>"$dir/log" || exit 1
if grep -F " $dir/run " /proc/self/mountinfo | grep -q ' shared:'; then
    umount "$dir/run"
    echo "mounts are shared with others here" >>"$dir/log"
    exit 1
fi
mkdir "$dir/run/sshd" && mount --no-mtab --move "$dir/run" /run 2>>"$dir/log" || exit 1
for list in passwd shadow; do mount --no-mtab --bind "$dir/$list" "/etc/$list" 2>>"$dir/log" || exit 1; done
"#;

/// Lives as long as its standard input is open, which is as long as the test lives. It is bash that can ask a port.
const KEEPER: &str = r#"
dir=$1 port=$2 server=$3
"$server" -D -f "$dir/config" -E "$dir/log" </dev/null >/dev/null &
until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    kill -0 $! || { echo failed; break; }
    sleep 0.02
done
echo "$!"
cat >/dev/null
# bash tells of what was killed; the descriptor stays open.
exec 4>&2 2>/dev/null
kill -KILL $(<"/proc/$!/task/$!/children") $!
wait
rm -rf "$dir"
"#;

impl Sshd {
    /// Starts one.
    ///
    /// `None`, and a line that says so, where `ci/install` has not put OpenSSH, or where it cannot have a namespace as root:
    /// `let Some(sshd) = Sshd::start() else { return };`
    ///
    /// # Panics
    /// When it does not start; the message has its log. Where there would be `None` and `REQUIRE_SERVICES=1` is set.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts one with further lines in its configuration, of which sshd takes the first of two; else as [`Sshd::start`].
    pub fn start_with(lines: &[&str]) -> Option<Self> {
        let root = home().join("openssh");
        if !root.join("complete").exists() {
            skipped(&format!("OpenSSH is not in {}: run ci/install", root.display()), false);
            return None;
        }
        if rustix::process::geteuid().is_root()
            && let Err(why) = probe()
        {
            skipped(&format!("sshd cannot be given a namespace of its own: {why}"), false);
            return None;
        }
        // Another process can take the free port before the server does.
        let mut failure = String::new();
        for _ in 0..5 {
            match Self::try_start(&root, lines) {
                Ok(server) => return Some(server),
                Err(log) => failure = log,
            }
            if !failure.contains("Address already in use") {
                break;
            }
        }
        panic!("sshd does not start: {failure}");
    }

    fn try_start(root: &Path, more: &[&str]) -> Result<Self, String> {
        let dir = tempfile::Builder::new().prefix("backup-sshd-").tempdir().expect("a temporary folder").keep();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        for name in ["host", "id"] {
            make_key(root, &dir.join(name));
        }
        std::fs::copy(dir.join("id.pub"), dir.join("authorized_keys")).expect("the user's key");
        let host = std::fs::read_to_string(dir.join("host.pub")).expect("the host's key");
        std::fs::write(dir.join("known_hosts"), format!("[127.0.0.1]:{port} {host}")).expect("known_hosts");
        let mut lines = more.to_vec();
        let port_line = format!("Port {port}");
        let host_key = format!("HostKey {}", dir.join("host").display());
        let keys = format!("AuthorizedKeysFile {}", dir.join("authorized_keys").display());
        let usual = [
            "ListenAddress 127.0.0.1",
            &port_line,
            &host_key,
            &keys,
            "AuthenticationMethods publickey",
            "PermitRootLogin yes",
            // The folder is in one that all may write to.
            "StrictModes no",
            "UsePAM no",
            "UseDNS no",
            // What comes first otherwise takes each login a quarter of a second of computing at either end.
            "KexAlgorithms curve25519-sha256",
            "PidFile none",
            // Or bash, which knows sshd, reads the start-up file of whoever runs the tests.
            "SetEnv SHLVL=1",
            "MaxStartups 100",
        ];
        lines.extend(usual);
        std::fs::write(dir.join("config"), lines.join("\n") + "\n").expect("its configuration");
        let mut keeper = bash(&dir, KEEPER)
            .arg(port.to_string())
            .arg(root.join("usr/sbin/sshd"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Who reads the test's standard error to its end has waited for the servers to go.
            .stderr(Stdio::inherit())
            // Ctrl-C ends the tests; the keeper then sees the end of its input.
            .process_group(0)
            .spawn()
            .expect("bash runs");
        let mut word = String::new();
        let _ = BufReader::new(keeper.stdout.take().expect("stdout is piped")).read_line(&mut word);
        if let Some(listener) = word.trim().parse().ok().and_then(Pid::from_raw) {
            return Ok(Self { root: root.to_owned(), dir, port, user: user(), listener, keeper });
        }
        let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
        drop(keeper.stdin.take());
        let _ = keeper.wait();
        Err(log)
    }

    /// Its TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Who may log in: whoever runs the tests.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The file of the private key that it knows.
    pub fn key(&self) -> PathBuf {
        self.dir.join("id")
    }

    /// A file that has its host key and no other.
    pub fn known_hosts(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }

    /// Its folder, with its `log`; removed with it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The program `ssh` that came with it.
    pub fn client(&self) -> PathBuf {
        self.root.join("usr/bin/ssh")
    }

    /// Makes a pair of keys: the private one in the file `path`, the public one beside it as `.pub`.
    pub fn make_key(&self, path: &Path) {
        make_key(&self.root, path);
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Kills the server's end of every connection; it goes on to listen.
    pub fn cut(&self) {
        for child in self.children() {
            let _ = kill_process(child, Signal::KILL);
        }
    }

    /// Stops the server's end of every connection without closing it, as a network does that swallows all.
    pub fn freeze(&self) {
        for child in self.children() {
            let _ = kill_process(child, Signal::STOP);
        }
    }

    fn children(&self) -> Vec<Pid> {
        let listener = self.listener.as_raw_nonzero();
        let children = std::fs::read_to_string(format!("/proc/{listener}/task/{listener}/children")).expect("it lives");
        children.split_whitespace().filter_map(|child| Pid::from_raw(child.parse().ok()?)).collect()
    }
}

/// bash with `script`, whose first argument is the folder; as root, in a namespace of its own.
fn bash(dir: &Path, script: &str) -> Command {
    let mut command = Command::new("/bin/bash");
    let mut script = script.to_owned();
    if rustix::process::geteuid().is_root() {
        let passwd = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd");
        let passwd = format!("{passwd}sshd:x:64022:65534::/run/sshd:/usr/sbin/nologin\n");
        std::fs::write(dir.join("passwd"), passwd).expect("a list of users");
        std::fs::write(dir.join("shadow"), format!("{}:*:19000::::::\n", user())).expect("a list of passwords");
        command = Command::new("unshare");
        command.args(["--mount", "--propagation", "unchanged", "/bin/bash"]);
        script.insert_str(0, OWN);
    }
    command.args(["-c", &script, "keeper"]).arg(dir);
    command
}

/// Whether root can give the server a namespace of its own, and if not, why.
fn probe() -> Result<(), String> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = bash(dir.path(), "").output().expect("unshare of util-linux runs");
    let said = || std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    let words = || format!("{}{}", String::from_utf8_lossy(&output.stderr), said()).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(words()) }
}

fn make_key(root: &Path, path: &Path) {
    let mut command = Command::new(root.join("usr/bin/ssh-keygen"));
    let made =
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f"]).arg(path).output().expect("ssh-keygen runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// The name of whoever runs the tests.
fn user() -> String {
    let output = Command::new("id").arg("-un").output().expect("id runs");
    String::from_utf8(output.stdout).expect("a name").trim().to_owned()
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // The end of its input ends the keeper.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
