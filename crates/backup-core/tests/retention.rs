//! What a retention lets go, by example and over random histories.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::{
    BackupId, Context, Draft, Error, Keep, Kind, Name, Origin, Reason, Record, Recorder, Records, Repository, Result, State,
    Stored, Verdict, judge, prune,
};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use proptest::prelude::*;

fn id(text: &str) -> BackupId {
    text.parse().expect("an ID")
}

fn listed(text: &str) -> Records {
    Records::new(id(text), State::Listed)
}

fn failed(text: &str) -> Records {
    Records { state: State::Failed, why: Some("no space left on device".into()), ..listed(text) }
}

fn verified(text: &str) -> Records {
    Records { verified: Some(id(text).time()), ..listed(text) }
}

fn now() -> Timestamp {
    id("20270101T000000Z").time()
}

/// The IDs that stay, as text, oldest first.
fn stays(keep: &Keep, records: &[Records]) -> Vec<String> {
    texts(&judge(keep, now(), &TimeZone::UTC, records), true)
}

fn texts(verdicts: &[Verdict], keep: bool) -> Vec<String> {
    verdicts.iter().filter(|verdict| verdict.keep == keep).map(|verdict| verdict.id.to_string()).collect()
}

fn daily(count: u32) -> Keep {
    Keep { daily: count, ..Keep::default() }
}

fn last(count: u32) -> Keep {
    Keep { last: count, ..Keep::default() }
}

#[test]
fn the_newest_of_each_of_the_last_days_that_have_one() {
    let records = ["20261101T010000Z", "20261105T010000Z", "20261105T230000Z", "20261109T120000Z"].map(verified);
    assert_eq!(stays(&daily(2), &records), ["20261105T230000Z", "20261109T120000Z"]);
    assert_eq!(stays(&daily(3), &records), ["20261101T010000Z", "20261105T230000Z", "20261109T120000Z"]);
}

#[test]
fn the_oldest_stays_while_there_are_fewer_periods_than_the_rule_names() {
    let records = ["20261105T010000Z", "20261105T120000Z", "20261105T230000Z"].map(verified);
    assert_eq!(stays(&daily(2), &records), ["20261105T010000Z", "20261105T230000Z"]);
    assert_eq!(stays(&daily(1), &records), ["20261105T230000Z"]);
}

#[test]
fn weeks_are_iso_weeks() {
    // The 31st of December 2026 is a Thursday and lies in week 53, with the 1st of January; Monday the 4th begins week 1.
    let records = ["20261231T120000Z", "20270101T120000Z", "20270104T120000Z"].map(verified);
    assert_eq!(stays(&Keep { weekly: 2, ..Keep::default() }, &records), ["20270101T120000Z", "20270104T120000Z"]);
    assert_eq!(stays(&Keep { yearly: 2, ..Keep::default() }, &records), ["20261231T120000Z", "20270104T120000Z"]);
}

#[test]
fn a_day_is_a_day_of_the_zone() {
    let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
    let records = ["20261105T223000Z", "20261105T233000Z"].map(verified);
    assert_eq!(texts(&judge(&daily(2), now(), &berlin, &records), true).len(), 2);
    assert_eq!(texts(&judge(&daily(1), now(), &berlin, &records), true), ["20261105T233000Z"]);
    // On the last Sunday of October the hour from two to three comes twice, and is one.
    let records = ["20261024T220000Z", "20261025T003000Z", "20261025T013000Z"].map(verified);
    let hourly = Keep { hourly: 2, ..Keep::default() };
    assert_eq!(texts(&judge(&hourly, now(), &berlin, &records), true), ["20261024T220000Z", "20261025T013000Z"]);
}

#[test]
fn within_looks_back_from_the_newest_and_not_from_now() {
    let keep = Keep { within: Some(2.days()), ..Keep::default() };
    let records = ["20250101T000000Z", "20250108T000000Z", "20250109T000000Z", "20250110T000000Z"].map(verified);
    assert_eq!(stays(&keep, &records), ["20250108T000000Z", "20250109T000000Z", "20250110T000000Z"]);
}

