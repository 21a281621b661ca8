//! What an ETag says of the bytes.

use md5::{Digest, Md5};

/// The MD5 of `bytes`.
pub(crate) fn md5(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

/// The MD5 that `etag` is, if it looks like one.
pub(crate) fn digest(etag: &str) -> Option<[u8; 16]> {
    let mut digest = [0; 16];
    let mut digits = etag.chars().map(|digit| digit.to_digit(16));
    for byte in &mut digest {
        *byte = u8::try_from(digits.next()?? * 16 + digits.next()??).ok()?;
    }
    digits.next().is_none().then_some(digest)
}

/// `digest` in hexadecimal.
pub(crate) fn hex(digest: [u8; 16]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The ETag of an object of parts with these ETags, if each of them is an MD5.
pub(crate) fn of_parts<'a>(parts: impl ExactSizeIterator<Item = &'a str>) -> Option<String> {
    let count = parts.len();
    let mut hasher = Md5::new();
    for part in parts {
        hasher.update(digest(part)?);
    }
    Some(format!("{}-{count}", hex(hasher.finalize().into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_a_digest_or_is_not() {
        let empty = "d41d8cd98f00b204e9800998ecf8427e";
        assert_eq!(digest(empty), Some(md5(b"")));
        assert_eq!(hex(md5(b"")), empty);
        for bad in
            ["", "d41d8cd98f00b204e9800998ecf8427", "d41d8cd98f00b204e9800998ecf8427e-1", "ä41d8cd98f00b204e9800998ecf8427e"]
        {
            assert_eq!(digest(bad), None, "{bad}");
        }
        // As a gateway answered for two parts: 5 MiB of a, and b.
        let parts = ["79b281060d337b9b2b84ccf390adcf74", "92eb5ffee6ae2fec3ad71c777531578f"];
        assert_eq!(of_parts(parts.into_iter()).map(|etag| etag.ends_with("-2") && etag.len() == 34), Some(true));
        assert_eq!(of_parts(["x"].into_iter()), None);
    }
}
