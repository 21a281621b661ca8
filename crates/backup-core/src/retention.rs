//! Which backups to keep: a pure function from records to verdicts with reasons.
//!
//! The rules count as restic's do (<https://restic.readthedocs.io/en/stable/060_forget.html>). Above them stand those
//! that keep a retention from ever taking the last good backup; [`judge`] names them.

use std::collections::{BTreeMap, BTreeSet};
use std::{cmp, fmt};

use jiff::tz::TimeZone;
use jiff::{Span, SpanFieldwise, Timestamp};
use serde::{Serialize, Serializer};

use crate::{BackupId, Records, State};

/// What to keep. Rules add up: a backup stays if any of them keeps it. Without a rule no backup goes.
#[derive(Debug, Clone, Default)]
pub struct Keep {
    /// The newest so many.
    pub last: u32,
    /// Those at most this much older than the newest one that is not in the future. Not than now: when backups stop
    /// being taken, those that are there stay.
    pub within: Option<Span>,
    /// The newest of each of the last so many hours that have one. As with every period, the oldest backup stays too
    /// while there are fewer.
    pub hourly: u32,
    /// The newest of each of the last so many days that have one.
    pub daily: u32,
    /// The newest of each of the last so many ISO weeks (Monday to Sunday) that have one.
    pub weekly: u32,
    /// The newest of each of the last so many months that have one.
    pub monthly: u32,
    /// The newest of each of the last so many years that have one.
    pub yearly: u32,
    /// The newest so many stay whatever their age. A floor, not a rule: alone it lets nothing go.
    pub minimum: u32,
    /// Frees space although the newest attempt failed.
    pub after_failure: bool,
}

/// What becomes of a backup or an attempt, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Which.
    pub id: BackupId,
    /// Whether it stays.
    pub keep: bool,
    /// Why: at least one.
    pub reasons: Vec<Reason>,
}

/// Why a backup or an attempt stays or goes. As text, and in JSON, it is a few plain words.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Stays: there is no rule that would let anything go.
    NoRule,
    /// Stays: it is pinned.
    Pinned,
    /// Stays: [`Keep::last`].
    Last(u32),
    /// Stays: [`Keep::within`].
    Within(SpanFieldwise),
    /// Stays: the newest of its hour, day, week, month or year.
    NewestOf(Period),
    /// Stays: the oldest, while there are fewer periods than the rule names.
    OldestOf(Period),
    /// Stays: [`Keep::minimum`].
    Minimum(u32),
    /// Stays: the newest verified one, whatever the rules say.
    NewestVerified,
    /// Stays: the newest proven one, whatever the rules say.
    NewestProven,
    /// Stays: the newest one, while none is verified.
    NewestListed,
    /// Stays: nothing better is there, as every backup is known to be damaged or cannot be read.
    NothingBetter,
    /// Stays: a restore of that one reads it too.
    NeededBy(BackupId),
    /// Stays: the newest attempt is that one and it failed.
    AfterFailure(BackupId),
    /// Stays: an attempt that may still become a backup.
    Running,
    /// Stays: a failed attempt that nothing followed yet, the sign that something is wrong.
    NewestFailed,
    /// Goes: no rule keeps it.
    Expired,
    /// Goes: a failed attempt, and that one came after it.
    Superseded(BackupId),
}

/// A stretch of local time of which one backup stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// From :00 to :59. The hour that is repeated when summer ends is one.
    Hour,
    /// From midnight to midnight.
    Day,
    /// ISO 8601: Monday to Sunday.
    Week,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