#[test]
fn a_backup_of_the_future_does_not_make_the_others_old() {
    let keep = Keep { within: Some(2.days()), ..Keep::default() };
    let records = ["20260101T000000Z", "20261231T000000Z", "20380101T000000Z"].map(verified);
    assert_eq!(stays(&keep, &records), ["20261231T000000Z", "20380101T000000Z"]);
}

#[test]
fn the_newest_verified_and_the_newest_proven_stay() {
    let mut records = ["20261101T000000Z", "20261102T000000Z", "20261103T000000Z", "20261104T000000Z"].map(listed);
    assert_eq!(stays(&last(1), &records), ["20261104T000000Z"]);
    records[0].proven = Some(now());
    records[1].verified = Some(now());
    assert_eq!(stays(&last(1), &records), ["20261101T000000Z", "20261102T000000Z", "20261104T000000Z"]);
}

fn damaged(text: &str) -> Records {
    Records { damaged: true, ..listed(text) }
}

#[test]
fn a_damaged_backup_takes_the_place_of_no_good_one() {
    let records = [listed("20261101T010000Z"), listed("20261101T020000Z"), damaged("20261101T030000Z")];
    let good_and_damaged = ["20261101T020000Z", "20261101T030000Z"];
    assert_eq!(stays(&last(1), &records), good_and_damaged);
    assert_eq!(stays(&Keep { hourly: 1, ..Keep::default() }, &records), good_and_damaged);
    assert_eq!(stays(&daily(1), &records), good_and_damaged);
    assert_eq!(stays(&Keep { minimum: 2, ..last(1) }, &records).len(), 3);
    let unreadable = Records { unreadable: true, ..listed("20261101T030000Z") };
    assert_eq!(stays(&last(1), &[records[0].clone(), records[1].clone(), unreadable]), good_and_damaged);
    // What was verified or proven once is not good any more.
    let was_good = Records { verified: Some(now()), proven: Some(now()), ..damaged("20261101T030000Z") };
    assert_eq!(stays(&last(1), &[records[0].clone(), verified("20261101T020000Z"), was_good]), good_and_damaged);
}

#[test]
fn a_damaged_backup_goes_when_the_rules_would_let_it_go_and_a_good_one_stays() {
    let records = [damaged("20261101T000000Z"), listed("20261102T000000Z"), listed("20261103T000000Z")];
    assert_eq!(stays(&last(1), &records), ["20261103T000000Z"]);
    let records = ["20261101T000000Z", "20261102T000000Z"].map(damaged);
    assert_eq!(stays(&last(1), &records).len(), 2, "nothing better is there");
}

#[test]
fn no_rule_keeps_everything() {
    let records = ["20201101T000000Z", "20201102T000000Z"].map(verified);
    assert_eq!(stays(&Keep::default(), &records).len(), 2);
    assert_eq!(stays(&Keep { minimum: 1, ..Keep::default() }, &records).len(), 2);
}

#[test]
fn a_minimum_stays_whatever_the_age() {
    let records = ["20201101T000000Z", "20201102T000000Z", "20201103T000000Z"].map(verified);
    assert_eq!(stays(&Keep { minimum: 2, ..last(1) }, &records), ["20201102T000000Z", "20201103T000000Z"]);
}

#[test]
fn nothing_goes_after_a_failed_attempt() {
    let records = [verified("20261101T000000Z"), verified("20261102T000000Z"), failed("20261103T000000Z")];
    let verdicts = judge(&last(1), now(), &TimeZone::UTC, &records);
    assert!(verdicts.iter().all(|verdict| verdict.keep));
    assert_eq!(verdicts[0].reasons, [Reason::AfterFailure(records[2].id)]);
    assert_eq!(verdicts[0].reasons[0].to_string(), "nothing goes while the newest attempt, 20261103T000000Z, failed");
    assert_eq!(stays(&Keep { after_failure: true, ..last(1) }, &records), ["20261102T000000Z", "20261103T000000Z"]);
}

