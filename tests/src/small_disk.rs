//! A file system with little room, for what happens when it is full.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::installed::skipped;

/// Mounts in a namespace of its own, says so, and lives as long as its standard input is open.
const HOLDER: &str = r#"mount -t tmpfs -o "size=$1" none "$2" && echo ready; cat >/dev/null; umount "$2" 2>/dev/null"#;

/// A file system in memory that nobody else sees. It is gone with this value, and also when the test process dies.
#[derive(Debug)]
pub struct SmallDisk {
    holder: Child,
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
        let mut said = String::new();
        let _ = BufReader::new(holder.stdout.take().expect("stdout is piped")).read_line(&mut said);
        let path = Path::new("/proc").join(holder.id().to_string()).join("root");
        let path = path.join(folder.path().strip_prefix("/").expect("a whole path"));
        let disk = Self { holder, path, _folder: folder };
        if said.trim() == "ready" {
            return Some(disk);
        }
        skipped("a small file system cannot be mounted in a namespace", false);
        None
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
