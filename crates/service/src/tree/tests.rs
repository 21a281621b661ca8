//! Trees over 100,000 days, without their files: the last good dump never goes, and what is to go does.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use jiff::civil::date;
use proptest::prelude::*;

use super::*;

/// Ordinary ones of both hemispheres, one that goes forward at midnight, one that moves by half an hour, one without.
const ZONES: [&str; 6] =
    ["Europe/Berlin", "America/Vancouver", "America/Sao_Paulo", "Australia/Lord_Howe", "Australia/Sydney", "UTC"];

const CORE: &str = "pg-shop";

#[derive(Debug, Clone, Copy)]
enum Event {
    /// A dump is taken, read back and found whole, and older ones are culled.
    Taken,
    /// The dump fails, or cannot be read back: it is as if it never was, and nothing is culled.
    Failed,
    /// The container that was there before takes one, and one of the first generation.
    Foreign,
    Ancient,
    /// The dump in such a place from the end is proven, found damaged, or what is known of it is lost.
    Proven(usize),
    Damaged(usize),
    Unknown(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let place = || prop_oneof![3 => 0..3usize, 1 => 0..20usize];
    prop_oneof![
        12 => Just(Event::Taken),
        3 => Just(Event::Failed),
        2 => Just(Event::Foreign),
        1 => prop::bool::weighted(0.1).prop_map(|ancient| if ancient { Event::Ancient } else { Event::Failed }),
        2 => place().prop_map(Event::Proven),
        2 => place().prop_map(Event::Damaged),
        1 => place().prop_map(Event::Unknown),
    ]
}

/// Days without, with one, and with more at times; and by how much the clock is set meanwhile, in seconds.
fn day() -> impl Strategy<Value = (Vec<Event>, i64)> {
    let set = prop_oneof![60 => Just(0i64), 1 => -7200..7200i64, 1 => -1_000_000..1_000_000i64];
    (prop::collection::vec(event(), 0..4), set)
}

fn layout() -> impl Strategy<Value = Layout> {
    let tiers = [0..4u32, 0..4, 0..4].prop_map(|[daily, weekly, monthly]| Layout::Rolling(Tiers { daily, weekly, monthly }));
    prop_oneof![1 => (1..5u32).prop_map(Layout::First), 1 => (1..5u32).prop_map(Layout::Dated), 3 => tiers]
}

/// The files of a tree in the order in which they were written, with what is known of them.
struct World {
    tree: Tree,
    files: Vec<Key>,
    ours: BTreeSet<Key>,
    marks: BTreeMap<Key, Mark>,
}

impl World {
    fn dumps(&self) -> Vec<Dump> {
        self.tree.dumps(CORE, self.files.iter().map(|key| (key.clone(), 1)), &self.marks)
    }

    fn write(&mut self, key: Key) {
        if !self.files.contains(&key) {
            self.files.push(key);
        }
    }

    fn is_good(&self, key: &Key, proven: bool) -> bool {
        let good = |mark: &Mark| mark.damaged.is_none() && if proven { mark.proven.is_some() } else { mark.verified.is_some() };
        self.marks.get(key).is_some_and(good)
    }

    /// What happens; the key of a dump that was taken.
    fn happens(&mut self, event: Event, now: Timestamp) -> Option<Key> {
        let at = now.to_zoned(self.tree.zone.clone());
        match event {
            Event::Failed => {}
            Event::Taken if self.tree.is_due(now) => {
                let key = self.tree.free(CORE, now, &self.dumps()).expect("it is due");
                assert!(!self.files.contains(&key), "{key} is there");
                self.write(key.clone());
                self.ours.insert(key.clone());
                self.marks.insert(key.clone(), Mark { verified: Some(now), ..Mark::default() });
                return Some(key);
            }
            Event::Taken => {}
            Event::Foreign => {
                if let Some(key) = self.tree.key(CORE, &at).expect("a key") {
                    self.write(key);
                }
            }
            Event::Ancient => {
                let key = format!("{}/{}", at.date(), Style::Minutes.name(CORE, &at));
                self.write(key.parse().expect("a key"));
            }
            Event::Proven(place) | Event::Damaged(place) | Event::Unknown(place) => {
                let dumps = self.dumps();
                let dump = dumps.iter().rev().nth(place)?;
                let mark = self.marks.entry(dump.key.clone()).or_default();
                match event {
                    Event::Proven(_) => (mark.verified, mark.proven) = (Some(now), Some(now)),
                    Event::Damaged(_) => mark.damaged = Some("rot".into()),
                    _ => *mark = Mark::default(),
                }
            }
        }
        None
    }

