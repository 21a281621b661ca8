//! When a job is due: at the times of a cron expression, or a period after its last run.

use std::fmt;

use backup_core::{Error, Result};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// When a job is due.
#[derive(Debug, Clone)]
pub struct Schedule(Rule);

#[derive(Debug, Clone)]
enum Rule {
    Cron(Box<Cron>, TimeZone),
    Every(SignedDuration),
    /// Whenever one of them is due; none: never.
    Any(Vec<Schedule>),
}

impl Schedule {
    /// A cron expression of five fields, or `@daily` and its like, in the local time of `zone`.
    ///
    /// Where the clock goes forward over the time of a job with one fixed time, the job is due when the gap ends; where it goes
    /// back, the job is due once. A job with several hours or minutes is due whenever a clock on the wall shows them: not in a
    /// gap, and twice in an hour that is repeated.
    pub fn cron(expression: &str, zone: TimeZone) -> Result<Self> {
        let wrong = || Error::usage(format!("{expression:?} is no cron expression"));
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(expression).map_err(|error| {
            wrong().with_source(error).with_hint("write minute, hour, day of month, month and day of week: 0 1 * * *")
        })?;
        let schedule = Self(Rule::Cron(Box::new(cron), zone));
        // 30 February is a date that never comes.
        match schedule.next(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(schedule),
            None => Err(wrong().with_hint("there is no such date")),
        }
    }

    /// Every so often: `period` after the last time that it was due.
    pub fn every(period: SignedDuration) -> Result<Self> {
        if period < SignedDuration::from_secs(1) {
            return Err(Error::usage("the period between two runs is shorter than a second"));
        }
        Ok(Self(Rule::Every(period)))
    }

    /// Whenever any of `schedules` is due.
    pub fn any(schedules: Vec<Schedule>) -> Self {
        Self(Rule::Any(schedules))
    }

    /// Never by itself.
    pub fn never() -> Self {
        Self::any(Vec::new())
    }

    /// A period as `sleep` of the GNU coreutils takes it: numbers with `s`, `m`, `h` or `d`, added up; `infinity` is never.
    ///
    /// <https://www.gnu.org/software/coreutils/manual/html_node/sleep-invocation.html>
    pub fn sleep(text: &str) -> Result<Self> {
        let wrong = || {
            Error::usage(format!("{text:?} is no period")).with_hint("write a number and s, m, h or d, such as 1d or 12h 30m")
        };
        let mut sum = 0.0;
        let mut seen = false;
        for word in text.split_whitespace() {
            let (number, unit) = match word.char_indices().next_back() {
                Some((at, 's')) => (&word[..at], 1.0),
                Some((at, 'm')) => (&word[..at], 60.0),
                Some((at, 'h')) => (&word[..at], 3600.0),
                Some((at, 'd')) => (&word[..at], 86400.0),
                _ => (word, 1.0),
            };
            if matches!(number.to_ascii_lowercase().as_str(), "inf" | "infinity") {
                return Ok(Self::never());
            }
            let plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
            let number: f64 = number.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
            sum += number * unit;
            seen = true;
        }
        if !seen {
            return Err(wrong());
        }
        Self::every(SignedDuration::try_from_secs_f64(sum).map_err(|error| wrong().with_source(error))?)
    }

    /// The first time that it is due after `after`; `None` if it never is.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Rule::Cron(cron, zone) => {
                let next = cron.find_next_occurrence(&after.to_zoned(zone.clone()), false).ok()?.timestamp();
                // Whatever the library says, time goes on: a job that is due now for ever would fill the disk.
                (next > after).then_some(next)
            }
            Rule::Every(period) => after.checked_add(*period).ok(),
            Rule::Any(schedules) => schedules.iter().filter_map(|one| one.next(after)).min(),
        }
    }

    /// What was due after `after` and until `now`: how often, and the last time. Counting ends at `most`.
    pub(crate) fn due(&self, after: Timestamp, now: Timestamp, most: u32) -> Option<Due> {
        let first = self.next(after).filter(|next| *next <= now)?;
        let mut due = Due { first, last: first, count: 1 };
        while let Some(next) = self.next(due.last).filter(|next| *next <= now) {
            due.last = next;
            due.count += 1;
            if due.count >= most {
                // After months of sleep by the minute it does not matter which of them it is.
                due.last = now;
                break;
            }
        }
        Some(due)
    }
}

