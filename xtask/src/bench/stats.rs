//! Medians, and how sure they are.

use std::fmt;

/// The median of paired ratios with its bootstrap interval of 95 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ratio {
    pub(super) low: f64,
    pub(super) median: f64,
    pub(super) high: f64,
}

/// How many samples are drawn anew.
const DRAWS: usize = 10_000;

impl Ratio {
    /// Of ratios of pairs that were measured side by side.
    pub(super) fn of(ratios: impl Iterator<Item = f64>) -> Self {
        let ratios: Vec<f64> = ratios.collect();
        // Marsaglia's xorshift: the same interval for the same samples.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut draw = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ratios[(state >> 11) as usize % ratios.len().max(1)]
        };
        let mut medians: Vec<f64> = (0..DRAWS).map(|_| median((0..ratios.len()).map(|_| draw()))).collect();
        medians.sort_by(f64::total_cmp);
        let at = |share: f64| medians[((DRAWS - 1) as f64 * share) as usize];
        Self { low: at(0.025), median: median(ratios.iter().copied()), high: at(0.975) }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "**{:.2}** [{:.2}, {:.2}]", self.median, self.low, self.high)
    }
}

/// The one in the middle, or the mean of the two; NaN of none.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_holds_the_median_and_knows_what_is_equal() {
        let ratio = Ratio::of([0.9, 1.1, 1.0, 1.05, 0.95].into_iter());
        assert_eq!(ratio.median, 1.0);
        assert!(ratio.low < 1.0 && ratio.high > 1.0, "{ratio:?}");
        assert_eq!(Ratio::of([0.5; 5].into_iter()), Ratio { low: 0.5, median: 0.5, high: 0.5 });
    }
}
