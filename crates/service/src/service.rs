//! All jobs together, until somebody stops them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use backup_core::{Context, Error, Journal, Kind, Name, Result};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Semaphore;

use crate::desk::{Desk, Post, Pulse};
use crate::drive::{Drive, Shared};
use crate::notice::Listener;
use crate::status::Statuses;
use crate::wish::{self, LOOK};
use crate::{Clock, Job, SystemClock};

/// Jobs and what they share. There is one service for a state folder at any time.
#[derive(Debug)]
pub struct Service {
    jobs: Vec<Job>,
    posts: BTreeMap<Name, Arc<Post>>,
    pulse: Arc<Pulse>,
    shared: Shared,
    _held: Journal,
}

impl Service {
    /// A service that keeps what it knows in `state`, a folder that outlives it, and runs `at_once` jobs at the same time at most.
    ///
    /// [`Kind::Busy`] if another one has the folder; [`Kind::Usage`] if two jobs have the same name.
    pub fn new(jobs: Vec<Job>, state: &Path, at_once: usize) -> Result<Self> {
        let names: BTreeSet<&Name> = jobs.iter().map(|job| &job.name).collect();
        if let Some(twice) = jobs.iter().find(|job| jobs.iter().filter(|other| other.name == job.name).count() > 1) {
            return Err(Error::usage(format!("two jobs are called {}", twice.name)).with_hint("give each a name of its own"));
        }
        if jobs.is_empty() {
            return Err(Error::usage("there is no job to do").with_hint("name a database"));
        }
        let posts = names.into_iter().map(|name| (name.clone(), Arc::default())).collect();
        let _held = Journal::open(state, &"service".parse()?)?;
        let shared = Shared {
            clock: Arc::new(SystemClock),
            statuses: Statuses::open(state)?,
            listeners: Vec::new(),
            at_once: Semaphore::new(at_once.max(1)),
        };
        Ok(Self { jobs, posts, pulse: Arc::default(), shared, _held })
    }

    /// Goes by another clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.shared.clock = clock;
        self
    }

    /// Tells `listener` too.
    pub fn with_listener(mut self, listener: Arc<dyn Listener>) -> Self {
        self.shared.listeners.push(listener);
        self
    }

    /// What asks a running service for things.
    pub fn desk(&self) -> Desk {
        Desk { posts: self.posts.clone(), statuses: self.shared.statuses.clone(), pulse: Arc::clone(&self.pulse) }
    }

    /// Runs the jobs until `cx` is cancelled, which is the way a service ends well: then runs that are under way have been
    /// cut short, and left nothing. Fails if the state folder cannot be read. If it cannot be written, on a full volume, that is
    /// told, and the jobs go on.
    pub async fn run(&self, cx: &Context) -> Result<()> {
        let mut running = FuturesUnordered::new();
        for job in &self.jobs {
            let post = self.posts.get(&job.name).ok_or_else(|| Error::failed(format!("job {} was lost", job.name)))?;
            let drive = Drive::new(job, &self.shared, post)?;
            running.push(Box::pin(drive.run(cx)));
        }
        let mut ended = Ok(());
        let _stopped = Stop(&self.pulse);
        loop {
            self.pulse.beat();
            for (job, post) in &self.posts {
                if wish::take(&self.shared.statuses, job) {
                    post.asked.notify_one();
                }
            }
            let one = tokio::select! {
                one = running.next() => one,
                () = tokio::time::sleep(LOOK) => continue,
            };
            match one {
                None => break,
                Some(Err(error)) if error.kind() == Kind::Cancelled && cx.cancel.is_cancelled() => {}
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    ended = Err(error);
                    // What one job cannot keep, none can.
                    cx.cancel.cancel();
                }
            }
        }
        ended
    }
}

/// Stops the pulse however the loop ends.
struct Stop<'a>(&'a Pulse);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
