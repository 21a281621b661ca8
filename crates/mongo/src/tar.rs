//! The members of a tar in their order, read from a stream: ustar, pax and GNU's long names.
//!
//! Nothing is written to a disk and no link is followed: a member is a name and bytes.

use backup_core::{Body, Error, Result};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// A record of a tar, in bytes.
const RECORD: usize = 512;
/// The longest name, and the longest record of names before a member, in bytes.
const LONGEST: u64 = 64 * 1024;

/// A tar that is being read. Keeps one record and a chunk in memory.
pub struct Tar {
    body: BufReader<Body>,
    /// How many bytes were read.
    at: u64,
    /// How many bytes of the member were not read yet, and how many fill its last record.
    left: (u64, u64),
}

/// A regular file in a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path as it stands there: with `..` or a `/` at its beginning too.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
}

/// What records before a member say of it.
#[derive(Default)]
struct Before {
    path: Option<String>,
    size: Option<u64>,
}

impl Tar {
    /// The tar in `body`, which is not compressed.
    pub fn new(body: Body) -> Self {
        Self { body: BufReader::with_capacity(backup_core::body::CHUNK, body), at: 0, left: (0, 0) }
    }

    /// The next regular file; what was not read of the one before is passed over, as are folders, links and devices. `None` at
    /// the end. [`Kind::Damaged`](backup_core::Kind::Damaged) where it breaks off or is no tar.
    pub async fn next(&mut self) -> Result<Option<Member>> {
        let mut before = Before::default();
        loop {
            self.copy(&mut tokio::io::sink()).await?;
            let start = self.at;
            let mut record = [0; RECORD];
            self.fill(&mut record).await?;
            if record.iter().all(|byte| *byte == 0) {
                // What follows the first empty record fills a tape.
                let mut rest = tokio::io::sink();
                tokio::io::copy_buf(&mut self.body, &mut rest).await?;
                return Ok(None);
            }
            let header = Header::read(&record).ok_or_else(|| damaged(start, "there is no header where one must be"))?;
            let kind = header.kind;
            // Folders, links and devices have no bytes, whatever they say.
            let size = match kind {
                b'1'..=b'6' => 0,
                b'0' | 0 | b'7' => before.size.unwrap_or(header.size),
                _ => header.size,
            };
            let fill = size.checked_next_multiple_of(RECORD as u64).map(|whole| whole - size);
            let fill = fill.ok_or_else(|| damaged(start, "a member is larger than can be"))?;
            self.left = (size, fill);
            match kind {
                b'0' | 0 | b'7' => {
                    let path = before.path.map_or_else(|| header.path(), Ok);
                    let path = path.map_err(|why| damaged(start, why))?;
                    return Ok(Some(Member { path, size }));
                }
                b'L' => {
                    let name = self.names(start, header.size).await?;
                    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                    before.path = Some(text(name).map_err(|why| damaged(start, why))?);
                }
                b'x' => {
                    let records = self.names(start, header.size).await?;
                    read_pax(&records, &mut before).ok_or_else(|| damaged(start, "a pax record is none"))?;
                }
                b'S' => return Err(damaged(start, "a sparse file is not read")),
                // What is said of all that follows, and GNU's long names of links; and those that have no bytes.
                b'g' | b'K' => {}
                b'1'..=b'6' => before = Before::default(),
                _ => return Err(damaged(start, "a member is of a kind that is not known")),
            }
        }
    }

    /// Writes what is left of the current member to `to`, and reads to where the next begins.
    pub async fn copy(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
        let mut buffer = vec![0; if self.left.0 > 0 { backup_core::body::CHUNK } else { 0 }];
        while self.left.0 > 0 {
            let most = usize::try_from(self.left.0).unwrap_or(usize::MAX).min(buffer.len());
            let chunk = buffer.get_mut(..most).unwrap_or_default();
            let read = self.body.read(chunk).await?;
            if read == 0 {
                return Err(damaged(self.at, "it breaks off within a member"));
            }
            self.at += read as u64;
            self.left.0 -= read as u64;
            to.write_all(chunk.get(..read).unwrap_or_default()).await?;
        }
        let mut filling = [0; RECORD];
        let fill = usize::try_from(std::mem::take(&mut self.left.1)).unwrap_or_default();
        self.fill(filling.get_mut(..fill).unwrap_or_default()).await
    }

    async fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        let mut read = 0;
        while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.body.read(rest).await? {
                0 => return Err(damaged(self.at + read as u64, "it breaks off")),
                more => read += more,
            }
        }
        self.at += read as u64;
        Ok(())
    }

    /// The bytes of a record that has names.
    async fn names(&mut self, start: u64, size: u64) -> Result<Vec<u8>> {
        if size > LONGEST {
            return Err(damaged(start, "a name is longer than can be"));
        }
        let mut names = Vec::new();
        // Its size is its own, not that of the member that it speaks of.
        self.left = (size, size.next_multiple_of(RECORD as u64) - size);
        self.copy(&mut names).await?;
        Ok(names)
    }
}

fn damaged(at: u64, why: &str) -> Error {
    Error::damaged(format!("the tar: {why} (byte {at})"))
}

fn text(bytes: &[u8]) -> Result<String, &'static str> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a name is no UTF-8")
}

/// The header of a member.
struct Header<'a> {
    record: &'a [u8; RECORD],
    kind: u8,
    size: u64,
}

impl<'a> Header<'a> {
    /// `None` if its sum is not right.
    fn read(record: &'a [u8; RECORD]) -> Option<Self> {
        let sum = number(record.get(148..156)?)?;
        // The sum is taken with blanks in its own place.
        let found: u64 =
            record.iter().enumerate().map(|(at, byte)| u64::from(if (148..156).contains(&at) { b' ' } else { *byte })).sum();
        let size = number(record.get(124..136)?)?;
        (sum == found).then_some(Self { record, kind: *record.get(156)?, size })
    }

    fn path(&self) -> Result<String, &'static str> {
        let field = |range: std::ops::Range<usize>| {
            let field = self.record.get(range).unwrap_or_default();
            field.split(|byte| *byte == 0).next().unwrap_or_default()
        };
        let name = text(field(0..100))?;
        // GNU's own form has other things in the place of the prefix.
        let prefix = if field(257..263) == b"ustar" { text(field(345..500))? } else { String::new() };
        Ok(if prefix.is_empty() { name } else { format!("{prefix}/{name}") })
    }
}

/// A number in octal digits, or in binary if its first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        let add = |sum: u64, byte: &u8| sum.checked_mul(256)?.checked_add(u64::from(*byte));
        return rest.iter().try_fold(u64::from(first & 0x7f), add);
    }
    let digits = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    match digits {
        "" => Some(0),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => u64::from_str_radix(digits, 8).ok(),
        _ => None,
    }
}

/// Reads `LENGTH KEY=VALUE\n` as often as it is there.
fn read_pax(mut records: &[u8], before: &mut Before) -> Option<()> {
    while !records.is_empty() {
        let blank = records.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(records.get(..blank)?).ok()?.parse().ok()?;
        let record = records.get(blank + 1..length)?.strip_suffix(b"\n")?;
        records = records.get(length..)?;
        let record = std::str::from_utf8(record).ok();
        match record.and_then(|record| record.split_once('=')) {
            Some(("path", path)) => before.path = Some(path.to_owned()),
            Some(("size", size)) => before.size = Some(size.parse().ok()?),
            Some((key, _)) if key.starts_with("GNU.sparse") => return None,
            // Owners and times; an attribute need be no text.
            _ => {}
        }
    }
    Some(())
}

#[cfg(test)]
mod tests;