/// Times that a job was due and nobody answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) count: u32,
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Rule::Cron(cron, zone) => write!(f, "{} ({})", cron.as_str(), zone.iana_name().unwrap_or("fixed offset")),
            Rule::Every(period) => write!(f, "every {period:#}"),
            Rule::Any(schedules) if schedules.is_empty() => f.write_str("never"),
            Rule::Any(schedules) => {
                let all: Vec<String> = schedules.iter().map(ToString::to_string).collect();
                f.write_str(&all.join(", and "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).expect("a zone")
    }

    fn times(expression: &str, zone: &TimeZone, after: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::cron(expression, zone.clone()).expect("cron");
        let mut last = at(after);
        let mut next = || {
            last = schedule.next(last)?;
            Some(last.to_zoned(zone.clone()).strftime("%m-%d %H:%M %z").to_string())
        };
        (0..count).map_while(|_| next()).collect()
    }

    #[test]
    fn a_night_that_has_no_half_past_two_has_its_backup_all_the_same() {
        let berlin = zone("Europe/Berlin");
        // 2026-03-29: 02:00 becomes 03:00.
        let expected = ["03-28 02:30 +0100", "03-29 03:00 +0200", "03-30 02:30 +0200"];
        assert_eq!(times("30 2 * * *", &berlin, "2026-03-27T12:00:00Z", 3), expected);
    }

    #[test]
    fn a_night_that_has_half_past_two_twice_has_one_backup() {
        let berlin = zone("Europe/Berlin");
        // 2026-10-25: 03:00 becomes 02:00.
        let expected = ["10-24 02:30 +0200", "10-25 02:30 +0200", "10-26 02:30 +0100"];
        assert_eq!(times("30 2 * * *", &berlin, "2026-10-23T12:00:00Z", 3), expected);
    }

    #[test]
    fn what_is_no_expression_is_told() {
        for bad in ["", "daily", "0 1 * *", "0 1 * * * *", "61 * * * *", "0 1 30 2 *", "* * * * * * *", "0 1 * * mond"] {
            let error = Schedule::cron(bad, TimeZone::UTC).expect_err(bad);
            assert_eq!(error.kind(), backup_core::Kind::Usage);
            assert!(error.hint().is_some(), "{bad}");
        }
        assert!(Schedule::cron("@daily", TimeZone::UTC).is_ok());
    }

    #[test]
    fn periods_are_those_of_sleep() {
        let period = |text: &str| Schedule::sleep(text).map(|schedule| schedule.to_string());
        for (text, expected) in
            [("1d", "every 24h"), ("1", "every 1s"), ("12h 30m", "every 12h 30m"), ("0.5h", "every 30m"), ("infinity", "never")]
        {
            assert_eq!(period(text).expect(text), expected);
        }
        for bad in ["", " ", "d", "-1d", "1w", "1e400", "nan", "1 d x", "0", "0.1s", "9999999999999999999d"] {
            assert!(period(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_was_due_meanwhile_is_counted_once_each() {
        let daily = Schedule::cron("0 1 * * *", TimeZone::UTC).expect("cron");
        let due = daily.due(at("2026-11-01T01:00:00Z"), at("2026-11-04T12:00:00Z"), 100).expect("due");
        assert_eq!(due, Due { first: at("2026-11-02T01:00:00Z"), last: at("2026-11-04T01:00:00Z"), count: 3 });
        assert_eq!(daily.due(at("2026-11-04T01:00:00Z"), at("2026-11-04T12:00:00Z"), 100), None);
        let minutely = Schedule::cron("* * * * *", TimeZone::UTC).expect("cron");
        assert_eq!(minutely.due(at("2020-11-01T01:00:00Z"), at("2026-11-04T12:00:00Z"), 100).expect("due").count, 100);
    }

    proptest! {
        #[test]
        fn each_day_has_its_backup_in_every_zone(
            day in 0_i64..20_000, hour in 0_u32..24, minute in 0_u32..60,
            name in prop::sample::select(vec!["Europe/Berlin", "America/Vancouver", "Australia/Lord_Howe", "Asia/Kathmandu",
                "Africa/Casablanca", "America/Sao_Paulo", "UTC"]),
        ) {
            let zone = zone(name);
            let schedule = Schedule::cron(&format!("{minute} {hour} * * *"), zone.clone()).expect("cron");
            let mut last = schedule.next(Timestamp::from_second(day * 86400).expect("a time")).expect("due");
            for _ in 0..40 {
                let next = schedule.next(last).expect("due");
                let (before, after) = (zone.to_datetime(last).date(), zone.to_datetime(next).date());
                prop_assert_eq!(before.tomorrow().expect("a day"), after, "{} {}", name, last);
                last = next;
            }
        }
    }
}
