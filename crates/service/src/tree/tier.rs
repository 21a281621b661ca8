//! Which tier the dump of a day belongs to, and how many of each tier stay.

use std::fmt;

use jiff::Zoned;
use jiff::civil::Weekday;

/// A folder of a rolling tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Every day that is none of the others.
    Daily,
    /// Sundays.
    Weekly,
    /// The last day of each month.
    Monthly,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Tier::Daily => "daily",
            Tier::Weekly => "weekly",
            Tier::Monthly => "monthly",
        })
    }
}

/// How many dumps of each tier stay. None of a tier means that there is no such tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiers {
    /// Of the daily ones.
    pub daily: u32,
    /// Of those of Sundays.
    pub weekly: u32,
    /// Of those of last days of months.
    pub monthly: u32,
}

impl Tiers {
    /// All tiers.
    pub const ALL: [Tier; 3] = [Tier::Daily, Tier::Weekly, Tier::Monthly];

    /// How many of `tier` stay.
    pub fn of(self, tier: Tier) -> u32 {
        match tier {
            Tier::Daily => self.daily,
            Tier::Weekly => self.weekly,
            Tier::Monthly => self.monthly,
        }
    }

    /// The tier of the day of `at`: monthly on the last day of a month, else weekly on a Sunday, else daily, as far as there are
    /// these tiers. `None`: no dump is due on that day.
    pub fn tier(self, at: &Zoned) -> Option<Tier> {
        let day = at.date();
        let fits = |tier| match tier {
            Tier::Monthly => day == day.last_of_month(),
            Tier::Weekly => day.weekday() == Weekday::Sunday,
            Tier::Daily => true,
        };
        [Tier::Monthly, Tier::Weekly, Tier::Daily].into_iter().find(|tier| self.of(*tier) > 0 && fits(*tier))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn tier(tiers: (u32, u32, u32), month: i8, day: i8) -> Option<Tier> {
        let at = date(2026, month, day).at(1, 0, 0, 0).in_tz("America/Vancouver").expect("a time");
        Tiers { daily: tiers.0, weekly: tiers.1, monthly: tiers.2 }.tier(&at)
    }

    #[test]
    fn a_day_is_in_the_highest_tier_that_there_is() {
        // 2026-05-31 is a Sunday.
        let all = (6, 4, 1);
        assert_eq!(tier(all, 5, 30), Some(Tier::Daily));
        assert_eq!(tier(all, 5, 31), Some(Tier::Monthly));
        assert_eq!(tier((6, 4, 0), 5, 31), Some(Tier::Weekly));
        assert_eq!(tier((6, 0, 0), 5, 31), Some(Tier::Daily));
        assert_eq!(tier(all, 5, 24), Some(Tier::Weekly));
        assert_eq!(tier(all, 2, 28), Some(Tier::Monthly));
    }

    #[test]
    fn a_tier_of_none_has_no_dumps() {
        assert_eq!(tier((0, 4, 1), 5, 30), None);
        assert_eq!(tier((0, 4, 1), 5, 24), Some(Tier::Weekly));
        assert_eq!(tier((0, 0, 0), 5, 31), None);
    }
}
