//! The names of WAL segments: `TTTTTTTTLLLLLLLLSSSSSSSS`, timeline, log and segment in hexadecimal.

use std::fmt;

/// How many segments a log has, since PostgreSQL 9.3 and with segments of 16 MiB.
const LOG: u64 = 0x100;

/// A WAL segment of a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    pub(super) timeline: u32,
    /// Its number, the same on all timelines.
    pub(super) number: u64,
}

impl Segment {
    /// Reads 24 digits, capital letters as PostgreSQL has them.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let digits = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
        if name.len() != 24 || !name.bytes().all(digits) {
            return None;
        }
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let (log, segment) = (number(name.get(8..16)?)?, number(name.get(16..)?)?);
        let timeline = u32::try_from(number(name.get(..8)?)?).ok()?;
        (segment < LOG && timeline > 0).then_some(Self { timeline, number: log * LOG + segment })
    }

    /// The segment of that number on the same timeline.
    pub(super) fn at(self, number: u64) -> Self {
        Self { number, ..self }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X}{:08X}{:08X}", self.timeline, self.number / LOG, self.number % LOG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_and_written_and_the_next_one_follows() {
        let segment = Segment::parse("0000000100000002000000FF").expect("a segment");
        assert_eq!((segment.timeline, segment.number), (1, 0x2FF));
        assert_eq!(segment.at(segment.number + 1).to_string(), "000000010000000300000000");
        for bad in
            ["", "0000000100000002000000ff", "000000010000000200000100", "000000000000000200000001", "00000001000000020000000Ä"]
        {
            assert_eq!(Segment::parse(bad), None, "{bad}");
        }
    }
}
