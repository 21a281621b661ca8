//! What becomes of one name, by what both ends and the record say of it.

use backup_core::{Doing, Error, Event, Name, Result};
use tokio::sync::SemaphorePermit;

use super::guard;
use super::item::Item;
use super::lines::Written;
use super::merge::{Named, Pair};
use super::run::Run;

/// So much of an object, in bytes, is a share of a job. Small ones are waited for more than they are moved: a gateway of Ceph sends the
/// end of an answer only when its beginning was acknowledged, which takes a client's system 40 ms.
const SHARE: u64 = 64 << 10;
/// How many shares a job has, and the most that an object takes.
pub(super) const SHARES: u32 = 8;

/// The most pieces of an object that are under way at once.
const WIDTH: u32 = 4;

/// What became of a name.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) record: Option<Written>,
    /// The source no longer has it.
    pub(super) gone: bool,
    /// The source has it.
    pub(super) listed: bool,
    /// What was written and is not shown by either end as it was.
    pub(super) lost: Option<Written>,
    /// Bytes or folders were written.
    pub(super) copied: bool,
    pub(super) failed: Option<Error>,
}

impl Run {
    pub(super) async fn one(
        &self,
        pair: Pair<Item, Pair<Item, Written>>,
        is_meant: &(impl Fn(&str) -> bool + Sync),
    ) -> Outcome {
        let is_meant = is_meant(pair.name());
        let (source, found, record) = match pair {
            Pair::Left(source) => (Some(source), None, None),
            Pair::Both(source, Pair::Left(found)) => (Some(source), Some(found), None),
            Pair::Both(source, Pair::Right(record)) => (Some(source), None, Some(record)),
            Pair::Both(source, Pair::Both(found, record)) => (Some(source), Some(found), Some(record)),
            Pair::Right(Pair::Left(found)) => (None, Some(found), None),
            Pair::Right(Pair::Right(record)) => (None, None, Some(record)),
            Pair::Right(Pair::Both(found, record)) => (None, Some(found), Some(record)),
        };
        if !is_meant {
            return Outcome { record, ..Outcome::default() };
        }
        let is_ours =
            |record: &Written| found.as_ref().is_some_and(|found| guard::is_ours(Some(record), found.size, &found.mark));
        let before = record.clone();
        let record = record.filter(is_ours);
        let Some(source) = source else {
            if record.is_none() && found.is_some() {
                self.report.count().foreign += 1;
            }
            let lost = before.filter(|_| record.is_none());
            return Outcome { gone: record.is_some(), record, lost, ..Outcome::default() };
        };
        {
            let mut summary = self.report.count();
            summary.source += 1;
            summary.source_bytes += source.size;
        }
        match self.bring(&source, found.as_ref(), record.as_ref()).await {
            Ok((record, copied)) => Outcome { record, listed: true, copied, ..Outcome::default() },
            // What was known stays known: a listing that hid it may show it again.
            Err(error) => Outcome { record: before, listed: true, failed: Some(error), ..Outcome::default() },
        }
    }

    /// Waits until there is room for an object among [`super::Options::jobs`].
    pub(super) async fn job(&self, source: &Item) -> Result<SemaphorePermit<'_>> {
        let shares = u32::try_from(source.size.div_ceil(SHARE)).map_or(SHARES, |shares| shares.clamp(1, SHARES));
        self.jobs.acquire_many(shares).await.map_err(|_| Error::cancelled())
    }

    /// How many of its `pieces` an object may have under way at once: one, and as many more as there are jobs that nobody waits for,
    /// which it has as long as it holds what comes with them.
    pub(super) fn spare(&self, pieces: u64) -> (usize, Option<SemaphorePermit<'_>>) {
        let most = u32::try_from(pieces).map_or(WIDTH, |pieces| pieces.clamp(1, WIDTH));
        for more in (1..most).rev() {
            if let Ok(jobs) = self.jobs.try_acquire_many(more * SHARES) {
                return (more as usize + 1, Some(jobs));
            }
        }
        (1, None)
    }

    /// Copies an object unless it is there; what is to be recorded of it, and whether it was copied.
    async fn bring(&self, source: &Item, found: Option<&Item>, record: Option<&Written>) -> Result<(Option<Written>, bool)> {
        let known = found.and_then(|found| self.is_known(source, found, record));
        if known == Some(true) {
            self.report.count().same += 1;
            // Its record stays as it is: nobody has looked whether the content is that of the source.
            return Ok((record.cloned(), false));
        }
        let job = self.job(source).await?;
        if let (None, Some(found)) = (known, found)
            && self.is_same(source, found).await?
        {
            self.report.count().same += 1;
            return Ok((record.map(|record| Written { from: source.mark.clone(), ..record.clone() }), false));
        }
        let cx = self.report.context();
        cx.tell(Event::Begun { what: "sync", parts: 1, bytes: Some(source.size) });
        cx.tell(Event::Stage { what: &format!("copy {:?}", source.name) });
        let (written, copied) = if self.options.dry_run {
            (None, true)
        } else {
            let old = found.map(|found| (found, record.is_some()));
            let (written, copied) = self.copy(source, old, job).await.doing(|| format!("copy {:?}", source.name))?;
            (Some(written), copied)
        };
        if !copied {
            self.report.count().same += 1;
            return Ok((written, false));
        }
        {
            let mut summary = self.report.count();
            summary.copied += 1;
            summary.copied_bytes += source.size;
        }
        if let Ok(part) = source.name.parse::<Name>() {
            cx.tell(Event::PartDone { part: &part, bytes: source.size });
        }
        Ok((written, true))
    }
}
