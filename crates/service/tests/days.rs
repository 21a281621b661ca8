//! Schedules over 100,000 days: each time that a job is due is answered once or counted as missed, whatever clocks and zones do.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::{Context, Error, Result};
use backup_service::testing::MovedClock;
use backup_service::{Clock, Desk, Job, Listener, Notice, Outcome, Schedule, Service, What, Why, Work};
use jiff::civil::{Date, Weekday, date};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};
use proptest::prelude::*;
use tokio::task::JoinHandle;

/// Ordinary ones of both hemispheres, one that goes forward at midnight, one that moves by half an hour, one without.
const ZONES: [&str; 6] =
    ["Europe/Berlin", "America/Vancouver", "America/Sao_Paulo", "Australia/Lord_Howe", "Australia/Sydney", "UTC"];

/// How much later than it was due a run may begin without counting as missed.
const LATE: SignedDuration = SignedDuration::from_hours(1);

/// A schedule of fixed times, as a person with a calendar would go by it.
#[derive(Debug, Clone)]
struct Calendar {
    zone: TimeZone,
    minute: i8,
    hours: Vec<i8>,
    weekday: Option<Weekday>,
}

impl Calendar {
    fn schedule(&self) -> Schedule {
        let hours: Vec<String> = self.hours.iter().map(ToString::to_string).collect();
        let weekday = self.weekday.map_or("*".to_owned(), |day| day.to_sunday_zero_offset().to_string());
        let expression = format!("{} {} * * {weekday}", self.minute, hours.join(","));
        Schedule::cron(&expression, self.zone.clone()).expect("cron")
    }

    /// When it is due on `day`. One time a day: where the clock goes forward over it when the gap ends, where it goes back the
    /// first time. Several: whenever a clock on the wall shows them.
    fn of(&self, day: Date) -> Vec<Timestamp> {
        let is_fixed = self.hours.len() == 1;
        let at = |hour: &i8| {
            let mut wanted = day.at(*hour, self.minute, 0, 0);
            while is_fixed && matches!(self.zone.to_ambiguous_timestamp(wanted).offset(), AmbiguousOffset::Gap { .. }) {
                wanted += 1.minute();
            }
            let times = self.zone.to_ambiguous_timestamp(wanted);
            match times.offset() {
                AmbiguousOffset::Gap { .. } => vec![],
                AmbiguousOffset::Fold { .. } if !is_fixed => vec![times.earlier(), times.later()],
                _ => vec![times.compatible()],
            }
        };
        let is_one = self.weekday.is_none_or(|weekday| weekday == day.weekday());
        let times = self.hours.iter().filter(|_| is_one).flat_map(at);
        let mut times: Vec<Timestamp> = times.map(|time| time.expect("a time")).collect();
        times.sort();
        times
    }

    /// When it was due after `after` and until `now`.
    fn between(&self, after: Timestamp, now: Timestamp) -> Vec<Timestamp> {
        let [first, last] = [after, now].map(|at| self.zone.to_datetime(at).date());
        let days = first.series(1.day()).take_while(|day| *day <= last);
        days.flat_map(|day| self.of(day)).filter(|due| after < *due && *due <= now).collect()
    }
}

prop_compose! {
    fn calendar()(
        zone in prop::sample::select(&ZONES[..]),
        minute in 0..60i8,
        // Most of them in the hours where clocks change.
        hours in prop::collection::btree_set(prop_oneof![3 => 0..4i8, 1 => 0..24i8], 1..3),
        weekday in prop_oneof![3 => Just(None), 1 => Just(Some(Weekday::Sunday))],
    ) -> Calendar {
        Calendar { zone: TimeZone::get(zone).expect("a zone"), minute, hours: hours.into_iter().collect(), weekday }
    }
}

/// What happens to a service.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Time goes on, or the machine sleeps so long; in minutes.
    On(i64),
    /// The clock is set back by so many minutes.
    Back(i64),
    /// There is no service for so many minutes; whether it was killed.
    Gone(i64, bool),
    /// Somebody asks for a run.
    Ask,
    /// The next run fails.
    Fail,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (1..1440i64).prop_map(Step::On),
        5 => (1..90i64).prop_map(Step::On),
        1 => (1440..20_000i64).prop_map(Step::On),
        1 => (1..50i64).prop_map(Step::Back),
        1 => prop_oneof![70..3000i64, Just(10 * 365 * 1440)].prop_map(Step::Back),
        2 => (0..6000i64, any::<bool>()).prop_map(|(minutes, killed)| Step::Gone(minutes, killed)),
        1 => Just(Step::Ask),
        1 => Just(Step::Fail),
    ]
}

/// Counts what is told, and fails when it is told to.
#[derive(Debug, Default)]
struct Seen(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    begun: u64,
    missed: Vec<(Timestamp, u32)>,
    fails: bool,
}

impl Listener for Seen {
    fn on(&self, notice: &Notice) {
        let mut seen = self.0.lock().expect("seen");
        match &notice.what {
            What::Begun => seen.begun += 1,
            What::Missed { due, count } => seen.missed.push((*due, *count)),
            _ => {}
        }
    }
}

#[async_trait]
impl Work for Seen {
    async fn run(&self, _: &Context, _: Why) -> Result<Outcome> {
        let fails = std::mem::take(&mut self.0.lock().expect("seen").fails);
        if fails { Err(Error::failed("no server")) } else { Ok(Outcome::Idle("told to".into())) }
    }
}

struct Running {
    cx: Context,
    desk: Desk,
    task: JoinHandle<Result<()>>,
}

