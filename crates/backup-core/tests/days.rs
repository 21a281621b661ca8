//! A retention over 100,000 days: whatever happens to a job, the last good backup never goes.

use std::collections::BTreeSet;

use backup_core::{BackupId, Keep, Records, State, judge};
use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, ToSpan};
use proptest::prelude::*;

/// Ordinary ones of both hemispheres, one that goes forward at midnight, one that moves by half an hour, one without.
const ZONES: [&str; 6] =
    ["Europe/Berlin", "America/Vancouver", "America/Sao_Paulo", "Australia/Lord_Howe", "Australia/Sydney", "UTC"];

/// What becomes of an attempt, and of backups that are there.
#[derive(Debug, Clone, Copy)]
enum Event {
    Failed,
    /// It was killed, and still counts as running.
    Hung,
    Listed,
    Verified,
    /// It needs the one that is there in such a place from the end.
    Needs(usize),
    /// Of those that are there the one in such a place from the end is proven, damaged, pinned or not to be read for a while.
    Proven(usize),
    Damaged(usize),
    Pinned(usize),
    Unreadable(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let place = || prop_oneof![3 => 0..3usize, 1 => 0..30usize];
    prop_oneof![
        4 => Just(Event::Failed),
        1 => Just(Event::Hung),
        8 => Just(Event::Listed),
        16 => Just(Event::Verified),
        2 => place().prop_map(Event::Needs),
        2 => place().prop_map(Event::Proven),
        2 => place().prop_map(Event::Damaged),
        1 => place().prop_map(Event::Pinned),
        1 => place().prop_map(Event::Unreadable),
    ]
}

/// A day: what happens on it, one and two backups, days without, and by how much the clock is set meanwhile, in seconds.
fn day() -> impl Strategy<Value = (Vec<Event>, i64)> {
    let set = prop_oneof![60 => Just(0i64), 1 => -7200..7200i64, 1 => -100_000_000..100_000_000i64];
    (prop::collection::vec(event(), 0..4), set)
}

fn keep() -> impl Strategy<Value = Keep> {
    let few = || prop_oneof![2 => Just(0u32), 3 => 1..6u32];
    let within = prop::option::weighted(0.3, (0..100i64).prop_map(|hours| Span::new().hours(hours)));
    ([few(), few(), few(), few(), few()], prop_oneof![1 => Just(0u32), 3 => Just(1), 2 => 2..10u32], within, 0..3u32, 0..8u8)
        .prop_map(|([hourly, daily, weekly, monthly, yearly], last, within, minimum, after_failure)| Keep {
            last,
            within,
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
            minimum,
            after_failure: after_failure == 0,
        })
}

fn newest(records: &[Records], is_it: impl Fn(&Records) -> bool) -> Option<BackupId> {
    records.iter().rev().find(|record| record.is_sound() && is_it(record)).map(|record| record.id)
}

/// Does to the job what happens at `now`.
fn happens(records: &mut Vec<Records>, event: Event, now: Timestamp) {
    let fresh = |state| Records::new(BackupId::next(now, records.last().map(|record| record.id)), state);
    let new = match event {
        Event::Failed => fresh(State::Failed),
        Event::Hung => fresh(State::Running),
        Event::Listed => fresh(State::Listed),
        Event::Verified => Records { verified: Some(now), ..fresh(State::Listed) },
        Event::Needs(place) => {
            let needs = records.iter().rev().nth(place).map(|record| record.id);
            Records { needs: needs.into_iter().collect(), ..fresh(State::Listed) }
        }
        Event::Proven(place) | Event::Damaged(place) | Event::Pinned(place) | Event::Unreadable(place) => {
            let there = records.iter_mut().rev().nth(place).filter(|record| record.state == State::Listed);
            match (event, there) {
                (_, None) => {}
                (Event::Proven(_), Some(record)) => record.proven = Some(now),
                (Event::Damaged(_), Some(record)) => (record.damaged, record.verified, record.proven) = (true, None, None),
                (Event::Pinned(_), Some(record)) => {
                    let pinned = record.id;
                    records.iter_mut().for_each(|record| record.pinned = record.id == pinned);
                }
                (_, Some(record)) => record.unreadable = !record.unreadable,
            }
            return;
        }
    };
    records.push(new);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// 100 jobs of 1,000 days.
    #[test]
    fn a_job_never_loses_its_last_good_backup(
        keep in keep(), zone in prop::sample::select(&ZONES[..]), year in 1990..2060i16, days in prop::collection::vec(day(), 1000),
    ) {
        let zone = TimeZone::get(zone).expect("a zone");
        let mut records: Vec<Records> = Vec::new();
        let mut wrong = SignedDuration::ZERO;
        for (day, (events, set)) in date(year, 1, 1).series(1.day()).zip(days) {
            wrong += SignedDuration::from_secs(set);
            // What was killed the day before is found dead.
            records.iter_mut().filter(|record| record.state == State::Running).for_each(|record| record.state = State::Failed);
            // Around the hours where clocks change.
            let clock = zone.to_zoned(day.at(1, 30, 0, 0)).expect("a time").timestamp() + wrong;
            for (nth, event) in events.iter().enumerate() {
                happens(&mut records, *event, clock + SignedDuration::from_mins(45 * nth as i64));
            }
            let now = clock + SignedDuration::from_hours(3);
            let verdicts = judge(&keep, now, &zone, &records);
            prop_assert_eq!(verdicts.len(), records.len());
            let kept = verdicts.iter().filter(|verdict| verdict.keep);
            let kept: BTreeSet<BackupId> = kept.map(|verdict| verdict.id).collect();
            let stays = |id: BackupId| kept.contains(&id);
            for (what, good) in [
                ("proven", newest(&records, |record| record.proven.is_some())),
                ("verified", newest(&records, |record| record.verified.is_some())),
                ("sound", newest(&records, |_| true)),
            ] {
                prop_assert!(good.is_none_or(stays), "on {}, the newest {} one, {:?}", day, what, good);
            }
            let finished = records.iter().rfind(|record| record.state != State::Running);
            let failed = finished.is_some_and(|newest| newest.state == State::Failed);
            for record in &records {
                let may_go = match record.state {
                    State::Running => false,
                    State::Failed => finished.is_some_and(|newest| newest.id != record.id),
                    State::Listed => !record.pinned && (!failed || keep.after_failure),
                };
                prop_assert!(may_go || stays(record.id), "on {}, {:?}", day, record);
            }
            for record in records.iter().filter(|record| record.state == State::Listed && stays(record.id)) {
                prop_assert!(record.needs.iter().all(|needed| stays(*needed)), "on {}, {:?}", day, record);
            }
            records.retain(|record| stays(record.id));
            // What may go does: else nothing of this would mean anything.
            let periods = [keep.hourly, keep.daily, keep.weekly, keep.monthly, keep.yearly].iter().sum::<u32>();
            if !failed && keep.within.is_none() && keep.last + periods > 0 {
                let most = keep.last.max(keep.minimum) + periods + 5 + 3;
                let free = |record: &&Records| record.is_sound() && !record.pinned && record.needs.is_empty();
                let needed = |record: &&Records| records.iter().any(|other| other.needs.contains(&record.id));
                let many = records.iter().filter(free).filter(|record| !needed(record)).count();
                prop_assert!(many <= most as usize, "on {}, {} are too many", day, many);
            }
        }
    }
}
