//! Which names are replaced at once, so that what comes back is there and what stays is untouched.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use backup_core::sorted::Sorted;
use backup_core::{Error, Result};

use super::there::{MOST, Opened, There, too_many};
use crate::copy::{path_of, split};

/// A name on the director that is replaced, with all that is below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its path below `/var/vcap`.
    pub path: PathBuf,
    /// What becomes of it.
    pub what: What,
}

/// What becomes of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// What is there goes, and what comes back takes its place.
    Replaced,
    /// Nothing is there.
    Added,
    /// What is there goes: it is in the list by which the archive was made, and not in the archive.
    Removed,
}

/// The names that are replaced: those in folders that are opened. `coming` has what comes back, by keys, each with whether it is a
/// folder. What is there and does not come back goes only if `removes`.
pub(super) fn places(there: There, mut coming: Sorted, removes: bool) -> Result<(Vec<Place>, Opened)> {
    let There { mut listed, opened } = there;
    let (mut places, mut bytes) = (Vec::new(), 0);
    let (mut is, mut comes) = (listed.next()?, coming.next()?);
    loop {
        let (key, what) = match (&is, &comes) {
            (None, None) => return Ok((places, opened)),
            (Some((one, _)), Some((other, _))) if one == other => (one.clone(), What::Replaced),
            (Some((one, _)), other) if other.as_ref().is_none_or(|(other, _)| one < other) => (one.clone(), What::Removed),
            (_, Some((other, _))) => (other.clone(), What::Added),
            (Some((one, _)), None) => (one.clone(), What::Removed),
        };
        let path = path_of(&key);
        let is_folder = comes.as_ref().is_none_or(|(_, folder)| folder.first() == Some(&1));
        if opened.has(split(&path).0) {
            if opened.has(&path) {
                if what != What::Removed && !is_folder {
                    return Err(Error::failed(format!(
                        "no folder comes back as {}, which has something in it that stays",
                        path.escape_ascii()
                    ))
                    .with_hint("choose something else with --path, or move what stays away"));
                }
            } else if removes || what != What::Removed {
                bytes += path.len() + 64;
                places.push(Place { path: OsString::from_vec(path).into(), what });
                if bytes > MOST {
                    return Err(too_many());
                }
            }
        }
        if what != What::Added {
            is = listed.next()?;
        }
        if what != What::Removed {
            comes = coming.next()?;
            if comes.as_ref().is_some_and(|(next, _)| *next == key) {
                return Err(Error::damaged(format!("the archive has {} twice", path_of(&key).escape_ascii()))
                    .with_hint("restore from another one"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use backup_core::Kind;
    use backup_core::sorted::Sorter;

    use super::*;
    use crate::copy::key_of;

    /// Paths; those that end in `/` are folders.
    fn sorted(paths: &[&str]) -> Sorted {
        let folder = std::env::temp_dir();
        let mut sorter = Sorter::new(&folder);
        for path in paths {
            let plain = path.trim_end_matches('/');
            sorter.push((key_of(plain.as_bytes()), vec![u8::from(plain != *path)])).expect("pushed");
        }
        sorter.finish().expect("sorted")
    }

    fn of(there: &[&str], stay: &[&str], mounts: &[&str], coming: &[&str], removes: bool) -> Result<Vec<String>> {
        let mounts = mounts.iter().map(|mount| mount.as_bytes().to_vec()).collect();
        let mut opened = Opened::new(&[b"store".to_vec()], mounts).expect("few");
        stay.iter().try_for_each(|path| opened.around(path.as_bytes())).expect("few");
        let (places, _) = places(There { listed: sorted(there), opened }, sorted(coming), removes)?;
        Ok(places.into_iter().map(|place| format!("{} {:?}", place.path.display(), place.what)).collect())
    }

    #[test]
    fn a_folder_with_nothing_that_stays_is_replaced_at_once() {
        let (there, coming) = (["store/", "store/a", "store/b/", "store/b/x"], ["store/", "store/c"]);
        assert_eq!(of(&there, &[], &[], &coming, true).expect("places"), ["store Replaced"]);
        assert_eq!(of(&[], &[], &[], &coming, true).expect("places"), ["store Added"]);
    }

    #[test]
    fn what_stays_is_gone_around() {
        let there = ["store/", "store/a", "store/b/", "store/b/x", "store/b/y", "store/d/", "store/d/x", "store/e"];
        let coming = ["store/", "store/a/", "store/a/1", "store/b/", "store/b/x", "store/b/z", "store/d", "store/f"];
        let all = [
            "store/a Replaced",
            "store/b/x Replaced",
            "store/b/y Removed",
            "store/b/z Added",
            "store/d Replaced",
            "store/e Removed",
            "store/f Added",
        ];
        assert_eq!(of(&there, &["store/b/kept"], &["store"], &coming, true).expect("places"), all);
        let none_goes: Vec<&str> = all.into_iter().filter(|place| !place.ends_with("Removed")).collect();
        assert_eq!(of(&there, &["store/b/kept"], &["store"], &coming, false).expect("places"), none_goes);
    }

    #[test]
    fn what_cannot_be_is_told() {
        let error = of(&["store/"], &["store/kept"], &[], &["store"], true).expect_err("no folder");
        assert!(error.chain().contains("has something in it that stays"), "{error}");
        let error = of(&[], &[], &[], &["store/", "store/a", "store/a/"], true).expect_err("twice");
        assert_eq!(error.kind(), Kind::Damaged);
    }
}
