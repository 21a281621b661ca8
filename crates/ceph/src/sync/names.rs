//! Names of objects as paths of files, and back: never outside the folder, and no two names at one path.
//!
//! A name is cut at its slashes, and each piece becomes the name of a file or folder. A piece that a file system would take
//! otherwise, or not at all, is written as `%=` and the piece with `%XX` for what is the matter with it. So `a//b` lies at
//! `a/%=/b`, and `../x` at `%=%2E./x`.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::PathBuf;

use backup_core::{Error, Result};

/// The folder of ours at the root of a folder that is synced. No object lies in it, and no file in it is an object.
pub(super) const OWN: &str = ".ceph-backup";

/// What a piece that is written otherwise begins with.
const MARK: &str = "%=";
/// The longest name of a file, in bytes.
const LONGEST: usize = 255;

/// The path of the object called `name`, relative and without `.` and `..`.
///
/// A name that ends in `/` has the path of a file inside that folder. A piece that is too long for a file system is refused.
pub(super) fn path(name: &str) -> Result<PathBuf> {
    let mut path = PathBuf::new();
    for piece in name.split('/') {
        let piece = written(piece);
        if piece.len() > LONGEST {
            return Err(Error::failed(format!(
                "{name:?} has a part of more than {LONGEST} bytes, which no file can be called"
            ))
            .with_hint("sync it to a bucket instead"));
        }
        path.push(piece.as_ref());
    }
    Ok(path)
}

/// Whether an object of this name is one of a sync itself, such as one in its trash.
pub(super) fn is_own(name: &str) -> bool {
    name.split('/').any(|piece| piece == OWN)
}

/// A piece of a name, out of the name of a file or folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The piece.
    pub(super) text: String,
    /// Whether [`path`] would write it so. If not, it was not written by a sync.
    pub(super) ours: bool,
}

/// Reads the name of a file or folder. One that is not UTF-8 cannot be part of a key.
pub(super) fn piece(file_name: &OsStr) -> Option<Piece> {
    let text = file_name.to_str()?;
    if let Some(piece) = text.strip_prefix(MARK).and_then(unescape)
        && written(&piece) == text
    {
        return Some(Piece { text: piece, ours: true });
    }
    Some(Piece { text: text.to_owned(), ours: written(text) == text })
}

fn written(piece: &str) -> Cow<'_, str> {
    let special = matches!(piece, "" | "." | ".." | OWN);
    if !special && !piece.starts_with(MARK) && !piece.bytes().any(|byte| byte.is_ascii_control()) {
        return Cow::Borrowed(piece);
    }
    let mut text = String::from(MARK);
    for (nth, c) in piece.chars().enumerate() {
        if c == '%' || c.is_ascii_control() || (special && nth == 0) {
            text.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            text.push(c);
        }
    }
    Cow::Owned(text)
}

fn unescape(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut plain = pieces.next()?.to_owned();
    for piece in pieces {
        let byte = u8::from_str_radix(piece.get(..2)?, 16).ok().filter(u8::is_ascii)?;
        plain.push(char::from(byte));
        plain.push_str(piece.get(2..)?);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    fn back(path: &std::path::Path) -> Option<String> {
        let pieces: Option<Vec<Piece>> = path.components().map(|part| piece(part.as_os_str())).collect();
        let pieces = pieces.filter(|pieces| pieces.iter().all(|piece| piece.ours))?;
        Some(pieces.into_iter().map(|piece| piece.text).collect::<Vec<_>>().join("/"))
    }

    proptest! {
        #[test]
        fn every_name_has_a_path_of_its_own_inside(name in "([a%=.:/\u{1}\n\u{7f}ä]|\\.\\.|%=|\\.ceph-backup){1,12}") {
            let path = path(&name).expect("short enough");
            prop_assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
            prop_assert_eq!(path.components().count(), name.split('/').count());
            prop_assert!(!path.components().any(|part| part.as_os_str() == OWN));
            prop_assert_eq!(back(&path), Some(name));
        }

        #[test]
        fn a_file_that_nobody_here_wrote_is_not_taken_for_another(text in "(%=|%|25|2E|2e|0A|a|=|\\.){1,6}") {
            let piece = piece(OsStr::new(&text)).expect("UTF-8");
            prop_assert_eq!(piece.ours, written(&piece.text) == text);
            prop_assert!(piece.ours || piece.text == text);
        }
    }

    #[test]
    fn names_that_a_file_system_would_take_otherwise() {
        for (name, expected) in [
            ("a/b.lzo", "a/b.lzo"),
            ("100%", "100%"),
            (".hidden", ".hidden"),
            ("../../etc/passwd", "%=%2E./%=%2E./etc/passwd"),
            ("/etc/passwd", "%=/etc/passwd"),
            ("a//b", "a/%=/b"),
            ("a/", "a/%="),
            ("./a\nb", "%=%2E/%=a%0Ab"),
            (".ceph-backup/x", "%=%2Eceph-backup/x"),
            ("%=", "%=%25="),
        ] {
            assert_eq!(path(name).expect(name).to_str(), Some(expected), "{name:?}");
        }
    }

    #[test]
    fn a_piece_that_is_too_long_is_refused_by_name() {
        assert!(path(&format!("a/{}/b", "x".repeat(255))).is_ok());
        let long = "x".repeat(256);
        assert!(path(&long).expect_err("too long").chain().contains(&long));
        // Longer only as it is written.
        assert!(path(&"\n".repeat(90)).is_err());
        assert!(path(&"x/".repeat(512)).is_ok(), "1,024 bytes in short pieces");
    }

    #[test]
    fn what_is_of_a_sync_itself() {
        assert!(is_own(".ceph-backup/trash/a") && is_own("a/.ceph-backup/b"));
        assert!(!is_own("a.ceph-backup/b") && !is_own("a/b"));
    }

    #[test]
    fn what_is_not_utf_8_is_no_name() {
        assert_eq!(piece(OsStr::from_bytes(b"a\xff")), None);
    }
}
