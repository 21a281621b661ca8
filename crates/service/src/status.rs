//! How a job stands, kept on disk so that a restart knows what was due and what became of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use backup_core::{Doing, Name, Result, Sha256};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How a job stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The last time that it was due and a run answered.
    pub answered: Option<Timestamp>,
    /// When its last run began.
    pub begun: Option<Timestamp>,
    /// When its last run ended; before `begun`, or none, while a run is under way.
    pub ended: Option<Timestamp>,
    /// When a run last did what it should.
    pub succeeded: Option<Timestamp>,
    /// When a run last proved a backup.
    pub proven: Option<Timestamp>,
    /// How many runs have failed since the last success.
    pub failures: u32,
    /// What failed last, if anything has since the last success.
    pub error: Option<String>,
    /// How many runs did not happen, ever.
    pub missed: u64,
    /// How long the last run that succeeded took.
    pub took: Option<SignedDuration>,
    /// How many bytes it stored, if it stored any.
    pub bytes: Option<u64>,
}

impl Status {
    /// Whether a run has begun and not ended: it is under way, or was when the service was killed.
    pub fn is_under_way(&self) -> bool {
        self.begun.is_some() && self.ended < self.begun
    }
}

/// Where the status of each job lies: a small file each in a folder of this machine.
#[derive(Debug, Clone)]
pub struct Statuses {
    folder: PathBuf,
}

/// The most that is read of a status, in bytes.
const LONGEST: u64 = 1 << 20;

impl Statuses {
    /// Those in `folder`, which is made if it is not there.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).doing(|| format!("make the folder {} for the state of jobs", folder.display()))?;
        Ok(Self { folder: folder.to_owned() })
    }

    fn path(&self, job: &Name) -> PathBuf {
        self.file(job, "status.json")
    }

    /// Where a [`Wish`](crate::Wish) for a run of `job` lies.
    pub(crate) fn wish(&self, job: &Name) -> PathBuf {
        self.file(job, "wish")
    }

    fn file(&self, job: &Name, end: &str) -> PathBuf {
        // Jobs may have any name.
        self.folder.join(format!("{}.{end}", &Sha256::of(job.as_str()).to_string()[..16]))
    }

    /// The status of `job`; one that was never kept, or that cannot be understood, is that of a job that never ran.
    ///
    /// Nothing of value is lost with it: the backups themselves say what there is.
    pub fn load(&self, job: &Name) -> Result<Status> {
        let mut text = Vec::new();
        let path = self.path(job);
        match File::open(&path).and_then(|file| file.take(LONGEST).read_to_end(&mut text)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Status::default()),
            read => read.doing(|| format!("read the state of {job} in {}", path.display()))?,
        };
        Ok(serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(%job, %error, "the state of the job cannot be understood and is begun anew");
            Status::default()
        }))
    }

    /// Fails if nothing can be kept in the folder.
    pub(crate) fn probe(&self) -> Result<()> {
        let path = self.folder.join("probe.partial");
        let write = || {
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?.write_all(b"probe")?;
            match fs::remove_file(&path) {
                // Another probe was quicker.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            }
        };
        write().doing(|| format!("write into the folder {} for the state of jobs", self.folder.display()))
    }

    /// Puts the status of `job` in place of the last one; once this returns it is durable.
    pub fn store(&self, job: &Name, status: &Status) -> Result<()> {
        let path = self.path(job);
        let partial = path.with_extension("partial");
        let doing = || format!("keep the state of {job} in {}", path.display());
        let text = serde_json::to_vec(status).doing(doing)?;
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&partial, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().doing(doing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_reads_back_and_a_damaged_one_is_a_fresh_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let statuses = Statuses::open(&folder.path().join("not/yet")).expect("a folder");
        let job: Name = "../a job\nof any name".parse().expect("a name");
        assert_eq!(statuses.load(&job).expect("none yet"), Status::default());
        let status = Status { begun: Some(Timestamp::UNIX_EPOCH), failures: 3, error: Some("why".into()), ..Status::default() };
        assert!(status.is_under_way());
        statuses.store(&job, &status).expect("kept");
        assert_eq!(statuses.load(&job).expect("kept"), status);
        fs::write(statuses.path(&job), "{\"failures\": ").expect("written");
        assert_eq!(statuses.load(&job).expect("damaged"), Status::default());
    }
}
