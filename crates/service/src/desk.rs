//! Where a running service is asked for runs, and how its jobs stand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backup_core::{Error, Kind, Name, Result};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::status::{Status, Statuses};

/// How long the loop of a service may be silent before it counts as stuck.
const SILENT: Duration = Duration::from_secs(120);

/// What a job shares with those who ask about it.
#[derive(Debug, Default)]
pub(crate) struct Post {
    /// Told when somebody asks for a run.
    pub(crate) asked: Notify,
    next: Mutex<Option<Timestamp>>,
}

impl Post {
    /// Says when the job will run next.
    pub(crate) fn announce(&self, next: Option<Timestamp>) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

/// When the loop of a service was last seen.
#[derive(Debug, Default)]
pub(crate) struct Pulse(Mutex<Option<Instant>>);

impl Pulse {
    /// The loop turns.
    pub(crate) fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The loop has ended.
    pub(crate) fn stop(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Where a running service is asked for things. Cheap to clone; it says the same after the service has ended.
#[derive(Debug, Clone)]
pub struct Desk {
    pub(crate) posts: BTreeMap<Name, Arc<Post>>,
    pub(crate) statuses: Statuses,
    pub(crate) pulse: Arc<Pulse>,
}

impl Desk {
    /// The names of the jobs.
    pub fn jobs(&self) -> impl Iterator<Item = &Name> {
        self.posts.keys()
    }

    fn post(&self, job: &Name) -> Result<&Post> {
        let post = self.posts.get(job).map(Arc::as_ref);
        post.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no job {job}")))
    }

    /// Has `job` run as soon as it can: at once, or after the run that is under way. [`Kind::NotFound`] if there is no such job.
    pub fn ask(&self, job: &Name) -> Result<()> {
        self.post(job)?.asked.notify_one();
        Ok(())
    }

    /// How `job` stands. Reads a small file.
    pub fn status(&self, job: &Name) -> Result<Status> {
        self.statuses.load(job)
    }

    /// When `job` will run next without being asked; none while it runs, and if nothing is planned. [`Kind::NotFound`] if there
    /// is no such job.
    pub fn next(&self, job: &Name) -> Result<Option<Timestamp>> {
        Ok(*self.post(job)?.next.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the service runs and its loop was seen within the last two minutes.
    pub fn is_alive(&self) -> bool {
        self.pulse.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|beat| beat.elapsed() < SILENT)
    }

    /// Fails unless the service runs, so that it knows how its jobs stand, and can keep what becomes of them. Writes a small
    /// file and removes it.
    pub fn ready(&self) -> Result<()> {
        if !self.is_alive() {
            return Err(Error::failed("the service does not run"));
        }
        self.statuses.probe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_stands_still_is_dead_after_two_minutes() {
        let folder = tempfile::tempdir().expect("a folder");
        let statuses = Statuses::open(folder.path()).expect("a folder");
        let desk = Desk { posts: BTreeMap::new(), statuses, pulse: Arc::default() };
        assert!(!desk.is_alive(), "it never turned");
        desk.pulse.beat();
        tokio::time::advance(Duration::from_secs(119)).await;
        assert!(desk.is_alive() && desk.ready().is_ok());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!desk.is_alive() && desk.ready().is_err(), "it is stuck");
        desk.pulse.beat();
        assert!(desk.is_alive(), "it goes on");
    }
}