#[test]
fn a_running_attempt_does_not_hide_the_failed_one_before_it() {
    let running = Records { state: State::Running, ..listed("20261104T000000Z") };
    let records = [verified("20261101T000000Z"), verified("20261102T000000Z"), failed("20261103T000000Z"), running];
    assert_eq!(stays(&last(1), &records).len(), 4);
}

#[test]
fn failed_attempts_go_once_another_has_finished() {
    let mut records = vec![failed("20261101T000000Z"), failed("20261102T000000Z")];
    assert_eq!(stays(&last(1), &records), ["20261102T000000Z"]);
    records.push(listed("20261103T000000Z"));
    assert_eq!(stays(&last(1), &records), ["20261103T000000Z"]);
}

#[test]
fn what_a_kept_backup_needs_stays_and_a_missing_one_is_no_panic() {
    let mut records = ["20261101T000000Z", "20261102T000000Z", "20261103T000000Z", "20261104T000000Z"].map(verified);
    records[3].needs = vec![records[1].id, id("20200101T000000Z")];
    records[1].needs = vec![records[0].id, records[3].id];
    assert_eq!(stays(&last(1), &records), ["20261101T000000Z", "20261102T000000Z", "20261104T000000Z"]);
}

/// A job in memory that notes what was deleted.
#[derive(Debug)]
struct Shelf {
    records: Mutex<Vec<Records>>,
    unwilling: Option<BackupId>,
    gone: Option<BackupId>,
}

#[async_trait]
impl Repository for Shelf {
    async fn begin(&self, _: &Context, _: &Name) -> Result<Box<dyn Draft>> {
        Err(Error::failed("a shelf takes no backups"))
    }
    async fn records(&self, _: &Name) -> Result<Vec<Records>> {
        Ok(self.records.lock().expect("nobody panics").clone())
    }
    async fn open(&self, _: &Name, _: BackupId) -> Result<Arc<dyn Stored>> {
        Err(Error::failed("a shelf opens no backups"))
    }
    async fn open_sealed(&self, _: &Name, _: BackupId) -> Result<Arc<dyn Stored>> {
        Err(Error::failed("a shelf opens no backups"))
    }
    async fn origin(&self, _: &Name) -> Result<Option<Origin>> {
        Err(Error::failed("a shelf is nobody's"))
    }
    async fn record(&self, _: &Name, _: BackupId, _: &Record) -> Result<()> {
        Err(Error::failed("a shelf keeps no records"))
    }
    async fn unpin(&self, _: &Name, _: BackupId) -> Result<()> {
        Err(Error::failed("a shelf has no pins"))
    }
    async fn delete(&self, _: &Name, id: BackupId) -> Result<()> {
        if self.unwilling == Some(id) {
            return Err(Error::failed("permission denied"));
        }
        self.records.lock().expect("nobody panics").retain(|record| record.id != id);
        if self.gone == Some(id) { Err(Error::new(Kind::NotFound, "there is no such backup")) } else { Ok(()) }
    }
}

async fn prune_all_but_one(cx: &Context, shelf: &Shelf, dry_run: bool) -> Result<Vec<Verdict>> {
    let job = "pg".parse().expect("a name");
    prune(cx, shelf, &job, &last(1), now(), &TimeZone::UTC, dry_run).await
}

fn shelf_of_three() -> Shelf {
    let records = ["20261101T000000Z", "20261102T000000Z", "20261103T000000Z"].map(verified);
    Shelf { records: Mutex::new(records.to_vec()), unwilling: None, gone: None }
}

#[tokio::test]
async fn a_dry_run_says_the_same_and_deletes_nothing() {
    let (shelf, told) = (shelf_of_three(), Arc::new(Recorder::default()));
    let cx = Context::new(told.clone());
    let planned = prune_all_but_one(&cx, &shelf, true).await.expect("a plan");
    assert_eq!((shelf.records.lock().expect("nobody panics").len(), told.story().len()), (3, 3));
    let done = prune_all_but_one(&cx, &shelf, false).await.expect("a prune");
    assert_eq!(planned, done);
    assert_eq!(texts(&done, false), ["20261101T000000Z", "20261102T000000Z"]);
    assert_eq!(*shelf.records.lock().expect("nobody panics"), [verified("20261103T000000Z")]);
}

