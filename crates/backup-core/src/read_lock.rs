//! Whoever reads backups of a job keeps them from being pruned, on this machine.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::{Doing, Error, Kind, Name, Result, journal};

/// A lock in the folder of the job's [`Journal`](crate::Journal): many share it while they read, or one has it alone and
/// deletes. Released when it is dropped, and by the kernel when its process dies.
#[derive(Debug)]
pub struct ReadLock(File);

impl ReadLock {
    /// Held by whoever reads. [`Kind::Busy`] at once while another run deletes backups of `job`.
    pub fn shared(folder: &Path, job: &Name) -> Result<Self> {
        Self::lock(folder, job, File::try_lock_shared, "are being pruned")
    }

    /// Held by whoever deletes. [`Kind::Busy`] at once while another run reads a backup of `job`, or deletes one.
    pub fn exclusive(folder: &Path, job: &Name) -> Result<Self> {
        Self::lock(folder, job, File::try_lock, "are being read")
    }

    fn lock(folder: &Path, job: &Name, lock: impl Fn(&File) -> Result<(), TryLockError>, busy: &str) -> Result<Self> {
        let doing = || format!("lock the backups of {job} in {}", folder.display());
        DirBuilder::new().recursive(true).mode(0o700).create(folder).doing(doing)?;
        let path = folder.join(format!("{}.reading", journal::stem(job)));
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).doing(doing)?;
        match lock(&file) {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                Err(Error::new(Kind::Busy, format!("backups of {job} {busy} by another run"))
                    .with_hint("wait until it has ended"))
            }
            Err(TryLockError::Error(error)) => Err(error).doing(doing),
        }
    }
}

impl Drop for ReadLock {
    fn drop(&mut self) {
        // Closing alone is not enough: a child that another thread has just forked shares the lock until its exec.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_read_or_one_deletes() {
        let folder = tempfile::tempdir().expect("a folder");
        let (state, job): (_, Name) = (folder.path().join("state"), "pg".parse().expect("a name"));
        let readers = [0, 1].map(|_| ReadLock::shared(&state, &job).expect("they share it"));
        assert_eq!(ReadLock::exclusive(&state, &job).expect_err("it is shared").kind(), Kind::Busy);
        ReadLock::exclusive(&state, &"other".parse().expect("a name")).expect("another job");
        drop(readers);
        let one = ReadLock::exclusive(&state, &job).expect("it is free");
        assert_eq!(ReadLock::exclusive(&state, &job).expect_err("it is held").kind(), Kind::Busy);
        assert_eq!(ReadLock::shared(&state, &job).expect_err("it is held").kind(), Kind::Busy);
        drop(one);
        ReadLock::shared(&state, &job).expect("it is free again");
    }
}
