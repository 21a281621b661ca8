//! What a run has stopped, on disk before it stops, and one run per job.
//!
//! A journal is two files in a folder of this machine: `JOB-DIGEST.lock`, held with flock(2) as long as the [`Journal`]
//! lives and released by the kernel when its process dies, and `JOB-DIGEST.json`, the [`Entry`], there only while
//! something is stopped. The entry carries its own SHA-256: what cannot be read is an error, never "nothing is stopped".

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::{Doing, Error, Kind, Name, Result, Sha256, Unit, folder};

/// The version of the entry's format.
const FORMAT: u32 = 1;

/// The most that is read of an entry, in bytes.
const LONGEST: u64 = 16 << 20;

/// The journal of one job. Whoever has it holds the job: there is no second one, in this or any other process.
#[derive(Debug)]
pub struct Journal {
    job: Name,
    path: PathBuf,
    partial: PathBuf,
    folder: File,
    lock: File,
}

/// What a run has stopped, or is about to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The job that the run belongs to.
    pub job: Name,
    /// What ran before, in start order.
    pub units: Vec<Unit>,
    /// What becomes of it when the work breaks off.
    pub on_failure: OnFailure,
    /// How far the run got.
    pub phase: Phase,
    /// When the run asked what runs.
    pub at: Timestamp,
    /// The machine it ran on, by its own name.
    pub host: String,
    /// Its process.
    pub pid: u32,
}

/// What becomes of what was stopped when the work breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// It is brought back: a backup that fails changed nothing.
    Resume,
    /// It stays stopped until somebody says otherwise: half a restore must not be served.
    Hold,
}

/// How far a run got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It stops the units; the work has not begun.
    Pausing,
    /// All are stopped and the work has begun.
    Working,
    /// The work is over as far as it goes; the units are brought back.
    Resuming,
}

impl Entry {
    /// Whether the units must stay stopped until somebody says otherwise: the work began, was to be held, and broke off.
    pub fn is_held(&self) -> bool {
        (self.on_failure, self.phase) == (OnFailure::Hold, Phase::Working)
    }
}

/// An entry as it lies on disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnDisk {
    format: u32,
    entry: Entry,
    /// Of the entry as JSON without blanks.
    sha256: Sha256,
}

/// What is read of an entry whatever its format.
#[derive(Deserialize)]
struct Versioned {
    format: u32,
}