#[tokio::test]
async fn a_deletion_that_fails_says_which_and_leaves_the_rest() {
    let shelf = Shelf { unwilling: Some(id("20261102T000000Z")), ..shelf_of_three() };
    let error = prune_all_but_one(&Context::default(), &shelf, false).await.expect_err("the shelf is unwilling");
    assert_eq!(error.chain(), "failed to delete 20261102T000000Z of pg: permission denied");
    assert_eq!(shelf.records.lock().expect("nobody panics").len(), 3);
}

#[tokio::test]
async fn what_another_machine_has_deleted_is_done() {
    let shelf = Shelf { gone: Some(id("20261102T000000Z")), ..shelf_of_three() };
    prune_all_but_one(&Context::default(), &shelf, false).await.expect("all that is to go goes");
    assert_eq!(*shelf.records.lock().expect("nobody panics"), [verified("20261103T000000Z")]);
}

#[tokio::test]
async fn nothing_goes_while_something_cannot_be_read() {
    for state in [State::Listed, State::Failed] {
        let shelf = shelf_of_three();
        let why = Some("permission denied".to_owned());
        let records = [Records { unreadable: true, why, ..Records::new(id("20261031T000000Z"), state) }];
        shelf.records.lock().expect("nobody panics").splice(0..0, records);
        let error = prune_all_but_one(&Context::default(), &shelf, false).await.expect_err("it refuses");
        let told = "backup 20261031T000000Z of pg cannot be read, so nothing is deleted: permission denied";
        assert_eq!((error.to_string().as_str(), error.hint().is_some()), (told, true));
        assert_eq!(shelf.records.lock().expect("nobody panics").len(), 4);
    }
}

#[tokio::test]
async fn a_cancelled_prune_deletes_nothing() {
    let (shelf, cx) = (shelf_of_three(), Context::default());
    cx.cancel.cancel();
    let error = prune_all_but_one(&cx, &shelf, false).await.expect_err("cancelled");
    assert_eq!((error.kind(), shelf.records.lock().expect("nobody panics").len()), (Kind::Cancelled, 3));
}

/// Zones with summer time: an ordinary one, one that goes back over midnight, one that moves by half an hour, and none.
const ZONES: [&str; 4] =
    ["CET-1CEST,M3.5.0,M10.5.0/3", "NST3:30NDT,M3.2.0/0:01,M11.1.0/0:01", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "UTC0"];

prop_compose! {
    /// A history as a job makes it: the clock mostly goes on, at times it jumps, and IDs rise all the same.
    fn history()(
        attempts in prop::collection::vec(
            (-200_000_000i64..200_000_000, 0..40u32, 0..10u8, any::<[bool; 2]>(), [0..12u8, 0..4, 0..20], prop::collection::vec(0..30usize, 0..3)),
            0..30,
        )
    ) -> Vec<Records> {
        let mut clock = id("20260301T000000Z").time();
        let mut records: Vec<Records> = Vec::new();
        let mut dangling = Vec::new();
        for (jump, hours, state, [verified, proven], [pinned, damaged, unreadable], needs) in attempts {
            clock += if hours == 0 { Span::new().seconds(jump) } else { Span::new().minutes(i64::from(hours) * 37) };
            let next = BackupId::next(clock, records.last().map(|record| record.id));
            let state = match state { 0 | 1 => State::Failed, 2 => State::Running, _ => State::Listed };
            records.push(Records {
                verified: (verified && proven).then(now),
                proven: (proven && !verified).then(now),
                pinned: pinned == 0,
                damaged: damaged == 0,
                unreadable: unreadable == 0,
                ..Records::new(next, state)
            });
            dangling.push(needs);
        }
        let ids: Vec<BackupId> = records.iter().map(|record| record.id).collect();
        for (record, needs) in records.iter_mut().zip(dangling) {
            // Any graph at all: onto itself, into the future, round in circles, onto what is gone.
            record.needs = needs.into_iter().map(|need| ids.get(need).copied().unwrap_or(id("19990101T000000Z"))).collect();
        }
        records
    }
}

