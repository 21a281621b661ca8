//! `keep`: which backups stay.

use backup_core::{Error, Keep, Result};

use super::table::Table;
use crate::tree::{Layout, Tiers};

const KEEP: &[&str] = &["daily", "hourly", "last", "minimum", "monthly", "weekly", "within", "yearly"];
const TIERS: &[&str] = &["daily", "monthly", "weekly"];
const LAST: &[&str] = &["last"];
/// More than anybody has.
const MOST: u32 = 1_000_000;

/// The rules of a job; without one nothing goes.
pub(super) fn keep(job: &Table<'_>) -> Result<Keep> {
    let Some(entry) = job.entry("keep") else {
        job.default("keep", "all");
        return Ok(Keep::default());
    };
    let keep = entry.table(KEEP)?;
    let number = |key| Ok::<_, Error>(keep.number(key, 0, MOST)?.unwrap_or_default());
    Ok(Keep {
        last: number("last")?,
        within: keep.with("within", within)?,
        hourly: number("hourly")?,
        daily: number("daily")?,
        weekly: number("weekly")?,
        monthly: number("monthly")?,
        yearly: number("yearly")?,
        minimum: number("minimum")?,
        after_failure: false,
    })
}

fn within(text: &str) -> Result<jiff::Span> {
    let wrong = || Error::usage(format!("{text:?} is no stretch of time")).with_hint("write such as 14d, 2w or 3mo");
    let span: jiff::Span = text.parse().map_err(|error: jiff::Error| wrong().with_source(error))?;
    if span.is_negative() { Err(wrong()) } else { Ok(span) }
}

/// How dump files lie.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Rolling,
    Dated,
    First,
}

/// How dump files lie, and how many of them stay: without a word as in the backup container.
pub(super) fn layout(job: &Table<'_>) -> Result<Layout> {
    let shapes = [("rolling", Shape::Rolling), ("dated", Shape::Dated), ("first", Shape::First)];
    let shape = job.choice_or("layout", Shape::Rolling, &shapes)?;
    let keep = job.table_or_none("keep", if shape == Shape::Rolling { TIERS } else { LAST })?;
    match shape {
        Shape::Dated => Ok(Layout::Dated(keep.number_or("last", 31, 1, MOST)?)),
        Shape::First => Ok(Layout::First(keep.number_or("last", 31, 1, MOST)?)),
        Shape::Rolling => {
            let tiers = Tiers {
                daily: keep.number_or("daily", 6, 0, MOST)?,
                weekly: keep.number_or("weekly", 4, 0, MOST)?,
                monthly: keep.number_or("monthly", 1, 0, MOST)?,
            };
            if (tiers.daily, tiers.weekly, tiers.monthly) == (0, 0, 0) {
                return Err(keep.wrong("all tiers are 0, so that no dump would ever be kept", "set one of them to 1 or more"));
            }
            Ok(Layout::Rolling(tiers))
        }
    }
}
