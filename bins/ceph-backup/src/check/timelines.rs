//! Whether WAL segments lead from a base backup to the newest without a gap, from timeline to timeline.

use std::collections::BTreeSet;

use backup_core::{Error, Result};

use super::segment::Segment;

/// The most timelines, and the most gaps of one, that are kept in mind.
const MOST: usize = 1000;

/// What is there of WAL, gathered as a listing shows it: in byte order of the names.
#[derive(Debug)]
pub(super) struct Wal {
    start: Segment,
    stop: Segment,
    runs: Vec<Run>,
    histories: BTreeSet<u32>,
}

/// The segments of a timeline.
#[derive(Debug)]
struct Run {
    first: Segment,
    /// What should come next.
    next: u64,
    /// What is missing before it: from, and what follows.
    gaps: Vec<(u64, u64)>,
}

/// What follows from it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// The last segment that a restore comes to; none if the base backup cannot be used.
    pub(super) last: Option<Segment>,
    /// The newest that is there.
    pub(super) newest: Option<Segment>,
    /// Timelines that a restore goes over.
    pub(super) timelines: Vec<u32>,
    /// What keeps it from coming to the newest, a line each.
    pub(super) missing: Vec<String>,
}

impl Wal {
    /// Of a base backup that needs what is between `start` and `stop`.
    pub(super) fn new(start: Segment, stop: Segment) -> Self {
        let run = Run { first: start, next: start.number, gaps: Vec::new() };
        Self { start, stop, runs: vec![run], histories: BTreeSet::new() }
    }

    /// Notes a name in the folder of WAL, without its ending; what is neither segment nor history means nothing.
    pub(super) fn push(&mut self, name: &str) -> Result<()> {
        let full = || Error::failed(format!("there are more than {MOST} timelines or gaps: nothing can be told of that"));
        if let Some(history) = name.strip_suffix(".history") {
            if let (8, Ok(timeline)) = (history.len(), u32::from_str_radix(history, 16)) {
                self.histories.insert(timeline);
            }
            return if self.histories.len() > MOST { Err(full()) } else { Ok(()) };
        }
        let Some(segment) = Segment::parse(name) else { return Ok(()) };
        if segment.timeline < self.start.timeline {
            return Ok(());
        }
        match self.runs.last_mut().filter(|run| run.first.timeline == segment.timeline) {
            Some(run) if segment.number < run.next => {}
            Some(run) => {
                if segment.number > run.next {
                    run.gaps.push((run.next, segment.number));
                }
                run.next = segment.number + 1;
            }
            None => self.runs.push(Run { first: segment, next: segment.number + 1, gaps: Vec::new() }),
        }
        let is_full = self.runs.len() > MOST || self.runs.last().is_some_and(|run| run.gaps.len() > MOST);
        if is_full { Err(full()) } else { Ok(()) }
    }