prop_compose! {
    fn any_keep()(
        [last, hourly, daily, weekly, monthly, yearly] in prop::array::uniform6(prop_oneof![3 => Just(0), 2 => 0..4u32, 1 => any::<u32>()]),
        within in prop::option::weighted(0.3, -100..2000i64),
        minimum in prop_oneof![Just(0), 0..6u32, Just(u32::MAX)],
        after_failure in any::<bool>(),
    ) -> Keep {
        let within = within.map(|hours| Span::new().hours(hours));
        Keep { last, within, hourly, daily, weekly, monthly, yearly, minimum, after_failure }
    }
}

proptest! {
    #[test]
    fn whatever_the_history(keep in any_keep(), records in history(), zone in prop::sample::select(&ZONES[..]), year in 2020..2040i16) {
        let zone = TimeZone::posix(zone).expect("a zone");
        let now = id(&format!("{year}0701T000000Z")).time();
        let verdicts = judge(&keep, now, &zone, &records);

        prop_assert_eq!(&verdicts, &judge(&keep, now, &zone, &records), "it is a function");
        let shuffled: Vec<Records> = records.iter().rev().cloned().collect();
        prop_assert_eq!(&verdicts, &judge(&keep, now, &zone, &shuffled), "the order does not matter");
        let judged: Vec<BackupId> = verdicts.iter().map(|verdict| verdict.id).collect();
        prop_assert_eq!(judged, records.iter().map(|record| record.id).collect::<Vec<_>>(), "each once, oldest first");
        prop_assert!(verdicts.iter().all(|verdict| !verdict.reasons.is_empty()), "each has a reason");

        let stays: BTreeSet<BackupId> = verdicts.iter().filter(|verdict| verdict.keep).map(|verdict| verdict.id).collect();
        let listed: Vec<&Records> = records.iter().filter(|record| record.state == State::Listed).collect();
        let kept = |record: &Records| stays.contains(&record.id);
        let sound: Vec<&Records> = listed.iter().copied().filter(|record| !record.damaged && !record.unreadable).collect();
        if let Some(newest) = sound.iter().rev().find(|record| record.verified.is_some()).or(sound.last()) {
            prop_assert!(kept(newest), "the newest verified one stays");
        }
        if let Some(newest) = sound.iter().rev().find(|record| record.proven.is_some()) {
            prop_assert!(kept(newest), "the newest proven one stays");
        }
        if let Some(newest) = sound.last() {
            prop_assert!(kept(newest), "the newest of which nothing bad is known stays");
        }
        prop_assert!(!sound.is_empty() || listed.iter().all(|record| kept(record)), "nothing better is there");
        let alone: Vec<Records> = sound.iter().copied().cloned().collect();
        for verdict in judge(&keep, now, &zone, &alone) {
            prop_assert!(!verdict.keep || stays.contains(&verdict.id), "what is not sound takes the place of none");
        }
        if let Some(newest) = listed.last() {
            prop_assert!(kept(newest), "rules look from the newest");
        }
        let many = listed.iter().filter(|record| kept(record)).count();
        let good = sound.iter().filter(|record| kept(record)).count();
        prop_assert!(good >= sound.len().min(keep.minimum as usize), "the minimum stays");
        let finished = records.iter().rev().find(|record| record.state != State::Running);
        if finished.is_some_and(|newest| newest.state == State::Failed) {
            prop_assert!(finished.is_some_and(kept), "the sign stays");
            prop_assert!(keep.after_failure || many == listed.len(), "nothing goes after a failure");
        }
        for record in &records {
            prop_assert!(kept(record) || (!record.pinned && record.state != State::Running));
            if kept(record) && record.state != State::Failed {
                let there = |need: &&BackupId| records.iter().any(|record| record.id == **need);
                prop_assert!(record.needs.iter().filter(there).all(|need| stays.contains(need)), "what is needed stays");
            }
        }

        let left: Vec<Records> = records.iter().filter(|record| kept(record)).cloned().collect();
        let again = judge(&keep, now, &zone, &left);
        prop_assert!(again.iter().all(|verdict| verdict.keep), "judging again what stayed lets nothing more go: {again:?}");
    }
}
