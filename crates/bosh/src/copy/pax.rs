//! A tar in the pax format, as `tar --format=pax --xattrs --acls --sparse` writes it, read member by member.
//!
//! POSIX.1-2001, pax interchange format; for holes the "PAX Format, Version 1.0" of GNU tar's manual, appendix D.2; extended
//! attributes as `SCHILY.xattr.`NAME, raw.

use std::io::{self, Read};

use backup_core::{Error, Result};

use self::header::{Header, parsed, read_records};
pub(crate) use self::sieve::sieve;
use super::entry::{Time, Type};

mod header;
mod sieve;

/// How long the records before a member may be, in bytes: all its attributes are in them.
const RECORDS: u64 = 4 << 20;
/// How many stretches of data a file with holes may have.
const STRETCHES: usize = 1 << 20;
const BLOCK: usize = 512;

/// A member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// As it stands there, without a `/` at its end.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Type,
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    pub(crate) group: u32,
    pub(crate) modified: Time,
    /// Of a file, with its holes.
    pub(crate) size: u64,
    pub(crate) target: Vec<u8>,
    /// Which device it is: major and minor.
    pub(crate) device: (u32, u32),
    /// Extended attributes, with the access control lists among them as the kernel has these.
    pub(crate) attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// It is no file of its own but another name of `target`.
    pub(crate) is_link: bool,
    has_holes: bool,
}

/// Reads an archive to its end, and what it is read from too; hands over the path of each member, and the size that it has as a file.
pub(crate) fn walk(reader: impl Read, mut each: impl FnMut(&[u8], u64) -> Result<()>) -> Result<()> {
    let mut archive = Archive::new(reader);
    while let Some(member) = archive.next()? {
        each(member.path.strip_prefix(b"./").unwrap_or(&member.path), member.size)?;
    }
    Ok(archive.finish()?)
}

/// Hands over what the file `path` of an archive has, and reads no further. Whether it is there.
pub(crate) fn extract(reader: impl Read, path: &[u8], mut each: impl FnMut(&[u8]) -> io::Result<()>) -> Result<bool> {
    let mut archive = Archive::new(reader);
    while let Some(member) = archive.next()? {
        if member.path.strip_prefix(b"./").unwrap_or(&member.path) != path || member.kind != Type::File || member.is_link {
            continue;
        }
        let mut end = 0;
        archive.content(&member, |start, bytes| {
            if start != end {
                return Err(damaged("has holes where none can be"));
            }
            end += bytes.len() as u64;
            each(bytes)
        })?;
        return if end == member.size { Ok(true) } else { Err(damaged("has holes where none can be").into()) };
    }
    Ok(false)
}

/// Reads members one after the other.
#[derive(Debug)]
pub(crate) struct Archive<R> {
    reader: R,
    /// How much of the last member's data was not read yet, and how much padding is behind that.
    left: u64,
    padding: u64,
    /// It has records for all members that follow, which are not looked at here.
    has_globals: bool,
}

