//! What lies in a tree of a host, as `find` lists it.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use backup_core::{Error, Result};

use super::complaint::is_of_meanwhile;
use super::entry::{Entry, Time, Type};

/// The longest path below the root, in bytes; no system call takes a longer one.
const LONGEST: usize = 4000;

/// The fields of a record. Each ends with a zero byte, which no path has.
const FORMAT: &str = r"%P\0%y\0%s\0%m\0%U\0%G\0%T@\0%C@\0%i\0%D\0%n\0%l\0";

/// The arguments of `find` for the tree at `root`.
///
/// The folder itself comes last, which says that all before it was told.
pub(crate) fn arguments(root: &Path) -> [OsString; 5] {
    // A root that is a symbolic link is followed, and nothing below it.
    let root = root.join("").into_os_string();
    [root, "-ignore_readdir_race".into(), "-depth".into(), "-printf".into(), FORMAT.into()]
}

/// Reads what `find` prints, and hands over each path, below the root, with what is known of it; the root's own is empty.
///
/// Folders that vanish while they are listed are no failure. Anything but whole records with the root's as the last is
/// [`Kind::Damaged`](backup_core::Kind::Damaged), and so are paths that lead out of the root.
pub(crate) fn read(reader: impl Read, mut each: impl FnMut(&[u8], Entry) -> Result<()>) -> Result<()> {
    let mut reader = Fields { reader: BufReader::with_capacity(64 * 1024, reader), field: Vec::new() };
    let mut is_whole = false;
    loop {
        match reader.next() {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                let error = Error::from(error);
                if is_whole && is_of_meanwhile("find", &error) {
                    break;
                }
                return Err(error);
            }
        }
        let path = std::mem::take(&mut reader.field);
        if is_whole || !is_relative(&path) {
            return Err(unknown(&path));
        }
        is_whole = path.is_empty();
        let entry = entry(&mut reader)?.ok_or_else(|| unknown(&path))?;
        if path.len() > LONGEST {
            let start = path.get(..60).unwrap_or_default().escape_ascii();
            return Err(Error::failed(format!("the path that begins with \"{start}\" is longer than {LONGEST} bytes"))
                .with_hint("leave it out with a line in the list of files"));
        }
        each(&path, entry)?;
    }
    match is_whole {
        true => Ok(()),
        false => Err(Error::damaged("the listing of files broke off").with_hint("run it again")),
    }
}

/// Whether `path` is empty, or names that are joined by single slashes and do not lead up.
pub(crate) fn is_relative(path: &[u8]) -> bool {
    path.is_empty() || path.split(|byte| *byte == b'/').all(|name| !matches!(name, b"" | b"." | b".."))
}

fn unknown(path: &[u8]) -> Error {
    let start = path.get(..60).unwrap_or(path).escape_ascii();
    Error::damaged(format!("the listing of files cannot be understood at \"{start}\""))
        .with_hint("look whether find there is GNU find, and prints nothing of its own")
}

struct Fields<R> {
    reader: BufReader<R>,
    field: Vec<u8>,
}

impl<R: Read> Fields<R> {
    /// Reads the next field; `false` at the end, behind a whole one.
    fn next(&mut self) -> io::Result<bool> {
        self.field.clear();
        // One byte more than any field has, so that what never ends takes no memory.
        let read = self.reader.by_ref().take(2 * LONGEST as u64).read_until(0, &mut self.field)?;
        match self.field.pop() {
            None => Ok(false),
            Some(0) => Ok(true),
            Some(_) if read < 2 * LONGEST => {
                Err(Error::damaged("the listing of files broke off").with_hint("run it again").into())
            }
            Some(_) => Err(unknown(&self.field).into()),
        }
    }
}

