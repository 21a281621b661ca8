//! What `date +FORMAT` says, in the C locale.

use jiff::Zoned;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

/// What may stand behind a `%`. What depends on the locale is not among it.
pub(super) const KNOWN: &[u8] = b"%aAbBCdDeFgGhHIjklmMnNpPRsStTuUVwWyYzZ";

/// What may also have a `-`, `_` or `0` before it, which says how the number is filled.
pub(super) const FILLED: &[u8] = b"deHIjklmMSUVWyY";

/// What `date` with `arguments` prints at `now`, without the line's end; else what is wrong with them.
pub(super) fn date(arguments: &[Vec<u8>], now: &Zoned) -> Result<String, String> {
    let mut now = now.clone();
    let mut format = None;
    for argument in arguments {
        match argument.as_slice() {
            b"-u" | b"--utc" | b"--universal" => now = now.with_time_zone(TimeZone::UTC),
            [b'+', text @ ..] if format.is_none() => format = Some(text),
            _ => return Err("has a date with an option other than -u".to_owned()),
        }
    }
    let format = format.ok_or("has a date without a format, which differs from place to place: write date +%F")?;
    let format = str::from_utf8(format).map_err(|_| "has a format of a date that is not UTF-8")?;
    let mut rest = format.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let is_known = match rest.next() {
                Some(b'-' | b'_' | b'0') => rest.next().is_some_and(|next| FILLED.contains(&next)),
                next => next.is_some_and(|next| KNOWN.contains(&next)),
            };
            if !is_known {
                return Err("has a format of a date that is not known".to_owned());
            }
        }
    }
    let text = strtime::format(format, &now).map_err(|_| "has a format of a date that is not known")?;
    // As $(…) does.
    Ok(text.trim_end_matches('\n').to_owned())
}
