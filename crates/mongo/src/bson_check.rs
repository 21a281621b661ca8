//! Whether bytes are one BSON document, looked at without decoding it.

/// The most levels of documents in documents that are followed. A server takes 180 unless it was told otherwise, and 250 at most.
pub const DEEPEST: usize = 250;

/// Where in a document something is wrong, and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrong {
    /// How many bytes of the document come before it.
    pub at: usize,
    /// What is wrong, completing "the document …".
    pub why: &'static str,
}

/// Fails unless `document` is exactly one BSON document whose elements, down to [`DEEPEST`] levels, lie within it.
///
/// Text is not looked into: a server stores text that is no UTF-8, and what it stored must come back. Takes time that grows with
/// the length, and a constant memory.
pub fn check(document: &[u8]) -> Result<(), Wrong> {
    let mut cursor = Cursor { bytes: document, at: 0 };
    let mut ends = vec![cursor.document(document.len())?];
    if ends.first() != Some(&document.len()) {
        return Err(Wrong { at: 0, why: "is not as long as it says" });
    }
    while let Some(end) = ends.last().copied() {
        let kind = cursor.byte()?;
        if kind == 0 {
            if cursor.at != end {
                return Err(Wrong { at: cursor.at, why: "ends before its end" });
            }
            ends.pop();
            continue;
        }
        cursor.text_to_nul()?;
        match kind {
            // Null, undefined, the smallest and the largest key.
            0x0A | 0x06 | 0xFF | 0x7F => {}
            0x01 | 0x09 | 0x11 | 0x12 => cursor.skip(8)?,
            0x10 => cursor.skip(4)?,
            0x07 => cursor.skip(12)?,
            0x13 => cursor.skip(16)?,
            0x08 => {
                if cursor.byte()? > 1 {
                    return Err(Wrong { at: cursor.at - 1, why: "has a truth value that is neither" });
                }
            }
            // Text, code, a symbol; and a pointer, which is a text and an ID.
            0x02 | 0x0D | 0x0E => cursor.text()?,
            0x0C => {
                cursor.text()?;
                cursor.skip(12)?;
            }
            0x05 => {
                let length = cursor.length()?;
                cursor.skip(1)?;
                cursor.skip(length)?;
            }
            0x0B => {
                cursor.text_to_nul()?;
                cursor.text_to_nul()?;
            }
            0x03 | 0x04 => ends.push(cursor.document(end - 1)?),
            0x0F => {
                // Code with the variables it sees: its length, the code, a document that ends where the whole does.
                let start = cursor.at;
                let whole = start.checked_add(cursor.length()?).filter(|whole| *whole < end);
                let whole = whole.ok_or(Wrong { at: start, why: "has code that is longer than it" })?;
                cursor.text()?;
                let scope = cursor.document(end - 1)?;
                if scope != whole {
                    return Err(Wrong { at: start, why: "has code that is not as long as it says" });
                }
                ends.push(scope);
            }
            _ => return Err(Wrong { at: cursor.at, why: "has an element of a kind that there is not" }),
        }
        if ends.len() > DEEPEST {
            return Err(Wrong { at: cursor.at, why: "is nested more deeply than a server takes" });
        }
        if cursor.at > end {
            return Err(Wrong { at: cursor.at, why: "has an element that goes beyond its end" });
        }
    }
    Ok(())
}

/// A place in the bytes, from which on they are read.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn cut_off(&self) -> Wrong {
        Wrong { at: self.at, why: "is cut off" }
    }

    fn skip(&mut self, count: usize) -> Result<(), Wrong> {
        let next = self.at.checked_add(count).filter(|next| *next <= self.bytes.len());
        self.at = next.ok_or(self.cut_off())?;
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Wrong> {
        let byte = self.bytes.get(self.at).copied().ok_or(self.cut_off())?;
        self.at += 1;
        Ok(byte)
    }

    /// A length that follows, which must not be negative.
    fn length(&mut self) -> Result<usize, Wrong> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<4>()).ok_or(self.cut_off())?;
        let length = i32::from_le_bytes(*bytes);
        let length = usize::try_from(length).map_err(|_| Wrong { at: self.at, why: "has a negative length in it" })?;
        self.at += 4;
        Ok(length)
    }

    /// The beginning of a document that must end at `most` or before; returns where it ends.
    fn document(&mut self, most: usize) -> Result<usize, Wrong> {
        let start = self.at;
        let length = self.length()?;
        let end = start.checked_add(length).filter(|end| length >= 5 && *end <= most);
        end.ok_or(Wrong { at: start, why: "has a length in it that cannot be" })
    }

    /// Text with its length before and a NUL behind it.
    fn text(&mut self) -> Result<(), Wrong> {
        let start = self.at;
        let length = self.length()?;
        let Some(length) = length.checked_sub(1) else {
            return Err(Wrong { at: start, why: "has a text without an end" });
        };
        self.skip(length)?;
        if self.byte()? != 0 {
            return Err(Wrong { at: start, why: "has a text that does not end where it should" });
        }
        Ok(())
    }

    /// Text up to a NUL.
    fn text_to_nul(&mut self) -> Result<(), Wrong> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = memchr::memchr(0, rest).ok_or(self.cut_off())?;
        self.skip(length + 1)
    }
}

