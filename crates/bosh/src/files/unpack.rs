//! Files are unpacked on the director beside those that are there, and compared with what was to be unpacked.

use std::path::PathBuf;

use backup_core::sorted::{Sorted, Sorter};
use backup_core::{Context, Error, Event, Kind, Name, Result, body};
use backup_host::Command;
use tokio::sync::oneshot;

use super::Files;
use super::members::Members;
use super::plan::Plan;
use super::swap::work;
use crate::copy::{Entry, arguments, key_of, looks_alike, path_of, read_blocking, read_listing, sieve, through};

/// Everything as it was: owners by number, all attributes. A folder has its rights and time when all is in it.
const TAR: [&str; 8] = [
    "--extract",
    "--file=-",
    "--numeric-owner",
    "--same-owner",
    "--preserve-permissions",
    "--delay-directory-restore",
    "--xattrs",
    "--acls",
];

impl Files {
    /// Unpacks what comes back to the file system that is mounted at `mount`. Returns it by keys, each with whether it is another name
    /// of a file, and what is to be known of it.
    pub(super) async fn unpack(&self, cx: &Context, plan: &Plan, mount: &[u8], part: &Name) -> Result<Sorted> {
        let (told, unpacked) = oneshot::channel();
        let mut members = Members::new(plan.chosen.clone());
        let (opened, mount_here, spill) = (plan.opened.clone(), mount.to_owned(), self.spill.clone());
        let (teller, part) = (cx.clone(), part.clone());
        let members = through(self.source.tar(cx).await?, move |reader, out| {
            let mut expected = Sorter::new(&spill);
            let keeps = |member: &crate::copy::Member| {
                let Some(coming) = members.of(member)? else { return Ok(false) };
                if opened.has(&coming.path) || opened.mount_of(&coming.path) != mount_here {
                    return Ok(false);
                }
                let about = [&[u8::from(coming.link.is_some())], coming.entry.to_bytes().as_slice()].concat();
                expected.push((key_of(&coming.path), about))?;
                Ok(true)
            };
            sieve(reader, keeps, |piece| {
                teller.tell(Event::Progress { part: &part, bytes: piece.len() as u64 });
                out(piece)
            })?;
            // Nobody waits for it any more if the command has failed.
            let _ = told.send(expected.finish()?);
            Ok(())
        });
        let folder = work(mount).join("new");
        let command = Command::new("tar").args(TAR).arg("--xattrs-include=*").arg("--directory").arg(folder).sudo();
        let said = self.director.host.run(&command, Some(members)).await?;
        cx.unless_cancelled(body::to_vec(said, 64 * 1024)).await?;
        unpacked.await.map_err(|_| Error::failed("tar there ended before all was sent"))
    }

    /// Whether what lies there now is `expected`, and nothing else.
    pub(super) async fn compare(&self, cx: &Context, plan: &Plan, mount: &[u8], expected: Sorted) -> Result<()> {
        let command = Command::new("find").args(arguments(&work(mount).join("new"))).sudo();
        let (opened, spill): (_, PathBuf) = (plan.opened.clone(), self.spill.clone());
        let listing = self.director.host.run(&command, None).await?;
        let compared = read_blocking(listing, move |reader| {
            let mut listed = Sorter::new(&spill);
            read_listing(reader, |path, entry| {
                // Folders on the way to what comes back are no part of it.
                match path.strip_prefix(b"vcap/") {
                    Some(path) if !opened.has(path) => Ok(listed.push((key_of(path), entry.to_bytes()))?),
                    _ => Ok(()),
                }
            })?;
            equal(listed.finish()?, expected)
        });
        cx.unless_cancelled(compared).await
    }
}

/// Fails with the first that differs.
fn equal(mut listed: Sorted, mut expected: Sorted) -> Result<()> {
    loop {
        let path = match (listed.next()?, expected.next()?) {
            (None, None) => return Ok(()),
            (Some((one, is)), Some((other, was))) if one == other => match is_as(&is, &was) {
                true => continue,
                false => one,
            },
            (Some((one, _)), Some((other, _))) => one.min(other),
            (Some((one, _)), None) | (None, Some((one, _))) => one,
        };
        let what = format!("{} was not unpacked as it is in the archive", path_of(&path).escape_ascii());
        return Err(Error::new(Kind::Differs, what).with_hint("nothing was replaced; look at the disk there"));
    }
}

/// Whether what `is` there is what it `was`; another name of a file does not tell its size.
fn is_as(is: &[u8], was: &[u8]) -> bool {
    let Some((is_link, was)) = was.split_first() else { return false };
    let (Some(is), Some(mut was)) = (Entry::from_bytes(is), Entry::from_bytes(was)) else { return false };
    if *is_link == 1 {
        was.size = is.size;
    }
    looks_alike(&is, &was, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::Type;

    type Change = fn(&mut Entry);

    fn entry(change: Change) -> Entry {
        let mut entry = Entry {
            kind: Type::File,
            size: 5,
            mode: 0o644,
            owner: 1,
            group: 2,
            modified: Default::default(),
            changed: Default::default(),
            inode: 3,
            device: 4,
            names: 1,
            target: Vec::new(),
        };
        change(&mut entry);
        entry
    }

    fn sorted(paths: &[&str], change: Change, before: &[u8]) -> Sorted {
        let folder = std::env::temp_dir();
        let mut sorter = Sorter::new(&folder);
        for path in paths {
            sorter.push((key_of(path.as_bytes()), [before, &entry(change).to_bytes()].concat())).expect("pushed");
        }
        sorter.finish().expect("sorted")
    }

    #[test]
    fn what_was_unpacked_otherwise_is_found() {
        let same: Change = |_| {};
        let is_equal =
            |there: &[&str], change: Change, link: u8| equal(sorted(there, change, b""), sorted(&["a", "b"], same, &[link]));
        is_equal(&["a", "b"], same, 0).expect("equal");
        for paths in [&["a"][..], &["b"], &["a", "b", "c"], &["a", "c"], &[]] {
            assert_eq!(is_equal(paths, same, 0).expect_err("it differs").kind(), Kind::Differs, "{paths:?}");
        }
        let changes: [Change; 6] = [
            |entry| entry.kind = Type::Fifo,
            |entry| entry.size = 4,
            |entry| entry.mode = 0o600,
            |entry| entry.owner = 0,
            |entry| entry.group = 0,
            |entry| entry.modified.nanos = 1,
        ];
        for (nth, change) in changes.into_iter().enumerate() {
            assert!(is_equal(&["a", "b"], change, 0).is_err(), "{nth}");
            assert_eq!(is_equal(&["a", "b"], change, 1).is_ok(), nth == 1, "only the size of another name is not known: {nth}");
        }
    }
}
