//! Lets go of what need not stay: plans first, tells, acts second.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::{BackupId, Context, Doing, Error, Event, Keep, Kind, Name, Records, Repository, Result, State, Verdict, judge};

/// Judges what there is of `job` and deletes what goes, newest first, so that no backup ever lacks one that it needs.
///
/// The plan is told, a [`Event::Judged`] for each verdict, before anything is deleted; it is what is returned, oldest
/// first. Each deletion is told too, an [`Event::Deleted`]. A `dry_run` stops before the first.
///
/// While a backup or attempt cannot be read, for a reason that is no damage, there is no plan and nothing goes: what cannot
/// be read now may be the best there is, or need what would go. When a deletion fails or the run is cancelled, what was not
/// reached yet stays. Whoever calls it holds the job's [`Journal`](crate::Journal), so that no attempt is swept while it is
/// being made.
pub async fn prune(
    cx: &Context,
    repo: &dyn Repository,
    job: &Name,
    keep: &Keep,
    now: Timestamp,
    zone: &TimeZone,
    dry_run: bool,
) -> Result<Vec<Verdict>> {
    let records = cx.unless_cancelled(repo.records(job)).await.doing(|| format!("list the backups of {job}"))?;
    if let Some(Records { id, why, .. }) = records.iter().find(|record| record.unreadable) {
        let why = why.as_deref().unwrap_or("why is not known");
        return Err(Error::failed(format!("backup {id} of {job} cannot be read, so nothing is deleted: {why}"))
            .with_hint("make it readable, or take its folder away by hand, and prune again"));
    }
    let verdicts = judge(keep, now, zone, &records);
    check(keep, &records, &verdicts)?;
    for verdict in &verdicts {
        cx.tell(Event::Judged { verdict });
    }
    if dry_run {
        return Ok(verdicts);
    }
    for verdict in verdicts.iter().rev().filter(|verdict| !verdict.keep) {
        if cx.cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        // Not cut short: a deletion that is under way is quicker ended than explained.
        match repo.delete(job, verdict.id).await {
            // Another machine prunes too.
            Err(error) if error.kind() == Kind::NotFound => continue,
            deleted => deleted.doing(|| format!("delete {} of {job}", verdict.id))?,
        }
        cx.tell(Event::Deleted { id: verdict.id });
    }
    repo.sweep(job).await.doing(|| format!("sweep what dead runs of {job} left"))?;
    Ok(verdicts)
}

/// Looks at the plan a second time, with other eyes: an error here is a mistake in [`judge`], and then nothing goes.
fn check(keep: &Keep, records: &[Records], verdicts: &[Verdict]) -> Result<()> {
    let stays: BTreeSet<BackupId> = verdicts.iter().filter(|verdict| verdict.keep).map(|verdict| verdict.id).collect();
    let by_id: BTreeMap<BackupId, &Records> = records.iter().map(|record| (record.id, record)).collect();
    let newest = |which: &dyn Fn(&Records) -> bool| by_id.values().rev().copied().find(|record| which(record));
    let listed = |record: &Records| record.state == State::Listed;
    let must = |stays: bool, what: &str, id: BackupId| {
        let error = || Error::failed(format!("the retention would delete {id}, {what}, so nothing is deleted"));
        if stays { Ok(()) } else { Err(error().with_hint("report this as a bug of this program")) }
    };

    let sound = |record: &Records| listed(record) && !record.damaged && !record.unreadable;
    match newest(&|record| sound(record) && record.verified.is_some()).or_else(|| newest(&sound)) {
        Some(good) => must(stays.contains(&good.id), "the newest good backup", good.id)?,
        None => {
            for record in by_id.values().filter(|record| listed(record)) {
                must(stays.contains(&record.id), "though there is no good backup", record.id)?;
            }
        }
    }
    if let Some(proven) = newest(&|record| sound(record) && record.proven.is_some()) {
        must(stays.contains(&proven.id), "the newest proven backup", proven.id)?;
    }
    let failed = newest(&|record| record.state != State::Running).is_some_and(|newest| newest.state == State::Failed);
    for record in by_id.values() {
        let stays_itself = stays.contains(&record.id);
        must(stays_itself || !record.pinned, "which is pinned", record.id)?;
        must(stays_itself || record.state != State::Running, "which is being made", record.id)?;
        must(stays_itself || !failed || keep.after_failure || !listed(record), "after a failed attempt", record.id)?;
        if stays_itself && record.state != State::Failed {
            for base in record.needs.iter().filter(|base| by_id.contains_key(base)) {
                must(stays.contains(base), "which one that stays needs", *base)?;
            }
        }
    }
    let newest_sound = by_id.values().rev().filter(|record| sound(record));
    for record in newest_sound.take(usize::try_from(keep.minimum).unwrap_or(usize::MAX)) {
        must(stays.contains(&record.id), "one of the minimum", record.id)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    fn record(second: i64, state: State) -> Records {
        Records::new(BackupId::at(Timestamp::from_second(second).expect("a time")), state)
    }

    /// A judge gone mad that lets all go but `stays`.
    fn mad(records: &[Records], stays: &[i64]) -> Vec<Verdict> {
        let stays: Vec<BackupId> = stays.iter().map(|second| record(*second, State::Listed).id).collect();
        let verdict =
            |record: &Records| Verdict { id: record.id, keep: stays.contains(&record.id), reasons: vec![Reason::Expired] };
        records.iter().map(verdict).collect()
    }

    #[test]
    fn a_wrong_plan_deletes_nothing() {
        let (listed, failed) = (|second| record(second, State::Listed), |second| record(second, State::Failed));
        let keep = Keep { last: 1, ..Keep::default() };
        let verified = Records { verified: Some(Timestamp::UNIX_EPOCH), ..listed(1) };
        let proven = Records { proven: Some(Timestamp::UNIX_EPOCH), ..listed(1) };
        let pinned = Records { pinned: true, ..listed(1) };
        let needs = Records { needs: vec![listed(1).id], ..listed(2) };
        let damaged = |second| Records { damaged: true, ..listed(second) };
        let two = Keep { minimum: 2, ..keep.clone() };
        for (keep, records, stays) in [
            (&keep, vec![listed(1), listed(2)], &[1][..]),
            (&keep, vec![verified, listed(2)], &[2]),
            (&keep, vec![proven, listed(2)], &[2]),
            (&keep, vec![pinned, listed(2)], &[2]),
            (&keep, vec![listed(1), needs], &[2]),
            (&keep, vec![listed(1), listed(2), failed(3)], &[2, 3]),
            (&keep, vec![listed(1), record(2, State::Running)], &[1]),
            (&two, vec![listed(1), listed(2)], &[2]),
            (&keep, vec![listed(1), damaged(2)], &[2]),
            (&keep, vec![Records { verified: Some(Timestamp::UNIX_EPOCH), ..damaged(2) }, listed(1)], &[2]),
            (&two, vec![listed(1), listed(2), damaged(3)], &[2, 3]),
            (&keep, vec![damaged(1), damaged(2)], &[2]),
        ] {
            let error = check(keep, &records, &mad(&records, stays)).expect_err("the plan is wrong");
            assert!(error.to_string().contains("nothing is deleted"), "{error}");
        }
        check(&keep, &[listed(1), listed(2)], &mad(&[listed(1), listed(2)], &[2])).expect("a good plan");
    }
}
