//! A run that another process wishes for, through the state folder of a service.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backup_core::{Doing, Error, Kind, Name, Result};
use jiff::Timestamp;

use crate::status::{Status, Statuses};

/// How often a service looks for wishes, and whoever has one for what became of it.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// A wish that a job of a service runs now: a file that the service takes away when it has seen it. Whoever can write into the
/// state folder can have one.
///
/// Dropped before it is seen, it is taken back.
#[derive(Debug)]
pub struct Wish {
    job: Name,
    file: PathBuf,
    statuses: Statuses,
    /// When the run before it began.
    before: Option<Timestamp>,
}

impl Wish {
    /// Wishes for a run of `job` of the service whose state lies in `state`. [`Kind::NotFound`] if there is no such folder.
    pub fn put(state: &Path, job: &Name) -> Result<Self> {
        if !state.is_dir() {
            return Err(Error::new(Kind::NotFound, format!("no service has its state in {}", state.display()))
                .with_hint("ask where the service runs, with the configuration that it has"));
        }
        let statuses = Statuses::open(state)?;
        let before = statuses.load(job)?.begun;
        let file = statuses.wish(job);
        let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file);
        written.doing(|| format!("ask for a run of {job} in {}", state.display()))?;
        Ok(Self { job: job.clone(), file, statuses, before })
    }

    /// Returns once the service has seen it: it runs the job at once, or after the run that is under way.
    ///
    /// [`Kind::NotFound`] if that takes longer than `patience`. Cancel-safe.
    pub async fn seen(&self, patience: Duration) -> Result<()> {
        let seeing = async {
            while self.file.exists() {
                tokio::time::sleep(LOOK / 10).await;
            }
        };
        tokio::time::timeout(patience, seeing).await.map_err(|_| {
            let what = format!("no service that has a job {} has answered within {patience:?}", self.job);
            Error::new(Kind::NotFound, what).with_hint("see whether it runs, and what its jobs are called")
        })
    }

    /// Returns once a run that began after the wish has ended, and how the job stands then. Cancel-safe.
    pub async fn ended(&self) -> Result<Status> {
        loop {
            let status = self.statuses.load(&self.job)?;
            if status.begun != self.before && !status.is_under_way() {
                return Ok(status);
            }
            tokio::time::sleep(LOOK / 2).await;
        }
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        // It was seen, mostly.
        let _ = fs::remove_file(&self.file);
    }
}

/// Takes a wish for `job` away, and says whether there was one.
pub(crate) fn take(statuses: &Statuses, job: &Name) -> bool {
    match fs::remove_file(statuses.wish(job)) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => {
            tracing::warn!(%job, %error, "a run that was asked for cannot be seen");
            false
        }
    }
}