/// What follows the path; `None` if it is not what was asked for.
fn entry<R: Read>(fields: &mut Fields<R>) -> Result<Option<Entry>> {
    let mut texts: [Vec<u8>; 11] = Default::default();
    for text in &mut texts {
        if !fields.next()? {
            return Ok(None);
        }
        *text = std::mem::take(&mut fields.field);
    }
    let [kind, size, mode, owner, group, modified, changed, inode, device, names, target] = texts;
    let parsed = || {
        let [letter] = *kind else { return None };
        let kind = Type::of_letter(letter)?;
        if (kind == Type::Symlink) == target.is_empty() {
            return None;
        }
        Some(Entry {
            kind,
            size: number(&size)?,
            mode: u32::from_str_radix(std::str::from_utf8(&mode).ok()?, 8).ok().filter(|mode| *mode <= 0o7777)?,
            owner: number(&owner)?.try_into().ok()?,
            group: number(&group)?.try_into().ok()?,
            modified: Time::parse_split(&modified)?,
            changed: Time::parse_split(&changed)?,
            inode: number(&inode)?,
            device: number(&device)?,
            names: number(&names)?,
            target,
        })
    };
    Ok(parsed())
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use backup_core::Kind;
    use proptest::prelude::*;

    use super::*;

    const ROOT: &str = "|d|4096|755|0|0|1.5|2.5|2|65024|3||";

    fn listed(text: &str) -> Result<Vec<(Vec<u8>, Entry)>> {
        let mut all = Vec::new();
        read(text.replace('|', "\0").as_bytes(), |path, entry| {
            all.push((path.to_owned(), entry));
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn records_of_find() {
        let all = listed(&format!(
            "a/new\nline|f|7|4644|1|2|1700000000.1234567890|9.5|5|65024|2||\u{1}|l|1|777|0|0|1.0|1.0|6|1|1|/x\n|{ROOT}"
        ));
        let all = all.expect("a listing");
        assert_eq!(all.iter().map(|(path, _)| path.as_slice()).collect::<Vec<_>>(), [&b"a/new\nline"[..], b"\x01", b""]);
        let modified = Time { seconds: 1_700_000_000, nanos: 123_456_789 };
        let changed = Time { seconds: 9, nanos: 500_000_000 };
        let (inode, device, names) = (5, 65024, 2);
        let (kind, size, mode, owner, group, target) = (Type::File, 7, 0o4644, 1, 2, Vec::new());
        assert_eq!(all[0].1, Entry { kind, size, mode, owner, group, modified, changed, inode, device, names, target });
        assert_eq!((all[1].1.kind, all[1].1.target.as_slice()), (Type::Symlink, &b"/x\n"[..]));
    }

    #[test]
    fn listings_that_break_off_anywhere_are_damaged() {
        let whole = format!("a|f|7|644|1|2|1.5|9.5|5|65024|2||{ROOT}");
        assert_eq!(listed(&whole).expect("whole").len(), 2);
        for length in 0..whole.len() {
            assert_eq!(listed(&whole[..length]).expect_err("it is cut").kind(), Kind::Damaged, "{length}");
        }
        assert_eq!(listed(&format!("{whole}{ROOT}")).expect_err("more").kind(), Kind::Damaged);
    }

    #[test]
    fn what_find_would_not_print() {
        let good = ["a", "f", "7", "644", "1", "2", "1.5", "9.5", "5", "1", "2", ""];
        assert!(listed(&format!("{}|{ROOT}", good.join("|"))).is_ok());
        for (field, text) in [
            (0, "/a"),
            (0, "../a"),
            (0, "a/.."),
            (0, "a//b"),
            (0, "a/"),
            (0, "."),
            (1, "x"),
            (1, "ff"),
            (1, ""),
            (1, "l"),
            (2, "-1"),
            (2, "99999999999999999999"),
            (3, "9"),
            (3, "10000"),
            (4, "4294967296"),
            (6, "x"),
            (8, ""),
            (11, "target"),
        ] {
            let mut record = good;
            record[field] = text;
            let error = listed(&format!("{}|{ROOT}", record.join("|"))).expect_err(text);
            assert_eq!(error.kind(), Kind::Damaged, "{field} {text:?}");
        }
        let long = "a".repeat(LONGEST + 1);
        let error = listed(&format!("{long}|f|7|644|1|2|1.5|9.5|5|1|2||{ROOT}")).expect_err("too long");
        assert_eq!(error.kind(), Kind::Failed);
        assert!(listed(&"a".repeat(1 << 20)).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>) {
            let _ = read(bytes.as_slice(), |_, _| Ok(()));
        }
    }
}
