//! One job from one run to the next: waits until it is due, runs it, keeps and tells what came of it.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use backup_core::{Context, Doing, Error, Result};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::desk::Post;
use crate::notice::{Listener, Notice, What};
use crate::status::{Status, Statuses};
use crate::{Clock, Job, Outcome, Why};

/// A run at the start of the service is left out if a run has succeeded so short a time ago: a service that is started again
/// and again must not push good backups out by new ones.
const FRESH: SignedDuration = SignedDuration::from_mins(10);

/// How long after a failure it is tried again; twice as long after each further one.
const AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// How many missed runs are counted one by one.
const MOST: u32 = 10_000;

/// How far the clock may be set back without that what was due already is due again.
const BACK: SignedDuration = SignedDuration::from_hours(1);

/// What all jobs of a service share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) statuses: Statuses,
    pub(crate) listeners: Vec<Arc<dyn Listener>>,
    pub(crate) at_once: Semaphore,
}

/// One job of a running service.
#[derive(Debug)]
pub(crate) struct Drive<'a> {
    job: &'a Job,
    shared: &'a Shared,
    post: &'a Post,
    status: Status,
    started: Timestamp,
    /// Since when the schedule has not been answered.
    since: Timestamp,
    /// Whether what is known lies on disk.
    is_kept: bool,
}

impl<'a> Drive<'a> {
    /// Takes a job up where an earlier service left it. A run that was cut off has failed.
    pub(crate) fn new(job: &'a Job, shared: &'a Shared, post: &'a Post) -> Result<Self> {
        let status = shared.statuses.load(&job.name)?;
        let started = shared.clock.now();
        // What was due before the service started is nobody's fault if the job never ran.
        let since = status.answered.unwrap_or(started);
        let mut drive = Self { job, shared, post, status, started, since, is_kept: true };
        if let Some(begun) = drive.status.begun.filter(|_| drive.status.is_under_way()) {
            let error = Error::failed(format!("the run that began at {begun} was cut off"));
            drive.keep(Err(error), SignedDuration::ZERO);
        }
        Ok(drive)
    }

