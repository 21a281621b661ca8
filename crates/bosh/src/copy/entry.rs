//! What is known of one file of a tree without reading it, and in which order files come.

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    File,
    Folder,
    Symlink,
    Fifo,
    Socket,
    Character,
    Block,
}

impl Type {
    const LETTERS: [(u8, Self); 7] = [
        (b'f', Self::File),
        (b'd', Self::Folder),
        (b'l', Self::Symlink),
        (b'p', Self::Fifo),
        (b's', Self::Socket),
        (b'c', Self::Character),
        (b'b', Self::Block),
    ];

    /// What `find -printf %y` calls by this letter.
    pub(crate) fn of_letter(letter: u8) -> Option<Self> {
        Self::LETTERS.iter().find(|(one, _)| *one == letter).map(|(_, kind)| *kind)
    }

    /// Whether it is a device, which only root may make.
    pub(crate) fn is_device(self) -> bool {
        matches!(self, Self::Character | Self::Block)
    }
}

/// Seconds since 1970, and nanoseconds of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Time {
    pub(crate) seconds: i64,
    pub(crate) nanos: u32,
}

impl Time {
    /// Reads `1700000000.123456789` with any number of digits behind the point. With `-` before it, as a tar has it: -1.25 is
    /// three quarters of a second after -2.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        match (text.starts_with(b"-"), Self::parse_split(text)?) {
            (true, Self { seconds, nanos: nanos @ 1.. }) => {
                Some(Self { seconds: seconds.checked_sub(1)?, nanos: 1_000_000_000 - nanos })
            }
            (_, time) => Some(time),
        }
    }

    /// Reads the same as `find -printf %T@` prints it: before 1970 too, what is behind the point comes on top of the seconds.
    pub(crate) fn parse_split(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
        let seconds: i64 = seconds.parse().ok()?;
        if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
        let nanos = digits.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
        Some(Self { seconds, nanos })
    }
}

/// What is known of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Type,
    pub(crate) size: u64,
    /// The twelve bits of its rights.
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    pub(crate) group: u32,
    pub(crate) modified: Time,
    /// When anything of it last changed, on the clock of its host.
    pub(crate) changed: Time,
    pub(crate) inode: u64,
    /// The file system that it is on.
    pub(crate) device: u64,
    /// How many names it has.
    pub(crate) names: u64,
    /// Where a symbolic link leads.
    pub(crate) target: Vec<u8>,
}

impl Entry {
    /// As bytes that [`Entry::from_bytes`] reads.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let letter = Type::LETTERS.iter().find(|(_, kind)| *kind == self.kind).map_or(b'f', |(letter, _)| *letter);
        let mut bytes = vec![letter];
        for number in [self.mode, self.owner, self.group, self.modified.nanos, self.changed.nanos] {
            bytes.extend(number.to_le_bytes());
        }
        for number in [self.size, self.inode, self.device, self.names] {
            bytes.extend(number.to_le_bytes());
        }
        for seconds in [self.modified.seconds, self.changed.seconds] {
            bytes.extend(seconds.to_le_bytes());
        }
        bytes.extend(&self.target);
        bytes
    }

    /// What [`Entry::to_bytes`] wrote; `None` if it did not.
    pub(crate) fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let kind = Type::of_letter(*bytes.split_off_first()?)?;
        let mut four = || Some(u32::from_le_bytes(bytes.split_off(..4)?.try_into().ok()?));
        let (mode, owner, group, modified, changed) = (four()?, four()?, four()?, four()?, four()?);
        let mut eight = || Some(u64::from_le_bytes(bytes.split_off(..8)?.try_into().ok()?));
        let (size, inode, device, names) = (eight()?, eight()?, eight()?, eight()?);
        let modified = Time { seconds: eight()?.cast_signed(), nanos: modified };
        let changed = Time { seconds: eight()?.cast_signed(), nanos: changed };
        let target = bytes.to_vec();
        Some(Self { kind, size, mode, owner, group, modified, changed, inode, device, names, target })
    }
}

/// What paths are in order of: a folder comes before what is in it, and that before the folder's next neighbour.
pub(crate) fn key_of(path: &[u8]) -> Vec<u8> {
    path.iter().map(|byte| if *byte == b'/' { 0 } else { *byte }).collect()
}

/// The path of a key.
pub(crate) fn path_of(key: &[u8]) -> Vec<u8> {
    key.iter().map(|byte| if *byte == 0 { b'/' } else { *byte }).collect()
}

/// The folder that `path` lies in, and its name there. A path without a `/` lies in the folder that is copied, which is empty.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (path.get(..slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_a_fraction_and_before_1970() {
        let time = |text: &str| Time::parse(text.as_bytes()).map(|time| (time.seconds, time.nanos));
        assert_eq!(time("1700000000.1234567890"), Some((1_700_000_000, 123_456_789)));
        assert_eq!(time("5"), Some((5, 0)));
        assert_eq!(time("0.5"), Some((0, 500_000_000)));
        assert_eq!(time("-1.2500000000"), Some((-2, 750_000_000)));
        assert_eq!(time("-0.5"), Some((-1, 500_000_000)));
        assert_eq!(time("-3.0"), Some((-3, 0)));
        assert_eq!(Time::parse_split(b"-6.9999997500"), Some(Time { seconds: -6, nanos: 999_999_750 }), "of find");
        for text in ["", ".", "a", "1.x", "1.-5", "99999999999999999999", "-9223372036854775808.5"] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn a_folder_comes_right_before_what_is_in_it() {
        let mut paths = ["a", "a/b", "a/b/c", "a-", "a-/b", "a.b", "b", ""].map(|path| key_of(path.as_bytes()));
        paths.sort_unstable();
        let paths = paths.map(|key| String::from_utf8(path_of(&key)).expect("text"));
        assert_eq!(paths, ["", "a", "a/b", "a/b/c", "a-", "a-/b", "a.b", "b"]);
    }

    #[test]
    fn an_entry_in_bytes_is_the_same_entry() {
        let time = Time { seconds: -7, nanos: 999_999_999 };
        for (_, kind) in Type::LETTERS {
            let entry = Entry {
                kind,
                size: u64::MAX,
                mode: 0o7777,
                owner: u32::MAX,
                group: 3,
                modified: time,
                changed: Time { seconds: i64::MAX, nanos: 1 },
                inode: 5,
                device: 6,
                names: 7,
                target: b"\xff/\n".to_vec(),
            };
            let bytes = entry.to_bytes();
            assert_eq!(Entry::from_bytes(&bytes), Some(entry));
            assert_eq!(Entry::from_bytes(&bytes[..68]), None);
        }
        assert_eq!(Entry::from_bytes(b""), None);
    }
}