    /// What must stay of `dumps` whatever the numbers say.
    fn precious(&self, dumps: &[Dump], was_set: bool) -> Vec<(&'static str, Key)> {
        let mut precious = Vec::new();
        for (what, proven) in [("verified", false), ("proven", true)] {
            let newest = dumps.iter().rev().map(|dump| &dump.key).find(|key| self.is_good(key, proven));
            precious.extend(newest.map(|key| (what, key.clone())));
            // Where nobody set the clock our names do not lie, whatever summer does.
            let newest = self.files.iter().rev().find(|key| self.is_good(key, proven));
            let newest = newest.filter(|key| !was_set && self.ours.contains(*key));
            precious.extend(newest.map(|key| (what, key.clone())));
        }
        precious
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// 100 trees of 1,000 days, in half of which the clock is set at times.
    #[test]
    fn a_tree_never_loses_its_last_good_dump(
        layout in layout(), zone in prop::sample::select(&ZONES[..]), year in 1990..2060i16, sets in any::<bool>(),
        days in prop::collection::vec(day(), 1000),
    ) {
        let zone = TimeZone::get(zone).expect("a zone");
        let tree = Tree::new(Path::new("/nowhere"), layout, zone.clone());
        let neighbour: Key = "daily/1990-01-01/pg-shop2_1990-01-01_01-00-00.sql.gz".parse().expect("a key");
        let mut world = World { tree, files: vec![neighbour.clone()], ours: BTreeSet::new(), marks: BTreeMap::new() };
        let most = |tier: Option<Tier>| match (layout, tier) {
            (Layout::First(count) | Layout::Dated(count), None) => count as usize,
            (Layout::Rolling(tiers), Some(tier)) => tiers.of(tier) as usize,
            _ => 0,
        };
        let (mut wrong, mut was_set) = (SignedDuration::ZERO, false);
        for (day, (events, set)) in date(year, 1, 1).series(1.day()).zip(days) {
            if sets && set != 0 {
                (wrong, was_set) = (wrong + SignedDuration::from_secs(set), true);
            }
            // In the hours where clocks change.
            let clock = zone.to_zoned(day.at(1, 30, 0, 0)).expect("a time").timestamp();
            for (nth, event) in events.into_iter().enumerate() {
                let now = clock + wrong + SignedDuration::from_mins(45 * nth as i64);
                let Some(taken) = world.happens(event, now) else { continue };
                let dumps = world.dumps();
                let gone = world.tree.goes(CORE, &dumps, now, |_| true).expect("one has just been taken");
                let goes = |key: &Key| gone.iter().any(|dump| dump.key == *key);
                prop_assert!(!goes(&taken), "on {}, {} has just been taken", day, taken);
                for (what, key) in world.precious(&dumps, was_set) {
                    prop_assert!(!goes(&key), "on {}, {} is the newest {} one", day, key, what);
                }
                prop_assert!(!goes(&neighbour));
                for tier in Tiers::ALL.map(Some).into_iter().chain([None]) {
                    let sound: Vec<&Dump> = dumps.iter().filter(|dump| dump.tier == tier && dump.mark.damaged.is_none()).collect();
                    for dump in sound.iter().rev().take(most(tier)) {
                        prop_assert!(!goes(&dump.key), "on {}, {} is one of the newest of its tier", day, dump.key);
                    }
                    if most(tier) == 0 {
                        prop_assert!(!sound.iter().any(|dump| goes(&dump.key)), "on {}, there is no such tier as {:?}", day, tier);
                    } else {
                        // Beside the newest: those that are above all tiers, and those of a time to come.
                        let left = sound.iter().filter(|dump| dump.id.time() <= now && !goes(&dump.key)).count();
                        prop_assert!(left <= most(tier) + 3, "on {}, {} are left in {:?}", day, left, tier);
                    }
                }
                world.files.retain(|key| !goes(key));
                world.marks.retain(|key, _| !gone.iter().any(|dump| dump.key == *key));
            }
        }
    }
}
