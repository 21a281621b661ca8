//! The files that are copied, and whether two folders have the same.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::Result;
use super::random::Random;

/// A set of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    /// As a registry and an archive of WAL have them: most are small, most bytes are in the large.
    Mixed(usize),
    /// Of 1 to 8 KiB each.
    Small(usize),
    /// One of so many MiB.
    Large(usize),
    /// Of 1 to 104 KiB each, as a blobstore has them: every second one is compressed already.
    Blobs(usize),
}

impl Set {
    /// For the table, and the name of its bucket.
    pub(super) fn name(self) -> String {
        match self {
            Self::Mixed(count) => format!("mixed-{count}"),
            Self::Small(count) => format!("small-{count}"),
            Self::Large(mib) => format!("large-{mib}"),
            Self::Blobs(count) => format!("blobs-{count}"),
        }
    }

    pub(super) fn is_large(self) -> bool {
        matches!(self, Self::Large(_))
    }

    /// Makes them in `folder`, the same each time.
    pub(super) fn make(self, folder: &Path) -> Result<()> {
        let mut random = Random::default();
        let count = match self {
            Self::Mixed(count) | Self::Small(count) | Self::Blobs(count) => count,
            Self::Large(_) => 1,
        };
        for nth in 0..count {
            let size = match (self, nth % 1000) {
                (Self::Small(_), _) => random.between(1 << 10, 8 << 10),
                (Self::Large(mib), _) => mib << 20,
                (Self::Blobs(_), _) => random.between(1 << 10, 104 << 10),
                (_, 0) => 20 << 20,
                (_, 1..4) => 8 << 20,
                (_, 4..40) => 1 << 20,
                (_, 40..340) => random.between(64 << 10, 256 << 10),
                _ => random.between(1 << 10, 16 << 10),
            };
            let place = folder.join(format!("{:02}/{:02}", nth % 7, nth % 31));
            fs::create_dir_all(&place)?;
            let is_text = matches!(self, Self::Blobs(_)) && nth % 2 == 1;
            write(&place.join(format!("part_{nth:08}.tar.lzo")), size, is_text, &mut random)?;
        }
        Ok(())
    }
}

/// Writes a file of so many bytes, which compress to half if they are text.
pub(super) fn write(path: &Path, size: usize, is_text: bool, random: &mut Random) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for word in 0..size.div_ceil(8) {
        let bytes = match is_text {
            true => format!("{:08x}", random.next() as u32).into_bytes(),
            false => random.next().to_le_bytes().to_vec(),
        };
        file.write_all(&bytes[..8.min(size - word * 8)])?;
    }
    Ok(file.flush()?)
}

/// Fails unless `copy` has the files of `source` with the same bytes, and no others but those of a sync itself.
pub(super) fn compare(source: &Path, copy: &Path) -> Result<()> {
    let (source, copy) = (files(source)?, files(copy)?);
    if let Some(name) = source.keys().find(|name| !copy.contains_key(*name)) {
        return Err(format!("{} is missing", name.display()).into());
    }
    if let Some(name) = copy.keys().find(|name| !source.contains_key(*name)) {
        return Err(format!("{} is too much", name.display()).into());
    }
    for (name, path) in &source {
        let mut both = [File::open(path)?, File::open(&copy[name])?];
        loop {
            let [one, other] = both.each_mut().map(next);
            let (one, other) = (one?, other?);
            if one != other {
                return Err(format!("{} is not the same", name.display()).into());
            }
            if one.is_empty() {
                break;
            }
        }
    }
    Ok(())
}

/// The next MiB of a file, or what is left of it.
fn next(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(1 << 20).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The files at or under a folder, by their paths in it.
pub(super) fn files(folder: &Path) -> Result<BTreeMap<PathBuf, PathBuf>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            match path.is_dir() {
                true if path.ends_with(".ceph-backup") => {}
                true => folders.push(path),
                false => drop(found.insert(path.strip_prefix(folder)?.to_owned(), path)),
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_differ_are_told_apart() {
        let [one, two] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        Set::Small(9).make(one.path()).expect("made");
        Set::Small(9).make(two.path()).expect("made");
        compare(one.path(), two.path()).expect("the same");
        let path = two.path().join("03/03/part_00000003.tar.lzo");
        let content = fs::read(&path).expect("a file");
        fs::write(&path, [&content[1..], b"x"].concat()).expect("written");
        compare(one.path(), two.path()).expect_err("other bytes");
        fs::remove_file(&path).expect("removed");
        compare(one.path(), two.path()).expect_err("one is missing");
        compare(two.path(), one.path()).expect_err("one is too much");
    }
}