impl Journal {
    /// Opens the journal of `job` in `folder`, which is made if it is not there, and holds the job.
    ///
    /// [`Kind::Busy`] at once if another run holds it. The folder must outlive the machine's next start: not `/run`,
    /// not `/tmp`.
    pub fn open(folder: &Path, job: &Name) -> Result<Self> {
        let doing = || format!("open the journal of {job} in {}", folder.display());
        // Durable, with all above it that is new: what is written here must outlive the machine's next start.
        let synced: File = folder::make_root(folder).doing(doing)?.into();
        let stem = stem(job);
        let path = folder.join(format!("{stem}.lock"));
        let mut lock =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).doing(doing)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(busy(job, &mut lock)),
            Err(error) => return Err(io::Error::from(error)).doing(doing),
        }
        // Only for people: who holds the lock is for the kernel to say. A full disk must not be in the way of a prune.
        let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        Ok(Self {
            job: job.clone(),
            path: folder.join(format!("{stem}.json")),
            partial: folder.join(format!(".{stem}.json.partial")),
            folder: synced,
            lock,
        })
    }

    /// The job that is held.
    pub fn job(&self) -> &Name {
        &self.job
    }

    /// What an earlier run, or this one, has stopped; `None` if nothing is.
    ///
    /// An entry that cannot be read is [`Kind::StillPaused`], as something may well be stopped.
    pub fn entry(&self) -> Result<Option<Entry>> {
        let mut text = Vec::new();
        let read = File::open(&self.path).and_then(|file| file.take(LONGEST).read_to_end(&mut text));
        match read {
            Ok(_) => self.parse(&text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.unreadable("cannot be read").with_source(error)),
        }
    }

    /// Puts `entry` on disk in place of any other; once this returns it is durable.
    ///
    /// Does not await: a future that is dropped has recorded it or has not.
    pub fn record(&self, entry: &Entry) -> Result<()> {
        let doing = || format!("write down what is stopped in {}", self.path.display());
        let plain = serde_json::to_vec(entry).doing(doing)?;
        let on_disk = OnDisk { format: FORMAT, entry: entry.clone(), sha256: Sha256::of(plain) };
        let text = serde_json::to_vec(&on_disk).doing(doing)?;
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.partial)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&self.partial, &self.path)?;
            self.folder.sync_all()
        };
        write().doing(doing)
    }

    /// Strikes the entry out: nothing is stopped any more. One that is not there is no error.
    pub fn strike(&self) -> Result<()> {
        let remove = || match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.folder.sync_all(),
        };
        remove().doing(|| format!("strike what was stopped out of {}", self.path.display()))
    }

    fn parse(&self, text: &[u8]) -> Result<Entry> {
        let damaged = || self.unreadable("is damaged");
        let versioned: Versioned = serde_json::from_slice(text).map_err(|error| damaged().with_source(error))?;
        if versioned.format > FORMAT {
            return Err(self.unreadable("is of a newer version of this program"));
        }
        let on_disk: OnDisk = serde_json::from_slice(text).map_err(|error| damaged().with_source(error))?;
        let plain = serde_json::to_vec(&on_disk.entry).map_err(|error| damaged().with_source(error))?;
        if on_disk.format != FORMAT || on_disk.sha256 != Sha256::of(plain) || on_disk.entry.job != self.job {
            return Err(damaged());
        }
        Ok(on_disk.entry)
    }

    fn unreadable(&self, how: &str) -> Error {
        let path = self.path.display();
        let message = format!("what an earlier run of {} has stopped is not known: {path} {how}", self.job);
        let hint = format!("see what is stopped, start it by hand, then remove {path}");
        Error::new(Kind::StillPaused, message).with_hint(hint)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Closing alone is not enough: a child that another thread has just forked shares the lock until its exec.
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

/// The name of the journal's files: what a person recognises, and a digest, as jobs may have any name.
pub(crate) fn stem(job: &Name) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let slug: String = job.as_str().chars().map(plain).take(40).collect();
    let digest = Sha256::of(job.as_str()).to_string();
    format!("{slug}-{}", digest.get(..16).unwrap_or(&digest))
}

