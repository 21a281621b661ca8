//! Some members of an archive, passed on byte by byte as they stand there.

use std::io::{self, Read};

use backup_core::Result;

use super::{Archive, BLOCK, Member, damaged};

/// How much may stand before a member, in bytes.
const LONGEST: usize = 16 << 20;

/// Notes what passes while it is told to.
#[derive(Debug)]
struct Noting<R> {
    reader: R,
    noted: Option<Vec<u8>>,
}

impl<R: Read> Read for Noting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        if let Some(noted) = &mut self.noted {
            if noted.len() + length > LONGEST {
                return Err(damaged("has records that are too long"));
            }
            noted.extend_from_slice(buffer.get(..length).unwrap_or_default());
        }
        Ok(length)
    }
}

/// Hands over an archive of those members of the one in `reader` that `keeps` says, and reads that to its end.
///
/// Each is as it stands there, so whoever reads on must understand it as [`Archive`] does: records for all members, which this does not
/// look at, are [`Kind::Damaged`](backup_core::Kind::Damaged).
pub(crate) fn sieve(
    reader: impl Read,
    mut keeps: impl FnMut(&Member) -> Result<bool>,
    mut out: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<()> {
    let mut archive = Archive::new(Noting { reader, noted: None });
    let mut buffer = vec![0; 128 * 1024];
    loop {
        // What is passed over of the last one is noted by nobody.
        archive.pass()?;
        archive.reader.noted = Some(Vec::new());
        let member = archive.next()?;
        let before = archive.reader.noted.take().unwrap_or_default();
        if archive.has_globals {
            return Err(damaged("has records for all of its members").into());
        }
        let Some(member) = member else { break };
        if !keeps(&member)? {
            continue;
        }
        out(&before)?;
        let mut left = archive.left.checked_add(archive.padding).ok_or_else(|| damaged("has a member of no size"))?;
        (archive.left, archive.padding) = (0, 0);
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let some = buffer.get_mut(..most).unwrap_or_default();
            archive.reader.read_exact(some).map_err(super::broken_off)?;
            out(some)?;
            left -= some.len() as u64;
        }
    }
    out(&[0; 2 * BLOCK])?;
    Ok(archive.finish()?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::walk;
    use super::*;

    fn tar(folder: &std::path::Path, arguments: &[&str]) -> Vec<u8> {
        let mut tar = Command::new("tar");
        tar.args(["--create", "--file=-", "--format=pax", "--sparse", "--sort=name"]).args(arguments).arg("-C").arg(folder);
        let output = tar.arg(".").output().expect("tar runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn paths(archive: &[u8]) -> Vec<String> {
        let mut paths = Vec::new();
        walk(archive, |path, size| {
            paths.push(format!("{} {size}", String::from_utf8_lossy(path)));
            Ok(())
        })
        .expect("an archive");
        paths
    }

    fn sieved(archive: &[u8], keeps: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
        let mut passed = Vec::new();
        sieve(
            archive,
            |member| Ok(keeps(&member.path)),
            |bytes| {
                passed.extend_from_slice(bytes);
                Ok(())
            },
        )?;
        Ok(passed)
    }

    #[test]
    fn members_that_are_kept_are_what_they_were() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("a"), vec![7; 1000]).expect("written");
        std::fs::write(at(&"long".repeat(50)), "long").expect("written");
        std::fs::File::create(at("hole")).and_then(|file| file.set_len(5_000_000)).expect("made");
        std::fs::write(at("z"), "z").expect("written");
        let whole = tar(folder.path(), &[]);
        let all = paths(&whole);
        assert_eq!(all.len(), 5, "{all:?}");
        assert_eq!(paths(&sieved(&whole, |_| true).expect("passed")), all);
        let some = sieved(&whole, |path| path != b"./a").expect("passed");
        assert_eq!(paths(&some), all.iter().filter(|path| *path != "a 1000").cloned().collect::<Vec<_>>());
        // What is cut has no end.
        for length in [whole.len() / 2, 512, 0] {
            assert_eq!(sieved(&whole[..length], |_| true).expect_err("cut").kind(), backup_core::Kind::Damaged, "{length}");
        }
    }

    #[test]
    fn what_only_tar_would_look_at_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a"), "a").expect("written");
        let whole = tar(folder.path(), &["--pax-option=comment=x"]);
        assert!(!paths(&whole).is_empty());
        assert!(sieved(&whole, |_| true).is_err());
    }
}