impl<R: Read> Archive<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, left: 0, padding: 0, has_globals: false }
    }

    /// How many bytes of the last member's data were not read yet: before any of it was, what it takes in the archive.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// The next member; what was not read of the last one is passed over. `None` at the end that was written on purpose.
    pub(crate) fn next(&mut self) -> io::Result<Option<Member>> {
        let mut records = Vec::new();
        loop {
            self.pass()?;
            let mut block = [0; BLOCK];
            self.reader.read_exact(&mut block).map_err(broken_off)?;
            if block == [0; BLOCK] {
                self.reader.read_exact(&mut block).map_err(broken_off)?;
                return match block == [0; BLOCK] && records.is_empty() {
                    true => Ok(None),
                    false => Err(damaged("has half an end")),
                };
            }
            let header = Header::read(&block)?;
            self.left = header.size;
            self.padding = header.size.wrapping_neg() % BLOCK as u64;
            match header.kind {
                b'x' if records.is_empty() && header.size <= RECORDS => records = read_records(&self.data(header.size)?)?,
                b'g' if header.size <= RECORDS => self.has_globals = true,
                b'x' | b'g' => return Err(damaged("has records that are too long")),
                _ => return self.member(header, records).map(Some),
            }
        }
    }

    /// Reads what is behind the end of the archive: filling, and whether the program that wrote it ended well.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        io::copy(&mut self.reader, &mut io::sink()).map(|_| ())
    }

    /// Hands over the data of `member`, which was the last, with where it lies in the file.
    pub(crate) fn content(&mut self, member: &Member, mut each: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let stretches = if member.has_holes { self.stretches(member.size)? } else { vec![(0, member.size)] };
        let mut buffer = vec![0; 128 * 1024];
        for (start, length) in stretches {
            let mut done = 0;
            while done < length {
                let most = buffer.len().min(usize::try_from(length - done).unwrap_or(usize::MAX));
                let some = buffer.get_mut(..most).unwrap_or_default();
                self.fill(some)?;
                each(start + done, some)?;
                done += some.len() as u64;
            }
        }
        match self.left {
            0 => Ok(()),
            _ => Err(damaged("has more data than it says")),
        }
    }

    /// The map of a file with holes: a number of lines, then where each stretch of data begins and how long it is.
    fn stretches(&mut self, size: u64) -> io::Result<Vec<(u64, u64)>> {
        let mut block = [0; BLOCK];
        let mut at = BLOCK;
        let mut number = || -> io::Result<u64> {
            let mut number: u64 = 0;
            loop {
                if at == BLOCK {
                    self.fill(&mut block)?;
                    at = 0;
                }
                let byte = block.get(at).copied().unwrap_or_default();
                at += 1;
                let digit = match byte {
                    b'\n' => return Ok(number),
                    b'0'..=b'9' => u64::from(byte - b'0'),
                    _ => return Err(damaged("has holes that cannot be understood")),
                };
                number = number
                    .checked_mul(10)
                    .and_then(|number| number.checked_add(digit))
                    .ok_or_else(|| damaged("has holes of no size"))?;
            }
        };
        let count = usize::try_from(number()?).ok().filter(|count| *count <= STRETCHES);
        let count = count.ok_or_else(|| damaged("has too many holes: more than a million"))?;
        let mut stretches = Vec::new();
        let (mut end, mut data) = (0, 0_u64);
        for _ in 0..count {
            let (start, length) = (number()?, number()?);
            if start < end || start.checked_add(length).is_none_or(|end| end > size) {
                return Err(damaged("has holes that overlap its data"));
            }
            end = start + length;
            data += length;
            stretches.push((start, length));
        }
        match data == self.left {
            true => Ok(stretches),
            false => Err(damaged("has data that does not fit between its holes")),
        }
    }

    fn member(&mut self, header: Header, records: Vec<(Vec<u8>, Vec<u8>)>) -> io::Result<Member> {
        let kind = match header.kind {
            b'0' | b'1' | 0 => Type::File,
            b'2' => Type::Symlink,
            b'3' => Type::Character,
            b'4' => Type::Block,
            b'5' => Type::Folder,
            b'6' => Type::Fifo,
            _ => return Err(damaged("has a member of an unknown kind")),
        };
        let mut member = Member {
            path: header.path,
            kind,
            mode: header.mode,
            owner: header.owner,
            group: header.group,
            modified: Time { seconds: header.modified.cast_signed(), nanos: 0 },
            size: 0,
            target: header.target,
            device: header.device,
            attributes: Vec::new(),
            is_link: header.kind == b'1',
            has_holes: false,
        };
        let (mut name, mut size) = (None, None);
        for (key, value) in records {
            match key.as_slice() {
                b"path" => member.path = value,
                b"linkpath" => member.target = value,
                b"uid" => member.owner = parsed(&value)?,
                b"gid" => member.group = parsed(&value)?,
                b"mtime" => member.modified = Time::parse(&value).ok_or_else(|| damaged("has a time that is none"))?,
                b"size" => self.left = parsed(&value)?,
                b"GNU.sparse.name" => name = Some(value),
                b"GNU.sparse.realsize" => size = Some(parsed(&value)?),
                b"GNU.sparse.major" => member.has_holes = parsed::<u64>(&value)? == 1,
                key if key.starts_with(b"GNU.sparse.") && !key.ends_with(b".minor") => {
                    return Err(damaged("has holes of an older format"));
                }
                key => {
                    if let Some(attribute) = key.strip_prefix(b"SCHILY.xattr.") {
                        member.attributes.push((attribute.to_owned(), value));
                    }
                }
            }
        }
        self.padding = self.left.wrapping_neg() % BLOCK as u64;
        if member.has_holes != size.is_some() || ((kind != Type::File || member.is_link) && (self.left > 0 || member.has_holes))
        {
            return Err(damaged("has data where none can be"));
        }
        member.size = size.unwrap_or(self.left);
        member.path = name.unwrap_or(member.path);
        while member.path.ends_with(b"/") {
            member.path.pop();
        }
        let zero = |text: &[u8]| text.contains(&0);
        if zero(&member.path) || zero(&member.target) || i64::try_from(member.size).is_err() {
            return Err(damaged("has a name or a size that no file has"));
        }
        Ok(member)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let length = buffer.len() as u64;
        if length > self.left {
            return Err(damaged("has less data than it says"));
        }
        self.reader.read_exact(buffer).map_err(broken_off)?;
        self.left -= length;
        Ok(())
    }

    fn data(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Passes over what is left of the last member.
    fn pass(&mut self) -> io::Result<()> {
        let left = self.left.checked_add(self.padding).ok_or_else(|| damaged("has a member of no size"))?;
        (self.left, self.padding) = (0, 0);
        match io::copy(&mut self.reader.by_ref().take(left), &mut io::sink())? == left {
            true => Ok(()),
            false => Err(broken_off(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

fn damaged(how: &str) -> io::Error {
    Error::damaged(format!("what tar wrote {how}")).with_hint("look whether tar there is GNU tar, 1.27 or newer").into()
}

fn broken_off(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::damaged("what tar wrote broke off").with_hint("run it again").into(),
        _ => error,
    }
}