fn busy(job: &Name, lock: &mut File) -> Error {
    let mut pid = String::new();
    // It may not have said its number yet.
    let read = lock.take(32).read_to_string(&mut pid);
    let who = read.ok().and_then(|_| pid.trim().parse::<u32>().ok()).map(|pid| format!(", process {pid}")).unwrap_or_default();
    Error::new(Kind::Busy, format!("another run of {job} is under way{who}")).with_hint("wait until it has ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn entry(job: &str) -> Entry {
        let units = ["nginx", "a unit\nwith \"everything\" in ä name"].map(|unit| Unit(unit.into())).to_vec();
        let at = Timestamp::UNIX_EPOCH;
        Entry { job: name(job), units, on_failure: OnFailure::Hold, phase: Phase::Working, at, host: "db-0".into(), pid: 17 }
    }

    #[test]
    fn an_entry_outlives_its_journal() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("not/yet/there");
        let journal = Journal::open(&state, &name("pg")).expect("a journal");
        assert_eq!(journal.entry().expect("readable"), None);
        journal.record(&entry("pg")).expect("recorded");
        drop(journal);
        let journal = Journal::open(&state, &name("pg")).expect("a journal");
        assert_eq!(journal.entry().expect("readable"), Some(entry("pg")));
        journal.strike().expect("struck");
        journal.strike().expect("struck again");
        assert_eq!(journal.entry().expect("readable"), None);
    }

    #[test]
    fn a_second_run_is_told_who_holds_the_job() {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = Journal::open(folder.path(), &name("pg")).expect("a journal");
        let busy = Journal::open(folder.path(), &name("pg")).expect_err("it is held");
        assert_eq!(busy.kind(), Kind::Busy);
        assert_eq!(busy.to_string(), format!("another run of pg is under way, process {}", std::process::id()));
        Journal::open(folder.path(), &name("pg/other")).expect("another job is free");
        drop(journal);
        Journal::open(folder.path(), &name("pg")).expect("it is free again");
    }

    #[test]
    fn a_number_that_cannot_be_written_is_in_nobodys_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = folder.path().join(format!("{}.lock", stem(&name("pg"))));
        std::os::unix::fs::symlink("/dev/full", lock).expect("a lock on a full disk");
        Journal::open(folder.path(), &name("pg")).expect("a journal");
    }

    #[test]
    fn jobs_of_any_name_stay_apart_and_inside() {
        let folder = tempfile::tempdir().expect("a folder");
        let long = "ä".repeat(5000);
        let journals: Vec<Journal> = ["../../etc/passwd", "a/b", "a_b", "a\nb", ".", &long]
            .map(|job| {
                let journal = Journal::open(folder.path(), &name(job)).expect("a journal");
                journal.record(&entry(job)).expect("recorded");
                journal
            })
            .into();
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2 * journals.len());
        for journal in journals {
            assert_eq!(journal.entry().expect("readable").map(|entry| entry.job), Some(journal.job().clone()));
        }
    }

    #[test]
    fn a_damaged_entry_is_never_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = Journal::open(folder.path(), &name("pg")).expect("a journal");
        journal.record(&entry("pg")).expect("recorded");
        let sound = fs::read(&journal.path).expect("an entry");
        let damaged = |text: &[u8]| {
            fs::write(&journal.path, text).expect("written");
            let error = match journal.entry() {
                // JSON has more than one way to say some things: a small t in a time.
                Ok(same) => return assert_eq!(same, Some(entry("pg"))),
                Err(error) => error,
            };
            assert_eq!(error.kind(), Kind::StillPaused);
            assert!(error.hint().is_some_and(|hint| hint.contains("remove")), "{error:?}");
        };
        for end in 0..sound.len() {
            damaged(&sound[..end]);
        }
        for bit in 0..sound.len() * 8 {
            let mut text = sound.clone();
            text[bit / 8] ^= 1 << (bit % 8);
            damaged(&text);
        }
        damaged(b"null");
        fs::remove_file(&journal.path).expect("removed");
        fs::create_dir(&journal.path).expect("a folder in its place");
        assert_eq!(journal.entry().expect_err("no file").kind(), Kind::StillPaused);
    }

    #[test]
    fn an_entry_of_another_job_or_a_newer_version_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = Journal::open(folder.path(), &name("pg")).expect("a journal");
        journal.record(&entry("mongo")).expect("recorded");
        assert_eq!(journal.entry().expect_err("not ours").kind(), Kind::StillPaused);
        fs::write(&journal.path, r#"{"format": 2, "what": "nobody knows yet"}"#).expect("written");
        assert!(journal.entry().expect_err("newer").to_string().ends_with("is of a newer version of this program"));
    }

    #[test]
    fn a_half_written_entry_does_not_count() {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = Journal::open(folder.path(), &name("pg")).expect("a journal");
        fs::write(&journal.partial, "{\"format\"").expect("written");
        assert_eq!(journal.entry().expect("nothing was stopped yet"), None);
        journal.record(&entry("pg")).expect("recorded over it");
        assert_eq!(journal.entry().expect("readable"), Some(entry("pg")));
    }
}