    /// Runs the job whenever it is due, until the future is dropped or `cx` is cancelled.
    pub(crate) async fn run(mut self, cx: &Context) -> Result<()> {
        let is_fresh = |last: Timestamp| last <= self.started && self.started.duration_since(last) < FRESH;
        if self.job.at_start && !self.status.succeeded.is_some_and(is_fresh) {
            self.once(cx, Why::Start).await?;
        }
        loop {
            let why = cx.unless_cancelled(async { Ok(self.wait().await) }).await?;
            self.once(cx, why).await?;
        }
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    fn tell(&self, what: What) {
        let notice = Notice { job: self.job.name.clone(), at: self.now(), what };
        for listener in &self.shared.listeners {
            listener.on(&notice);
        }
    }

    /// Keeps how the job stands. On a full volume it cannot: that is told, once, and the job goes on by what it remembers, since
    /// a service that ends would tell of nothing any more.
    fn store(&mut self) {
        let kept = self.shared.statuses.store(&self.job.name, &self.status);
        let was_kept = std::mem::replace(&mut self.is_kept, kept.is_ok());
        if let Err(error) = kept
            && was_kept
        {
            let (line, hint) = (error.chain(), error.hint().map(str::to_owned));
            self.tell(What::Failed { line, hint, failures: self.status.failures });
        }
    }

    /// Since when the schedule has not been answered. A time far in the future is that of a clock that was ahead.
    fn since(&mut self) -> Timestamp {
        let now = self.now();
        if self.since.duration_since(now) > BACK {
            self.since = now;
        }
        self.since
    }

    /// Waits until the job is due, is to be tried again, or somebody asks for it.
    async fn wait(&mut self) -> Why {
        loop {
            let due = self.job.schedule.next(self.since());
            let again = (1..=self.job.retries).contains(&self.status.failures).then(|| {
                let after = AGAIN.saturating_mul(1 << (self.status.failures - 1).min(16));
                self.status.ended.unwrap_or(self.started).min(self.now()).checked_add(after).unwrap_or(Timestamp::MAX)
            });
            let planned = match (due, again) {
                (due, Some(again)) if due.is_none_or(|due| again < due) => Some((again, Why::Again)),
                (Some(due), _) => Some((due.checked_add(self.jitter()).unwrap_or(due), Why::Due(due))),
                (None, _) => None,
            };
            self.post.announce(planned.map(|(until, _)| until));
            let Some((until, why)) = planned else {
                self.post.asked.notified().await;
                return Why::Asked;
            };
            tokio::select! {
                () = self.post.asked.notified() => return Why::Asked,
                () = self.shared.clock.sleep_until(until) => {}
            }
            // Earlier than that if the clock was set back: what is next may be another.
            if self.now() >= until {
                return why;
            }
        }
    }

    /// By how much the next run is put off.
    fn jitter(&self) -> SignedDuration {
        let most = u64::try_from(self.job.jitter.as_millis()).unwrap_or_default();
        // Random enough: the keys of each state are.
        let by = RandomState::new().hash_one(0) % most.saturating_add(1);
        SignedDuration::from_millis(i64::try_from(by).unwrap_or_default())
    }

    /// One run, with all that is kept and told of it.
    async fn once(&mut self, cx: &Context, why: Why) -> Result<()> {
        self.post.announce(None);
        let since = self.since();
        let due = self.job.schedule.due(since, self.now(), MOST);
        if let Some(due) = due {
            // Only the last of what was due happens now, and not even that if its time is long past.
            let is_late = self.now().duration_since(due.last) > self.job.late;
            let count = if is_late { due.count } else { due.count - 1 };
            if count > 0 {
                // Kept together with what answers it: a service that is killed meanwhile counts none of them twice.
                self.status.missed += u64::from(count);
                self.tell(What::Missed { due: due.first, count });
            }
        }
        let now = self.now();
        let due = due.map_or(now, |due| due.last);
        self.since = since.max(due);
        let late = now.checked_add(self.job.late).unwrap_or(Timestamp::MAX);
        let waiting = async { self.shared.at_once.acquire().await.doing(|| "wait for other jobs") };
        let permit = self.late_told(late, What::Late { due, begun: false }, cx.unless_cancelled(waiting)).await?;
        let begun = Instant::now();
        (self.status.begun, self.status.answered) = (Some(self.now()), Some(self.since));
        self.store();
        self.tell(What::Begun);
        let ran = self.late_told(late, What::Late { due, begun: true }, self.job.work.run(cx, why)).await;
        drop(permit);
        self.keep(ran, SignedDuration::try_from(begun.elapsed()).unwrap_or(SignedDuration::MAX));
        Ok(())
    }

    /// Awaits `work`, and tells `what` if it is not done at `late`.
    async fn late_told<T>(&self, late: Timestamp, what: What, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.shared.clock.sleep_until(late) => {}
            }
            if self.now() >= late {
                break;
            }
        }
        self.tell(what);
        work.await
    }

    /// Keeps and tells what came of a run.
    fn keep(&mut self, ran: Result<Outcome>, took: SignedDuration) {
        let now = self.now();
        let status = &mut self.status;
        status.ended = Some(status.begun.map_or(now, |begun| begun.max(now)));
        if self.job.work.is_proof() && matches!(ran, Ok(Outcome::Done { .. })) {
            status.proven = Some(now);
        }
        let what = match ran {
            Ok(Outcome::Done { line, bytes }) => {
                let after = std::mem::take(&mut status.failures);
                (status.succeeded, status.error, status.took, status.bytes) = (Some(now), None, Some(took), bytes);
                What::Succeeded { line, took, after }
            }
            Ok(Outcome::Idle(line)) => What::Idle { line },
            Err(error) => {
                status.failures = status.failures.saturating_add(1);
                let line = error.chain();
                status.error = Some(line.clone());
                What::Failed { line, hint: error.hint().map(str::to_owned), failures: status.failures }
            }
        };
        self.store();
        self.tell(what);
    }
}