    /// How far a restore comes that goes to the newest timeline.
    ///
    /// Which timeline a newer one has left stands in its history, which is compressed; it is taken to be the one before.
    pub(super) fn reach(&self) -> Reach {
        let Self { start, stop, runs, histories } = self;
        let (mut missing, mut last, mut broken) = (Vec::new(), None, false);
        for (nth, run) in runs.iter().enumerate() {
            let Run { first, next, gaps } = run;
            let timeline = first.timeline;
            if nth > 0 && !histories.contains(&timeline) {
                missing.push(format!("{timeline:08X}.history: without it no restore follows to timeline {timeline}"));
                broken = true;
            }
            if nth > 0 && first.number < stop.number {
                missing
                    .push(format!("a base backup of timeline {timeline}, which begins at {first}, before the end of this one"));
                broken = true;
            }
            // The segment in which a newer timeline begins is there under its own name.
            let until = runs.get(nth + 1).map_or(*next, |newer| newer.first.number);
            let until = if nth == 0 { until.max(stop.number + 1) } else { until };
            let behind = (*next < until).then_some((*next, until));
            let gaps = gaps.iter().copied().filter(|(from, _)| *from < until).chain(behind);
            let gaps: Vec<_> = gaps.map(|(from, to)| (from, to.min(until) - 1)).collect();
            for &(from, to) in &gaps {
                let why = if nth == 0 && from <= stop.number { ", which the base backup itself needs" } else { "" };
                let to = if from == to { String::new() } else { format!(" to {}", first.at(to)) };
                missing.push(format!("{}{to}{why}", first.at(from)));
            }
            if !broken {
                let end = gaps.first().map_or(until, |(from, _)| *from);
                last = end.checked_sub(1).map(|end| first.at(end));
                broken = !gaps.is_empty();
            }
        }
        let last = last.filter(|last| last.timeline > start.timeline || last.number >= stop.number);
        let newest = runs.last().filter(|run| run.next > run.first.number).map(|run| run.first.at(run.next - 1));
        Reach { last, newest, timelines: runs.iter().map(|run| run.first.timeline).collect(), missing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(timeline: u32, number: u64) -> Segment {
        Segment { timeline, number }
    }

    /// A base backup from 2 to 3 on timeline 1, and what is there beside it.
    fn reach(names: &[&str]) -> Reach {
        let mut wal = Wal::new(segment(1, 2), segment(1, 3));
        for name in names {
            let full = match name.split_once('/') {
                Some((timeline, number)) => format!("0000000{timeline}00000000000000{number}"),
                None => (*name).to_owned(),
            };
            wal.push(&full).expect("room");
        }
        wal.reach()
    }

    fn whole(names: &[&str]) -> Option<Segment> {
        let Reach { last, newest, missing, .. } = reach(names);
        assert_eq!((&missing, last), (&Vec::new(), newest), "{names:?}");
        last
    }

    #[test]
    fn without_a_gap_it_reaches_the_newest() {
        assert_eq!(whole(&["1/02", "1/03"]), Some(segment(1, 3)));
        assert_eq!(whole(&["1/00", "1/02", "1/03", "1/04.00000028.backup", "1/04", "1/05"]), Some(segment(1, 5)));
        // What is before the base backup does not count, and what the old timeline went on to have neither.
        assert_eq!(whole(&["1/02", "1/03", "1/04", "1/09", "00000002.history", "2/05", "2/06"]), Some(segment(2, 6)));
        assert_eq!(whole(&["1/02", "1/03", "00000002.history", "2/03", "2/04"]), Some(segment(2, 4)));
    }

    #[test]
    fn what_the_base_backup_needs_itself_makes_it_useless() {
        for names in [&["1/03", "1/04"][..], &["1/02", "1/04"], &["1/02"], &[]] {
            let Reach { last, missing, .. } = reach(names);
            assert!(last.is_none() && missing[0].contains("itself needs"), "{names:?} {missing:?}");
        }
    }

    #[test]
    fn a_gap_ends_what_is_reached() {
        let Reach { last, newest, missing, .. } = reach(&["1/02", "1/03", "1/06", "1/07", "1/09"]);
        assert_eq!((last, newest), (Some(segment(1, 3)), Some(segment(1, 9))));
        assert_eq!(missing, ["000000010000000000000004 to 000000010000000000000005", "000000010000000000000008"]);
        let Reach { last, missing, .. } = reach(&["1/02", "1/03", "00000002.history", "2/05"]);
        assert_eq!((last, missing), (Some(segment(1, 3)), vec!["000000010000000000000004".to_owned()]));
    }

    #[test]
    fn a_newer_timeline_has_its_history_and_does_not_begin_before_the_base_backup_ends() {
        let Reach { last, missing, .. } = reach(&["1/02", "1/03", "1/04", "2/05"]);
        assert!(last == Some(segment(1, 4)) && missing[0].starts_with("00000002.history"), "{missing:?}");
        let Reach { last, missing, timelines, .. } = reach(&["1/02", "1/03", "1/04", "00000002.history", "2/01", "2/02"]);
        assert!(last == Some(segment(1, 3)) && missing[0].contains("base backup of timeline 2"), "{last:?} {missing:?}");
        assert_eq!(timelines, [1, 2]);
    }

    #[test]
    fn what_fills_the_memory_is_refused() {
        let mut wal = Wal::new(segment(1, 2), segment(1, 3));
        let pushed = (0..3000).try_for_each(|nth| wal.push(&segment(1, nth * 2).to_string()));
        assert!(pushed.is_err());
    }
}
