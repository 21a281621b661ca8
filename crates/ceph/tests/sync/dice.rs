//! What a seed says: the same numbers for the same seed, everywhere; and contents, faults and options out of them.

use std::path::PathBuf;

use backup_ceph::sync::{Filter, Limits, Options, Pattern};
use backup_tests::bytes;
use backup_tests::faults::{Asked, Fault};

const ASKED: [Asked; 10] = [
    Asked::Listing,
    Asked::Listing,
    Asked::Get,
    Asked::Get,
    Asked::Head,
    Asked::Put,
    Asked::Part,
    Asked::Complete,
    Asked::Copy,
    Asked::Delete,
];

/// A small generator: SplitMix64.
pub(crate) struct Dice(u64);

/// A fault for the requests behind the first `skip` of a kind, so many `times`.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    pub(crate) asked: Asked,
    pub(crate) skip: usize,
    pub(crate) times: usize,
    pub(crate) fault: Fault,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % most
    }

    fn size(&mut self, most: usize) -> usize {
        self.below(most as u64) as usize
    }

    /// In so many of a hundred cases.
    pub(crate) fn is(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.size(of.len())].clone()
    }

    pub(crate) fn content(&mut self) -> Vec<u8> {
        let size = match self.below(200) {
            // In parts.
            0 | 1 => 6 << 20,
            // What goes on where it broke off.
            2..6 => 3 << 20,
            6..14 => 0,
            14..30 => 100_000,
            _ => 1 + self.size(300),
        };
        bytes(size, self.below(u32::MAX.into()) as u32)
    }

    /// What no sync has ever brought.
    pub(crate) fn edit(&mut self) -> Vec<u8> {
        [b"by hand ".as_slice(), &self.below(u64::MAX).to_le_bytes()].concat()
    }

    pub(crate) fn trouble(&mut self) -> Trouble {
        let asked = self.one(&ASKED);
        let at = if self.is(80) { self.size(1500) } else { self.size(6 << 20) };
        let fault = match self.below(16) {
            0 => Fault::Answer(500, "InternalError"),
            1 => Fault::Answer(503, "SlowDown"),
            2 => Fault::Answer(403, "InvalidAccessKeyId"),
            3 => Fault::Answer(403, "RequestTimeTooSkewed"),
            4 => Fault::Answer(400, "ExpiredToken"),
            5 => Fault::Answer(404, "NoSuchBucket"),
            6 => Fault::Reset,
            7 => Fault::Lose,
            8 if self.is(15) => Fault::Hang,
            8 | 9 => Fault::Cut(at),
            10 => Fault::Short(at),
            11 | 12 if matches!(asked, Asked::Put | Asked::Part) => Fault::FlipSent(at),
            11 | 12 => Fault::Flip(at),
            _ => Fault::End(self.size(4)),
        };
        // A page that ends early is one of a listing.
        let asked = if matches!(fault, Fault::End(_)) { Asked::Listing } else { asked };
        Trouble { asked, skip: self.size(5), times: self.one(&[1, 2, usize::MAX]), fault }
    }

    /// Options, and the pattern of what they exclude.
    pub(crate) fn options(&mut self, state: PathBuf) -> (Options, Option<&'static str>) {
        let excluded = if self.is(15) { Some(self.one(&["b/*", "*z", "?", "b/"])) } else { None };
        let patterns: Vec<Pattern> = excluded.into_iter().map(Pattern::glob).collect();
        let options = Options {
            filter: Filter::new(&patterns, &[]).expect("a pattern"),
            limits: Limits {
                delete: self.is(75),
                most: self.is(15).then(|| self.below(3)),
                share: self.one(&[0, 50, 100, 100]),
            },
            trash: self.is(70),
            jobs: self.one(&[1, 2, 5]),
            check_content: self.is(80),
            preserve: self.is(70),
            rate: self.is(5).then_some(64 << 20),
            part_size: 5 << 20,
            ..Options::new(state)
        };
        (options, excluded)
    }
}
