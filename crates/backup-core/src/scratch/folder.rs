//! The folder of a server to throw away, and what killed runs have left of theirs.

use std::fs::{File, OpenOptions, Permissions, rename};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::Path;

use rustix::fs::OFlags;
use tempfile::TempDir;

use crate::{Doing as _, Error, Result};

/// A folder with a random name, which its owner and root alone can enter. Dropping it removes it with all that is in it.
///
/// A file in it is locked as long as this process lives, so that the next run knows what a killed one has left.
#[derive(Debug)]
pub struct Folder {
    // In this order: what is removed is nobody else's before that.
    folder: TempDir,
    _lock: Option<File>,
}

/// The file that is locked.
const LOCK: &str = "backup-scratch.lock";

/// The longest address of a socket, in bytes, without the zero at its end: `unix(7)`.
const ADDRESS: usize = 107;

impl Folder {
    /// Makes a folder `PREFIX…` in `parent`, which belongs to the user and the group `owner`, else to ours. Those that killed runs have
    /// left there are removed first, as far as that can be.
    ///
    /// [`Kind::Usage`](crate::Kind::Usage) if the path of `socket` in it would be too long for an address.
    pub fn make(parent: &Path, prefix: &str, socket: &str, owner: Option<(u32, u32)>) -> Result<Self> {
        sweep(parent, prefix, owner.map(|(uid, _)| uid));
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix(prefix).permissions(Permissions::from_mode(0o700));
        let folder = builder.tempdir_in(parent).doing(|| format!("make a folder in {}", parent.display()))?;
        // Without a lock, as on a file system that knows none, it is not removed by another run.
        let lock = lock(folder.path()).ok();
        if let Some((uid, gid)) = owner {
            chown(folder.path(), Some(uid), Some(gid))
                .doing(|| format!("give {} to the server's user", folder.path().display()))?;
        }
        if folder.path().as_os_str().len() + 1 + socket.len() > ADDRESS {
            return Err(Error::usage(format!("the path {} is too long for a socket", parent.display()))
                .with_hint("give a folder with a shorter path for the scratch server"));
        }
        Ok(Self { folder, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Removes it, and tells if that cannot be done.
    pub fn close(self) -> Result<()> {
        let path = self.path().to_owned();
        self.folder.close().doing(|| format!("remove {}", path.display()))
    }
}

/// Makes the file that tells that its folder is in use. It has its name once it is locked, never before.
fn lock(folder: &Path) -> Result<File> {
    let (path, first) = (folder.join(LOCK), folder.join("lock"));
    let doing = || format!("lock {}", folder.display());
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&first).doing(doing)?;
    file.try_lock().map_err(|error| Error::failed(error.to_string())).doing(doing)?;
    rename(first, path).doing(doing)?;
    Ok(file)
}

/// Removes folders `PREFIX…` in `parent` of ours, or of the user `owner`, whose process has ended.
fn sweep(parent: &Path, prefix: &str, owner: Option<u32>) {
    let ours = [Some(rustix::process::geteuid().as_raw()), owner];
    for entry in parent.read_dir().into_iter().flatten().flatten() {
        let is_meant = entry.file_name().to_string_lossy().starts_with(prefix)
            && entry.metadata().is_ok_and(|is| is.is_dir() && ours.contains(&Some(is.uid())));
        // Held until all is gone: another run that sweeps leaves it to this one.
        let Some(_lock) = is_meant.then(|| left(&entry.path())).flatten() else { continue };
        if let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::debug!(%error, path = %entry.path().display(), "what a killed run has left stays");
        }
    }
}

/// The lock of a folder that nobody holds any more.
fn left(folder: &Path) -> Option<File> {
    let plain = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).ok()?;
    let file = OpenOptions::new().read(true).custom_flags(plain).open(folder.join(LOCK)).ok()?;
    file.try_lock().is_ok().then_some(file)
}