/// Judges `records`, in whatever order, and returns a verdict for each, oldest first.
///
/// Whatever `keep` says:
/// - pinned backups and attempts that run stay;
/// - the newest verified backup stays, and the newest proven one; if none is verified, the newest;
/// - what is known to be damaged, or cannot be read, is not good: it takes the place of no other in any of these or in a
///   rule. It goes when the rules would let it go if it were good; while nothing good is there, all of it stays;
/// - no backup goes while the newest finished attempt failed, unless [`Keep::after_failure`];
/// - what a backup that stays needs, and what that needs, stays too, as far as it is there;
/// - the newest [`Keep::minimum`] stay, and without any rule every backup stays.
///
/// Failed attempts go as soon as a later attempt has finished, with or without a rule. Judging again what stayed lets nothing more go.
pub fn judge(keep: &Keep, now: Timestamp, zone: &TimeZone, records: &[Records]) -> Vec<Verdict> {
    let mut records: Vec<&Records> = records.iter().collect();
    records.sort_by_key(|record| cmp::Reverse(record.id));
    let listed: Vec<&Records> = records.iter().copied().filter(|record| record.state == State::Listed).collect();
    let finished = records.iter().find(|record| record.state != State::Running);

    let mut kept = Kept::default();
    for record in &records {
        match record.state {
            State::Running => kept.add(record.id, Reason::Running),
            State::Failed if finished.is_some_and(|newest| newest.id == record.id) => kept.add(record.id, Reason::NewestFailed),
            State::Failed | State::Listed => {}
        }
        if record.pinned {
            kept.add(record.id, Reason::Pinned);
        }
    }
    let sound: Vec<&Records> = listed.iter().copied().filter(|record| record.is_sound()).collect();
    apply_rules(keep, now, zone, &sound, &mut kept);
    keep_the_good(&sound, &mut kept);
    let mut were_all_sound = Kept::default();
    apply_rules(keep, now, zone, &listed, &mut were_all_sound);
    for record in listed.iter().filter(|record| !record.is_sound()) {
        let reasons = were_all_sound.0.remove(&record.id).unwrap_or_default();
        reasons.into_iter().for_each(|reason| kept.add(record.id, reason));
        if sound.is_empty() {
            kept.add(record.id, Reason::NothingBetter);
        }
    }
    if let Some(failed) = finished.filter(|newest| newest.state == State::Failed && !keep.after_failure) {
        for record in &listed {
            if !kept.0.contains_key(&record.id) {
                kept.add(record.id, Reason::AfterFailure(failed.id));
            }
        }
    }
    keep_the_needed(&records, &mut kept);

    let goes = |record: &Records| match (record.state, finished) {
        (State::Failed, Some(newest)) => Reason::Superseded(newest.id),
        _ => Reason::Expired,
    };
    let verdict = |record: &&Records| match kept.0.get(&record.id) {
        Some(reasons) => Verdict { id: record.id, keep: true, reasons: reasons.clone() },
        None => Verdict { id: record.id, keep: false, reasons: vec![goes(record)] },
    };
    records.iter().rev().map(verdict).collect()
}

/// What stays so far, and why.
#[derive(Default)]
struct Kept(BTreeMap<BackupId, Vec<Reason>>);

impl Kept {
    fn add(&mut self, id: BackupId, reason: Reason) {
        self.0.entry(id).or_default().push(reason);
    }
}

/// What the rules of `keep` say of `listed`, newest first, as if there were no others.
fn apply_rules(keep: &Keep, now: Timestamp, zone: &TimeZone, listed: &[&Records], kept: &mut Kept) {
    let periods = [
        (Period::Hour, keep.hourly),
        (Period::Day, keep.daily),
        (Period::Week, keep.weekly),
        (Period::Month, keep.monthly),
        (Period::Year, keep.yearly),
    ];
    for record in first(listed, keep.last) {
        kept.add(record.id, Reason::Last(keep.last));
    }
    if let Some(span) = keep.within {
        let newest = listed.iter().map(|record| record.id.time()).find(|time| *time <= now).unwrap_or(now);
        // Further back than time goes: all of them.
        let since = newest.to_zoned(zone.clone()).checked_sub(span).map_or(Timestamp::MIN, |since| since.timestamp());
        for record in listed.iter().filter(|record| record.id.time() >= since.min(newest)) {
            kept.add(record.id, Reason::Within(span.fieldwise()));
        }
    }
    for (period, count) in periods {
        let mut seen = BTreeSet::new();
        for (nth, record) in listed.iter().enumerate() {
            if seen.len() >= count as usize {
                break;
            }
            if seen.insert(period.of(record.id, zone)) {
                kept.add(record.id, Reason::NewestOf(period));
            } else if nth + 1 == listed.len() {
                kept.add(record.id, Reason::OldestOf(period));
            }
        }
    }
    if keep.last == 0 && keep.within.is_none() && periods.iter().all(|(_, count)| *count == 0) {
        for record in listed {
            kept.add(record.id, Reason::NoRule);
        }
    }
    for record in first(listed, keep.minimum) {
        kept.add(record.id, Reason::Minimum(keep.minimum));
    }
}

