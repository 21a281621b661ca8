//! What the block before a member of a tar says of it, and the records that add to that.

use std::io;

use super::{BLOCK, damaged};

/// What stands in the block before a member.
pub(super) struct Header {
    pub(super) path: Vec<u8>,
    pub(super) mode: u32,
    pub(super) owner: u32,
    pub(super) group: u32,
    pub(super) size: u64,
    pub(super) modified: u64,
    pub(super) kind: u8,
    pub(super) target: Vec<u8>,
    pub(super) device: (u32, u32),
}

impl Header {
    pub(super) fn read(block: &[u8; BLOCK]) -> io::Result<Self> {
        let field = |start: usize, length: usize| block.get(start..start + length).unwrap_or_default();
        let text = |start, length| field(start, length).split(|byte| *byte == 0).next().unwrap_or_default().to_owned();
        let number = |start, length| octal(field(start, length));
        let small = |start, length| u32::try_from(number(start, length)?).map_err(|_| damaged("has a number that is too big"));
        let sum: u64 =
            block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) }).sum();
        if number(148, 8)? != sum || field(257, 8) != b"ustar\x0000" {
            return Err(damaged("has a header that is none"));
        }
        let (mut path, prefix) = (text(0, 100), text(345, 155));
        if !prefix.is_empty() {
            path = [prefix, path].join(&b'/');
        }
        Ok(Self {
            path,
            mode: small(100, 8)? & 0o7777,
            owner: small(108, 8)?,
            group: small(116, 8)?,
            size: number(124, 12)?,
            modified: number(136, 12)?,
            kind: block.get(156).copied().unwrap_or_default(),
            target: text(157, 100),
            device: (small(329, 8)?, small(337, 8)?),
        })
    }
}

/// A number of octal digits, with blanks or zeros around it.
fn octal(field: &[u8]) -> io::Result<u64> {
    let digits = field.split(|byte| matches!(byte, 0 | b' ')).find(|digits| !digits.is_empty()).unwrap_or(b"0");
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| u64::from_str_radix(digits, 8).ok()).ok_or_else(|| damaged("has a number that is none"))
}

/// A decimal number.
pub(super) fn parsed<T: std::str::FromStr>(value: &[u8]) -> io::Result<T> {
    let digits = std::str::from_utf8(value).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| damaged("has a number that is none"))
}

/// Records of the form `LENGTH KEY=VALUE\n`, the length in decimal and of all of it.
pub(super) fn read_records(mut bytes: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let wrong = || damaged("has records that cannot be understood");
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let blank = bytes.iter().position(|byte| *byte == b' ').ok_or_else(wrong)?;
        let length: usize = parsed(bytes.get(..blank).unwrap_or_default())?;
        let record = bytes.get(blank + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(wrong)?;
        bytes = bytes.get(length..).ok_or_else(wrong)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
        let (key, value) = (record.get(..equals).unwrap_or_default(), record.get(equals + 1..).unwrap_or_default());
        records.push((key.to_owned(), value.to_owned()));
    }
    Ok(records)
}