/// A service of one job, a clock that is moved, and what a person who watches both expects.
struct Bench {
    calendar: Calendar,
    clock: Arc<MovedClock>,
    seen: Arc<Seen>,
    folder: tempfile::TempDir,
    running: Option<Running>,
    /// Until when all that was due is answered, now and as the folder knows it.
    answered: Timestamp,
    kept: Option<Timestamp>,
    missed: u64,
}

impl Bench {
    fn new(calendar: Calendar, now: Timestamp) -> Self {
        // Nothing here has to outlive the machine: in memory, where there is such a folder.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        let (clock, seen) = (Arc::new(MovedClock::at(now)), Arc::default());
        Self { calendar, clock, seen, folder, running: None, answered: now, kept: None, missed: 0 }
    }

    fn start(&mut self) {
        let job = Job {
            name: "shop".parse().expect("a name"),
            schedule: self.calendar.schedule(),
            at_start: false,
            jitter: SignedDuration::ZERO,
            late: LATE,
            retries: 0,
            work: self.seen.clone(),
        };
        let service = Service::new(vec![job], self.folder.path(), 1).expect("a service");
        let service = service.with_clock(self.clock.clone()).with_listener(self.seen.clone());
        let (cx, desk) = (Context::default(), service.desk());
        let task = tokio::spawn({
            let cx = cx.clone();
            async move { service.run(&cx).await }
        });
        self.running = Some(Running { cx, desk, task });
        self.answered = self.kept.unwrap_or(self.clock.now());
    }

    async fn end(&mut self, killed: bool) {
        let Running { cx, task, .. } = self.running.take().expect("it runs");
        if killed {
            task.abort()
        } else {
            cx.cancel.cancel()
        }
        assert_eq!(task.await.is_ok(), !killed);
    }

    async fn step(&mut self, step: Step) {
        let by = |minutes| SignedDuration::from_mins(minutes);
        match step {
            Step::On(minutes) => self.clock.forward(by(minutes)),
            // Not to where clocks showed the local time of a meridian.
            Step::Back(minutes) => {
                self.clock.set((self.clock.now() - by(minutes)).max("1975-01-01T00:00:00Z".parse().expect("a time")))
            }
            Step::Gone(minutes, killed) => {
                self.end(killed).await;
                self.clock.forward(by(minutes));
                self.start();
            }
            Step::Ask => self.running.as_ref().expect("it runs").desk.ask(&"shop".parse().expect("a name")).expect("a job"),
            Step::Fail => self.seen.0.lock().expect("seen").fails = true,
        }
        // Lets everything happen that can without the clock being moved.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    /// How often it should have run in this step, and what should have been told as missed.
    fn expected(&mut self, step: Step) -> (u64, Vec<(Timestamp, u32)>) {
        let now = self.clock.now();
        // A clock that was set back by more than an hour was wrong before, and what comes is due again.
        if self.answered.duration_since(now) > SignedDuration::from_hours(1) {
            self.answered = now;
        }
        let owed = self.calendar.between(self.answered, now);
        let mut missed = Vec::new();
        if let (Some(first), Some(last)) = (owed.first(), owed.last()) {
            let count = owed.len() - usize::from(now.duration_since(*last) <= LATE);
            missed.extend((count > 0).then(|| (*first, u32::try_from(count).expect("few"))));
            self.answered = *last;
            self.missed += count as u64;
        } else if matches!(step, Step::Ask) {
            self.answered = self.answered.max(now);
        } else {
            return (0, missed);
        }
        self.kept = Some(self.answered);
        (1, missed)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// 100 times 1,000 days of a schedule alone.
    #[test]
    fn a_schedule_is_due_when_a_calendar_says_so(calendar in calendar(), year in 1990..2060i16, skip in 0..365i64) {
        let schedule = calendar.schedule();
        let first = date(year, 1, 1) + skip.days();
        let [mut last, end] = [first, first + 1000.days()].map(|day| calendar.zone.to_zoned(day.into()).expect("a time").timestamp());
        for due in calendar.between(last, end) {
            prop_assert_eq!(schedule.next(last), Some(due), "after {}", last);
            last = due;
        }
    }

    /// 100 times 1,000 days of a service that is killed, started late, asked, and whose clock is set back.
    #[test]
    fn what_is_due_is_answered_once_or_counted_as_missed(
        calendar in calendar(), year in 1990..2060i16, steps in prop::collection::vec(step(), 300),
    ) {
        prop_assume!(steps.iter().any(|step| matches!(step, Step::On(_))));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let first = calendar.zone.to_zoned(date(year, 1, 1).at(12, 0, 0, 0)).expect("a time").timestamp();
        runtime.block_on(async {
            let mut bench = Bench::new(calendar, first);
            bench.start();
            bench.step(Step::On(0)).await;
            let mut minutes = 0;
            for step in steps.iter().copied().cycle() {
                let before = bench.clock.now();
                bench.step(step).await;
                let expected = bench.expected(step);
                let seen = {
                    let mut seen = bench.seen.0.lock().expect("seen");
                    (std::mem::take(&mut seen.begun), std::mem::take(&mut seen.missed))
                };
                prop_assert_eq!(seen, expected, "runs and what was missed from {} on, by {:?}", before, step);
                if let Step::On(by) | Step::Gone(by, _) = step {
                    minutes += by;
                }
                if minutes >= 1000 * 1440 {
                    break;
                }
            }
            let desk = bench.running.as_ref().expect("it runs").desk.clone();
            prop_assert_eq!(desk.status(&"shop".parse().expect("a name")).expect("readable").missed, bench.missed);
            bench.end(false).await;
            Ok(())
        })?;
    }
}
