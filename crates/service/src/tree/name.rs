//! Names of dump files, as the backup container writes them in both of its generations.

use backup_core::{Error, Result};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// What every dump ends in, whatever is inside.
const END: &str = ".sql.gz";

/// How files are named, and with it in which folder they lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `shop2026-11-20-10-15.sql.gz`: the first generation.
    Minutes,
    /// `pg-host-shop_2026-11-20_10-15-00.sql.gz`: what came later.
    Seconds,
}

impl Style {
    fn format(self) -> &'static str {
        match self {
            Style::Minutes => "%Y-%m-%d-%H-%M",
            Style::Seconds => "_%Y-%m-%d_%H-%M-%S",
        }
    }

    /// The name of a dump of `core` at `at`.
    pub(crate) fn name(self, core: &str, at: &Zoned) -> String {
        format!("{core}{}{END}", at.strftime(self.format()))
    }

    /// The time in the name of a dump of `core`, as a clock on the wall in `zone` showed it; `None` if it is none of `core`.
    ///
    /// The whole name counts: a dump of `shop` is none of `shop-archive`, and one in progress is none at all. Of an hour
    /// that was repeated it is the first.
    pub(crate) fn time(self, core: &str, name: &str, zone: &TimeZone) -> Option<Timestamp> {
        let stamp = name.strip_prefix(core)?.strip_suffix(END)?;
        let time = DateTime::strptime(self.format(), stamp).ok()?;
        // No other way to write the same time.
        if time.strftime(self.format()).to_string() != stamp {
            return None;
        }
        zone.to_ambiguous_timestamp(time).compatible().ok()
    }
}

/// Refuses a core name of which there could be no file, or which could be taken for another's.
pub(crate) fn check(core: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    if core.is_empty() || core.starts_with('.') || core.len() > 200 || !core.chars().all(plain) {
        return Err(Error::usage(format!("there can be no dump file for {core:?}"))
            .with_hint("names with other characters than letters, digits and . _ - + are kept in the native layout only"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, zone: &str) -> Zoned {
        text.parse::<Timestamp>().expect("a time").to_zoned(TimeZone::get(zone).expect("a zone"))
    }

    #[test]
    fn both_generations_are_written_as_they_were() {
        // A year of which no government will change the hour.
        let at = at("2020-11-20T18:15:09Z", "America/Vancouver");
        assert_eq!(Style::Minutes.name("shop", &at), "shop2020-11-20-10-15.sql.gz");
        assert_eq!(Style::Seconds.name("pg-host-shop", &at), "pg-host-shop_2020-11-20_10-15-09.sql.gz");
        for style in [Style::Minutes, Style::Seconds] {
            let read = style.time("shop", &style.name("shop", &at), at.time_zone()).expect("its own");
            assert_eq!(read.to_zoned(at.time_zone().clone()).strftime("%d %H:%M").to_string(), "20 10:15");
        }
    }

    #[test]
    fn a_neighbour_with_a_longer_name_and_a_file_in_progress_are_no_dumps_of_it() {
        let utc = TimeZone::UTC;
        for name in [
            "pg-shop_2026-11-20_10-15-09.sql.gz.in_progress",
            "pg-shop2_2026-11-20_10-15-09.sql.gz",
            "pg-shop-archive_2026-11-20_10-15-09.sql.gz",
            "pg-shop_x_2026-11-20_10-15-09.sql.gz",
            "old-pg-shop_2026-11-20_10-15-09.sql.gz",
            "pg-shop_2026-11-20_10-15-9.sql.gz",
            "pg-shop_2026-02-30_10-15-09.sql.gz",
            "pg-shop_2026-11-20_10-15-09.sql.gz ",
            "pg-shop_+2026-11-20_10-15-09.sql.gz",
            "pg-shop_2026-11-20_10-15-60.sql.gz",
            "pg-shop.sql.gz",
            "pg-shop",
            "",
        ] {
            assert_eq!(Style::Seconds.time("pg-shop", name, &utc), None, "{name}");
            assert_eq!(Style::Minutes.time("pg-shop", name, &utc), None, "{name}");
        }
        // The database shop2026 of the first generation is not shop.
        assert_eq!(Style::Minutes.time("shop", "shop20262026-11-20-10-15.sql.gz", &utc), None);
    }

    #[test]
    fn a_core_name_stays_within_its_folder() {
        for bad in ["", ".", "../x", "a/b", "a b", "ä", ".hidden", "a\nb"] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        check("pg.example.org-shop_1").expect("plain");
    }
}
