//! Whether bytes are the content of an object: its ETag is their MD5, or the MD5 of the MD5s of parts whose size nobody tells.

use md5::{Digest as _, Md5};

use super::attrs::{Attrs, is_md5};
use crate::s3::etag::hex;

/// Part sizes that uploaders use, in MiB: those of s3cmd, boto, rclone, aws, the registry, wal-e and ourselves among them.
const USUAL: [u64; 17] = [5, 6, 7, 8, 10, 12, 15, 16, 20, 25, 32, 50, 64, 100, 128, 256, 512];
/// How many part sizes are tried at most, each at the price of an MD5.
const TRIED: usize = 4;

/// Whether bytes were those of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// They were.
    Yes,
    /// They were not.
    No,
    /// Nothing is known that could tell: it was made of parts of an unusual size.
    Unknown,
}

/// Takes bytes and tells whether they are those of an object.
#[derive(Debug, Clone)]
pub(super) struct Check {
    etag: String,
    /// The MD5 that s3cmd has left.
    noted: Option<String>,
    md5: Md5,
    parts: Vec<Parts>,
}

/// The ETag that an object has that is made of parts of this size.
#[derive(Debug, Clone)]
struct Parts {
    size: u64,
    filled: u64,
    part: Md5,
    parts: Md5,
    count: u64,
}

impl Check {
    /// Against an object of `size` bytes.
    pub(super) fn new(etag: &str, attrs: &Attrs, size: u64) -> Self {
        let noted = attrs.md5.clone();
        let count = etag.split_once('-').and_then(|(md5, count)| count.parse().ok().filter(|_| is_md5(md5)));
        let sizes = if noted.is_some() { Vec::new() } else { count.map_or_else(Vec::new, |count| sizes(size, count)) };
        let parts = sizes.into_iter().map(|size| Parts { size, filled: 0, part: Md5::new(), parts: Md5::new(), count: 0 });
        Self { etag: etag.to_owned(), noted, md5: Md5::new(), parts: parts.collect() }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.parts.iter_mut().for_each(|parts| parts.update(bytes));
    }

    /// Whether all bytes that were taken are those of the object.
    pub(super) fn finish(self) -> Match {
        let md5 = hex(self.md5.finalize().into());
        let is = if is_md5(&self.etag) {
            // The ETag of an object that the server has encrypted is not the MD5 of its content.
            self.etag == md5 || self.noted.as_ref() == Some(&md5)
        } else if let Some(noted) = &self.noted {
            *noted == md5
        } else {
            let found = self.parts.into_iter().any(|parts| parts.etag() == self.etag);
            return if found { Match::Yes } else { Match::Unknown };
        };
        if is { Match::Yes } else { Match::No }
    }
}

impl Parts {
    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let free = usize::try_from(self.size - self.filled).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(free.min(bytes.len()));
            self.part.update(now);
            self.filled += now.len() as u64;
            if self.filled == self.size {
                self.end();
            }
            bytes = later;
        }
    }

    fn end(&mut self) {
        self.parts.update(std::mem::take(&mut self.part).finalize());
        self.count += 1;
        self.filled = 0;
    }

    fn etag(mut self) -> String {
        if self.filled > 0 || self.count == 0 {
            self.end();
        }
        format!("{}-{}", hex(self.parts.finalize().into()), self.count)
    }
}

/// Sizes that an object of `size` bytes in `count` parts can have had: all but the last are as long.
fn sizes(size: u64, count: u64) -> Vec<u64> {
    match count {
        0 => return Vec::new(),
        1 => return vec![size.max(1)],
        _ => {}
    }
    let fits = |part: &u64| size.div_ceil(*part) == count;
    let usual = USUAL.iter().map(|mib| mib << 20);
    // The fewest whole MiB that do, as those choose who must not need more than 10,000 parts.
    let least = size.div_ceil(count).div_ceil(1 << 20) << 20;
    let mut sizes: Vec<u64> = usual.chain([least.max(1)]).filter(fits).take(TRIED).collect();
    sizes.dedup();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::etag::{md5, of_parts};

    fn parts(bytes: &[u8], size: usize) -> String {
        let parts: Vec<String> = bytes.chunks(size).map(|part| hex(md5(part))).collect();
        of_parts(parts.iter().map(String::as_str)).expect("MD5s")
    }

    fn check(etag: &str, attrs: &str, bytes: &[u8], chunk: usize) -> Match {
        let mut check = Check::new(etag, &Attrs::parse(attrs), bytes.len() as u64);
        bytes.chunks(chunk).for_each(|chunk| check.update(chunk));
        check.finish()
    }

    #[test]
    fn an_md5_tells() {
        let md5 = "900150983cd24fb0d6963f7d28e17f72";
        assert_eq!(check(md5, "", b"abc", 2), Match::Yes);
        assert_eq!(check(md5, "", b"abd", 2), Match::No);
        // Encrypted by the server: s3cmd's MD5 counts.
        let other = "00000000000000000000000000000000";
        assert_eq!(check(other, &format!("md5:{md5}"), b"abc", 2), Match::Yes);
        assert_eq!(check(&format!("{other}-7"), &format!("md5:{md5}"), b"abc", 2), Match::Yes);
        assert_eq!(check(&format!("{other}-7"), &format!("md5:{md5}"), b"abd", 2), Match::No);
        assert_eq!(check("strange", "", b"abc", 2), Match::Unknown);
    }

    #[test]
    fn parts_of_a_usual_size_tell() {
        let bytes: Vec<u8> = (0..(33u32 << 20) / 4).flat_map(u32::to_le_bytes).collect();
        for mib in [5, 8, 15, 16, 64] {
            let etag = parts(&bytes, mib << 20);
            assert_eq!(check(&etag, "", &bytes, 1_000_003), Match::Yes, "{mib}");
            let mut other = bytes.clone();
            other[20 << 20] ^= 1;
            assert_eq!(check(&etag, "", &other, 1_000_003), Match::Unknown, "{mib}: not told apart from an unusual size");
        }
        assert_eq!(check(&parts(&bytes, 5_500_000), "", &bytes, 1 << 20), Match::Unknown);
    }

    #[test]
    fn hostile_counts_cost_nothing() {
        for count in ["0", "99999999999999999999", "18446744073709551615", "-1", ""] {
            let etag = format!("900150983cd24fb0d6963f7d28e17f72-{count}");
            assert_eq!(check(&etag, "", b"abc", 2), Match::Unknown, "{count}");
        }
        assert!(sizes(u64::MAX, 2).len() <= TRIED);
        assert!(sizes(0, 0).is_empty());
    }
}
