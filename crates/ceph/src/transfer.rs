//! How much of an object moves at once.

/// How much of an object moves at once. An upload holds at most `width + 1` parts in memory, a download as many pieces of 8 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// The size of a part in bytes. What is smaller is stored in one request. Of an object whose size is not known beforehand the
    /// parts grow from the 5000th on, by two for every thousand, since there can be 10,000 of them.
    pub part_size: u64,
    /// How many parts are sent, and how many pieces are asked for, at once.
    pub width: usize,
}

/// The sizes that a part may have, in bytes.
pub const PART_SIZES: std::ops::RangeInclusive<u64> = 5 << 20..=5 << 30;

impl Default for Transfer {
    /// Parts of 8 MiB, two at once.
    fn default() -> Self {
        Self { part_size: 8 << 20, width: 2 }
    }
}

impl Transfer {
    /// The size of part `number`, counted from 1, in bytes; none where there can be no such part.
    pub(crate) fn part(&self, number: u32) -> Option<usize> {
        let doublings = match number {
            1..5000 => 0,
            5000..=10_000 => (number.min(9999) - 4000) / 1000,
            _ => return None,
        };
        usize::try_from((self.part_size << doublings).min(*PART_SIZES.end())).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_hold_half_a_terabyte_and_no_part_is_larger_than_it_may_be() {
        let transfer = Transfer::default();
        assert_eq!(
            [1, 4999, 5000, 9999, 10_000].map(|number| transfer.part(number)),
            [8, 8, 16, 256, 256].map(|size| Some(size << 20))
        );
        assert_eq!((transfer.part(0), transfer.part(10_001)), (None, None));
        let sum: usize = (1..=10_000).filter_map(|number| transfer.part(number)).sum();
        assert!(sum > 520 << 30, "{}", sum >> 30);
        let largest = Transfer { part_size: 5 << 30, width: 1 };
        assert_eq!(largest.part(10_000), Some(5 << 30));
    }
}