#[cfg(test)]
mod tests {
    use bson::{Bson, doc};
    use proptest::prelude::*;

    use super::*;

    /// A document with an element of every kind.
    fn everything() -> Vec<u8> {
        let document = doc! {
            "_id": bson::oid::ObjectId::from_bytes([7; 12]),
            "double": 1.5, "text": "grün\0x", "empty": "", "document": { "a": { "b": [1, [2, {}], "x"] } },
            "binary": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![0, 1, 2] },
            "undefined": Bson::Undefined, "true": true, "date": bson::DateTime::from_millis(-1), "null": Bson::Null,
            "regex": bson::Regex { pattern: bson::raw::cstr!("^a").into(), options: bson::raw::cstr!("i").into() },
            "code": Bson::JavaScriptCode("f()".into()), "symbol": Bson::Symbol("s".into()),
            "scope": bson::JavaScriptCodeWithScope { code: "g()".into(), scope: doc! { "x": 1, "y": { "z": 2 } } },
            "int": 1_i32, "time": bson::Timestamp { time: 1, increment: 2 }, "long": 1_i64,
            "decimal": bson::Decimal128::from_bytes([1; 16]), "min": Bson::MinKey, "max": Bson::MaxKey,
        };
        document.to_vec().expect("bytes")
    }

    #[test]
    fn every_kind_of_element_passes_and_cut_anywhere_it_does_not() {
        let whole = everything();
        assert_eq!(check(&whole), Ok(()));
        for cut in 0..whole.len() {
            assert!(check(&whole[..cut]).is_err(), "cut at {cut}");
            // Cut and its length mended: what is inside still ends too early.
            let mut mended = whole[..cut].to_vec();
            if cut >= 5 {
                mended[..4].copy_from_slice(&(cut as i32).to_le_bytes());
                mended[cut - 1] = 0;
                // Where an element ends there is a shorter document, which is whole.
                if check(&mended).is_ok() {
                    assert!(bson::Document::from_reader(&*mended).is_ok(), "cut at {cut}");
                }
            }
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert_eq!(check(&longer).expect_err("a byte too many").at, 0);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let wrong = |bytes: &[u8]| check(bytes).expect_err("it is wrong");
        assert_eq!(wrong(b"\x04\0\0\0").at, 0);
        assert_eq!(wrong(b"\x08\0\0\0\x20a\0\0"), Wrong { at: 7, why: "has an element of a kind that there is not" });
        assert_eq!(wrong(b"\x09\0\0\0\x08a\0\x02\0").why, "has a truth value that is neither");
        assert_eq!(wrong(b"\x0c\0\0\0\x02a\0\xff\xff\xff\xff\0").why, "has a negative length in it");
        assert_eq!(wrong(b"\x0d\0\0\0\x02a\0\x01\0\0\0x\0").why, "has a text that does not end where it should");
        assert_eq!(wrong(b"\x0d\0\0\0\x03a\0\x06\0\0\0\0\0").why, "has a length in it that cannot be");
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |depth: usize| {
            let mut document = doc! {};
            for _ in 1..depth {
                document = doc! { "a": document };
            }
            document.to_vec().expect("bytes")
        };
        assert_eq!(check(&nested(DEEPEST)), Ok(()));
        assert_eq!(check(&nested(DEEPEST + 1)).expect_err("too deep").why, "is nested more deeply than a server takes");
    }

    proptest! {
        #[test]
        fn a_flipped_byte_never_panics_and_what_passes_can_be_decoded(at in 0_usize..400, by in 1_u8..) {
            let mut bytes = everything();
            let at = at % bytes.len();
            bytes[at] ^= by;
            if check(&bytes).is_ok() {
                // The decoder also wants UTF-8, and looks into binaries of some kinds.
                let decoded = bson::Document::from_reader(&*bytes).map_err(|error| error.to_string().to_lowercase());
                let is_inner = |error: &String| error.contains("utf") || error.contains("binary");
                prop_assert!(decoded.as_ref().err().is_none_or(is_inner), "{decoded:?}");
            }
        }

        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = check(&bytes);
        }
    }
}