/// The rule above all rules: what is known to be good stays, and if nothing is, the newest of which nothing bad is known.
fn keep_the_good(sound: &[&Records], kept: &mut Kept) {
    match sound.iter().find(|record| record.verified.is_some()) {
        Some(verified) => kept.add(verified.id, Reason::NewestVerified),
        None => sound.iter().take(1).for_each(|newest| kept.add(newest.id, Reason::NewestListed)),
    }
    if let Some(proven) = sound.iter().find(|record| record.proven.is_some()) {
        kept.add(proven.id, Reason::NewestProven);
    }
}

/// A backup whose base is gone is none: what those that stay need stays, however long the chain.
fn keep_the_needed(records: &[&Records], kept: &mut Kept) {
    let by_id: BTreeMap<BackupId, &Records> = records.iter().map(|record| (record.id, *record)).collect();
    let mut todo: Vec<&Records> = records.iter().copied().filter(|record| kept.0.contains_key(&record.id)).collect();
    while let Some(record) = todo.pop() {
        if record.state == State::Failed {
            continue;
        }
        for base in record.needs.iter().filter_map(|id| by_id.get(id)) {
            if !kept.0.contains_key(&base.id) {
                kept.add(base.id, Reason::NeededBy(record.id));
                todo.push(base);
            }
        }
    }
}

fn first<'a>(listed: &'a [&'a Records], count: u32) -> impl Iterator<Item = &'a &'a Records> {
    listed.iter().take(usize::try_from(count).unwrap_or(usize::MAX))
}

impl Period {
    /// Numbers that are equal for two backups of the same period and no others.
    fn of(self, id: BackupId, zone: &TimeZone) -> (i16, i8, i8, i8) {
        let time = zone.to_datetime(id.time());
        let week = time.date().iso_week_date();
        match self {
            Period::Hour => (time.year(), time.month(), time.day(), time.hour()),
            Period::Day => (time.year(), time.month(), time.day(), 0),
            Period::Week => (week.year(), week.week(), 0, 0),
            Period::Month => (time.year(), time.month(), 0, 0),
            Period::Year => (time.year(), 0, 0, 0),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Period::Hour => "hour",
            Period::Day => "day",
            Period::Week => "week",
            Period::Month => "month",
            Period::Year => "year",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoRule => f.write_str("no rule lets anything go"),
            Reason::Pinned => f.write_str("pinned"),
            Reason::Last(1) => f.write_str("the newest"),
            Reason::Last(count) => write!(f, "one of the newest {count}"),
            Reason::Within(span) => write!(f, "at most {:#} older than the newest", span.0),
            Reason::NewestOf(period) => write!(f, "the newest of its {period}"),
            Reason::OldestOf(period) => write!(f, "the oldest, while fewer {period}s have one than are to be kept"),
            Reason::Minimum(count) => write!(f, "at least {count} stay"),
            Reason::NewestVerified => f.write_str("the newest verified one"),
            Reason::NewestProven => f.write_str("the newest proven one"),
            Reason::NewestListed => f.write_str("the newest, while none is verified"),
            Reason::NothingBetter => f.write_str("nothing better is there"),
            Reason::NeededBy(id) => write!(f, "needed by {id}"),
            Reason::AfterFailure(id) => write!(f, "nothing goes while the newest attempt, {id}, failed"),
            Reason::Running => f.write_str("an attempt that runs"),
            Reason::NewestFailed => f.write_str("a failed attempt that none followed yet"),
            Reason::Expired => f.write_str("no rule keeps it"),
            Reason::Superseded(id) => write!(f, "a failed attempt, and {id} came after it"),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
