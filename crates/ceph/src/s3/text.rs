//! How keys stand in answers and requests.

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use backup_core::{Error, Result};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What a key may have in the header that names the source of a copy.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A key as a listing with `encoding-type=url` has it: a plus is a blank.
pub(super) fn decoded(text: &str) -> Result<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map(String::from);
    decoded.map_err(|_| Error::failed(format!("the listing has a key that is no UTF-8: {text}")))
}

/// A bucket and a key as the source of a copy.
pub(super) fn source(bucket: &str, key: &str) -> String {
    format!("{}/{}", utf8_percent_encode(bucket, PLAIN), utf8_percent_encode(key, PLAIN))
}

/// The time as ours.
pub(super) fn time(time: Option<&DateTime>) -> Option<Timestamp> {
    let time = time?;
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

/// The time of the header `Date`.
pub(super) fn date(header: &str) -> Option<Timestamp> {
    time(DateTime::from_str(header, DateTimeFormat::HttpDate).ok().as_ref())
}

/// The size of the whole object as `Content-Range: bytes 0-9/SIZE` has it.
pub(super) fn whole(content_range: &str) -> Option<u64> {
    content_range.rsplit_once('/')?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_as_they_were() {
        assert_eq!(decoded("a%2Bb+c%0Ad/%C3%A4").expect("a key"), "a+b c\nd/ä");
        assert!(decoded("%FF").is_err());
        assert_eq!(source("b", "a+b c/ä%"), "b/a%2Bb%20c/%C3%A4%25");
        assert_eq!(whole("bytes 0-9/1234"), Some(1234));
        assert_eq!(whole("bytes */0"), Some(0));
        assert_eq!(whole("bytes 0-9/*"), None);
    }
}
