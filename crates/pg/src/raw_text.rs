//! Text that need not be UTF-8, carried through strings and back without a loss.
//!
//! A database of encoding `SQL_ASCII` stores whatever bytes it is given. Bytes that are no UTF-8 become characters of a
//! private range, and those characters themselves, should they occur, are taken apart the same way: [`to_bytes`] of
//! [`from_bytes`] is the identity.

use tokio_postgres::types::{FromSql, Type};

use backup_core::BoxError;

/// Where the private characters begin: byte 0x80 is U+F780, byte 0xFF is U+F7FF.
const BASE: u32 = 0xF700;

/// The bytes as text.
pub(crate) fn from_bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_private(c) {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| text.push(private(byte)));
            } else {
                text.push(c);
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push(private(*byte)));
    }
    text
}

/// The bytes that `text` stands for.
pub(crate) fn to_bytes(text: String) -> Vec<u8> {
    if text.chars().all(|c| !is_private(c)) {
        return text.into_bytes();
    }
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// How many bytes `text` stands for.
pub(crate) fn length(text: &str) -> usize {
    text.chars().map(|c| if is_private(c) { 1 } else { c.len_utf8() }).sum()
}

/// Whether `text` stands for bytes that are no UTF-8.
pub(crate) fn is_raw(text: &str) -> bool {
    text.chars().any(is_private)
}

fn is_private(c: char) -> bool {
    byte(c).is_some()
}

fn byte(c: char) -> Option<u8> {
    u8::try_from(u32::from(c).checked_sub(BASE)?).ok().filter(|byte| *byte >= 0x80)
}

fn private(byte: u8) -> char {
    char::from_u32(BASE + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// A value as the server sent it.
#[derive(Debug)]
pub(crate) struct Raw(pub(crate) String);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        Ok(Self(from_bytes(raw)))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::TEXT | Type::NAME | Type::VARCHAR | Type::BPCHAR | Type::CSTRING | Type::UNKNOWN | Type::REGTYPE)
            || <&str as FromSql>::accepts(ty)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes: Vec<u8>) {
            let text = from_bytes(&bytes);
            prop_assert_eq!(length(&text), bytes.len());
            prop_assert_eq!(is_raw(&text), std::str::from_utf8(&bytes).is_err());
            prop_assert_eq!(to_bytes(text), bytes);
        }
    }

    #[test]
    fn a_private_character_comes_back_too() {
        for text in ["\u{F780}", "ä\u{F7FF}b", "\u{F77F}\u{F800}"] {
            assert_eq!(to_bytes(from_bytes(text.as_bytes())), text.as_bytes());
        }
    }
}
