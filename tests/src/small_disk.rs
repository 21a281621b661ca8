//! A file system with little room, for what happens when it is full.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::installed::skipped;

/// Mounts in a namespace of its own, says so, and lives as long as its standard input is open. At each line that it reads it takes the
/// file system away, or puts another one there, and says so.
const HOLDER: &str = r#"there() { mount -t tmpfs -o "size=$1" none "$2" && echo there; }
there "$@"
while read -r what; do case $what in
  away) umount -l "$2" && echo away;;
  there) there "$@";;
esac; done
umount "$2" 2>/dev/null"#;

/// A file system in memory that nobody else sees. It is gone with this value, and also when the test process dies.
#[derive(Debug)]
pub struct SmallDisk {
    holder: Child,
    says: BufReader<ChildStdout>,
    path: PathBuf,
    /// Where it is mounted; it goes last, as a mount goes with its folder.
    _folder: tempfile::TempDir,
}

impl SmallDisk {
    /// Makes one of `size`, such as `3m`. It takes no root, but a kernel that lets anybody have namespaces.
    ///
    /// `None`, and a line that says so, where that cannot be done.
    ///
    /// # Panics
    /// Where it cannot be done and `REQUIRE_SERVICES=1` is set.
    pub fn of(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let holder = Command::new("unshare")
            .args(namespace())
            .args(["sh", "-c", HOLDER, "sh", size])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut holder = holder.expect("unshare of util-linux runs");
        let says = BufReader::new(holder.stdout.take().expect("stdout is piped"));
        let path = Path::new("/proc").join(holder.id().to_string()).join("root");
        let path = path.join(folder.path().strip_prefix("/").expect("a whole path"));
        let mut disk = Self { holder, says, path, _folder: folder };
        if disk.says() == "there" {
            return Some(disk);
        }
        skipped("a small file system cannot be mounted in a namespace", false);
        None
    }

    /// Takes it away, whoever uses it: what is seen then is the folder that it was mounted at.
    pub fn take_away(&mut self) {
        self.tell("away");
    }

    /// Puts another one there, which is empty and another device.
    pub fn put_back(&mut self) {
        self.tell("there");
    }

    fn tell(&mut self, what: &str) {
        writeln!(self.holder.stdin.as_mut().expect("stdin is piped"), "{what}").expect("the holder lives");
        assert_eq!(self.says(), what);
    }

    fn says(&mut self) -> String {
        let mut line = String::new();
        let _ = self.says.read_line(&mut line);
        line.trim().to_owned()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Flags of unshare for a namespace that takes no root. In a chroot there is none; there root has one of mounts alone.
fn namespace() -> &'static [&'static str] {
    let mut probe = Command::new("unshare");
    probe.args(["--map-root-user", "--mount", "true"]).stderr(Stdio::null());
    match probe.status().is_ok_and(|status| status.success()) {
        true => &["--map-root-user", "--mount"],
        false => &["--mount", "--propagation", "unchanged"],
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
