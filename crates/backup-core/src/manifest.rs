//! What a backup holds, as it lies in `manifest.json`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{BackupId, Error, Facts, Key, Kind, Name, Origin, Result, Sha256};
use crate::{layout, lines, own_digest, sums};

/// The version of the stored format. It changes with `docs/format.md` and the sample in `tests/data/manifest/`.
pub const FORMAT: u32 = 1;

/// The longest manifest that is read, in bytes.
pub const LONGEST: u64 = 512 * 1024 * 1024;

/// What a backup holds. Written last: a backup exists once this does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// The job it belongs to.
    pub job: Name,
    /// Its ID.
    pub id: BackupId,
    /// Program and version that took it.
    pub program: String,
    /// When the attempt began.
    pub started: Timestamp,
    /// When the manifest was written.
    pub finished: Timestamp,
    /// Whose state it holds.
    pub origin: Origin,
    /// Older backups that a restore of this one reads too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<BackupId>,
    /// How the parts were sealed.
    pub seal: Sealed,
    /// The list of the stored bytes' digests, for `sha256sum -c`.
    pub sums: File,
    /// The parts in restore order. Empty in a stored manifest whose `seal` has `details`: there they are sealed too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<StoredPart>,
    /// Every stored file in restore order, so that a backup can be verified without a key.
    pub files: Vec<File>,
}

/// How the parts of a backup were sealed, from the inside out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// `zstd`, `gzip` or `none`.
    pub compression: String,
    /// `age` or absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// Where the identity lies that a passphrase opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// Where the sealed list of parts lies, if the parts are encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Key>,
}

/// A part as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPart {
    /// Its name.
    pub name: Name,
    /// Its size before sealing, in bytes.
    pub size: u64,
    /// The digest of its bytes before sealing.
    pub sha256: Sha256,
    /// What is known of it.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
    /// The stored files that hold it, in order.
    pub files: Vec<Key>,
}

/// A stored file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Where it lies, from the backup's own folder on.
    pub key: Key,
    /// Its size in bytes.
    pub size: u64,
    /// The digest of its bytes.
    pub sha256: Sha256,
}

/// What a listing needs of a stored manifest. Whoever owns the sink may have written a large one: no more of it is kept.
#[derive(Debug, Deserialize)]
pub(crate) struct Outline {
    pub(crate) job: Name,
    pub(crate) id: BackupId,
    pub(crate) origin: OutlinedOrigin,
    #[serde(default)]
    pub(crate) needs: Vec<BackupId>,
    sums: OutlinedFile,
    files: Vec<OutlinedFile>,
}

/// An origin without its facts.
#[derive(Debug, Deserialize)]
pub(crate) struct OutlinedOrigin {
    pub(crate) kind: String,
    pub(crate) identity: String,
    pub(crate) version: String,
}

#[derive(Debug, Deserialize)]
struct OutlinedFile {
    size: u64,
}

impl Outline {
    /// Reads of a stored manifest what a listing needs: its own digest, its format, and then what it says.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        parse(bytes)
    }

    /// As [`Manifest::stored_size`].
    pub(crate) fn stored_size(&self) -> u64 {
        self.files.iter().map(|file| file.size).fold(self.sums.size, u64::saturating_add)
    }
}

/// Reads JSON with a digest at its end and a format that is known.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let text = own_digest::open(bytes, "the manifest")?;
    let wrong = |error: serde_json::Error| Error::damaged("the manifest does not say what it must").with_source(error);
    let Version { format } = serde_json::from_str(text).map_err(wrong)?;
    if format > FORMAT {
        return Err(Error::failed(format!("the backup has format {format}, this program knows up to {FORMAT}"))
            .with_hint("use the version of the program that wrote it, or a newer one"));
    }
    serde_json::from_str(text).map_err(wrong)
}

impl Manifest {
    /// The part called `name`.
    pub fn part(&self, name: &Name) -> Result<&StoredPart> {
        let missing = || Error::new(Kind::NotFound, format!("backup {} has no part {name}", self.id));
        self.parts.iter().find(|part| part.name == *name).ok_or_else(missing)
    }

    /// The manifest as it is stored: JSON that ends in the digest of everything before the digest's line.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let json =
            lines::to_string(self).map_err(|error| Error::failed("failed to write the manifest as JSON").with_source(error))?;
        Ok(own_digest::seal(json))
    }

    /// Reads a stored manifest: its own digest, its format, and then what it says.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let manifest: Self = parse(bytes)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// How many bytes the stored files have together, the sums included.
    pub fn stored_size(&self) -> u64 {
        self.files.iter().map(|file| file.size).fold(self.sums.size, u64::saturating_add)
    }

    /// What must be true between the lines: nobody who read a manifest checks it again.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::damaged(format!("the manifest contradicts itself: {what}")));
        let sums = sums::render(&self.files);
        if self.sums != sums::file(&sums) {
            return wrong(format!("{} does not list its files", self.sums.key));
        }
        let mut total = Some(self.sums.size);
        let mut files = BTreeSet::new();
        for file in &self.files {
            total = total.and_then(|total| total.checked_add(file.size));
            if layout::is_ours(file.key.as_str()) {
                return wrong(format!("{} is not for parts", file.key));
            }
            if !files.insert(&file.key) {
                return wrong(format!("{} is there twice", file.key));
            }
        }
        if total.is_none() {
            return wrong("its files have more bytes than there can be".into());
        }
        let mut names = BTreeSet::new();
        for part in &self.parts {
            if !names.insert(&part.name) {
                return wrong(format!("part {:?} is there twice", part.name.as_str()));
            }
            if let Some(key) = part.files.iter().find(|key| !files.remove(key)) {
                return wrong(format!("part {:?} is in {key}, which is no file of its own", part.name.as_str()));
            }
        }
        let Sealed { encryption, key, details, .. } = &self.seal;
        if details.is_some() != encryption.is_some() || (key.is_some() && encryption.is_none()) {
            return wrong("its seal is half encrypted".into());
        }
        match [key, details].into_iter().flatten().find(|key| !files.contains(*key)) {
            Some(key) => wrong(format!("its seal needs {key}, which is no file of its own")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        let file = File { key: "parts/00000.sql".parse().expect("key"), size: 0, sha256: Sha256::of("") };
        Manifest {
            format: FORMAT,
            job: "pg".parse().expect("name"),
            id: "20261120T101500Z".parse().expect("id"),
            program: "test 0".into(),
            started: Timestamp::UNIX_EPOCH,
            finished: Timestamp::UNIX_EPOCH,
            origin: Origin { kind: "test".into(), identity: "1".into(), version: "1".into(), facts: Facts::new() },
            needs: Vec::new(),
            seal: Sealed { compression: "zstd".into(), encryption: None, key: None, details: None },
            sums: sums::file(&sums::render(std::slice::from_ref(&file))),
            parts: vec![StoredPart {
                name: "a table".parse().expect("name"),
                size: 0,
                sha256: Sha256::of(""),
                facts: Facts::new(),
                files: vec![file.key.clone()],
            }],
            files: vec![file],
        }
    }

    #[test]
    fn a_manifest_reads_back() {
        let bytes = sample().to_bytes().expect("written");
        assert_eq!(Manifest::from_bytes(&bytes).expect("read"), sample());
    }

    #[test]
    fn every_flipped_or_missing_byte_is_damage() {
        let bytes = sample().to_bytes().expect("written");
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert_eq!(Manifest::from_bytes(&flipped).expect_err("flipped").kind(), Kind::Damaged, "byte {at}");
            assert_eq!(Manifest::from_bytes(&bytes[..at]).expect_err("cut").kind(), Kind::Damaged, "cut at {at}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_damage() {
        let twice = |manifest: &mut Manifest| manifest.files.push(manifest.files[0].clone());
        let other = |manifest: &mut Manifest| manifest.parts[0].files = vec!["parts/1".parse().expect("key")];
        let shared = |manifest: &mut Manifest| manifest.parts[0].files.push(manifest.files[0].key.clone());
        let same_name =
            |manifest: &mut Manifest| manifest.parts.push(StoredPart { files: vec![], ..manifest.parts[0].clone() });
        let ours = |manifest: &mut Manifest| manifest.files[0].key = "manifest.json".parse().expect("key");
        let huge = |manifest: &mut Manifest| manifest.files[0].size = u64::MAX;
        let half = |manifest: &mut Manifest| manifest.seal.encryption = Some("age".into());
        let nowhere = |manifest: &mut Manifest| {
            manifest.seal.encryption = Some("age".into());
            manifest.seal.details = Some("nowhere".parse().expect("key"));
        };
        let changes: [&dyn Fn(&mut Manifest); 8] = [&twice, &other, &shared, &same_name, &ours, &huge, &half, &nowhere];
        for (nth, change) in changes.iter().enumerate() {
            let mut manifest = sample();
            change(&mut manifest);
            manifest.sums = sums::file(&sums::render(&manifest.files));
            let error = Manifest::from_bytes(&manifest.to_bytes().expect("written")).expect_err("a contradiction");
            assert_eq!(error.kind(), Kind::Damaged, "change {nth}");
        }
        let mut manifest = sample();
        manifest.files[0].sha256 = Sha256::of("other");
        assert!(Manifest::from_bytes(&manifest.to_bytes().expect("written")).is_err(), "the sums do not fit");
    }

    #[test]
    fn a_newer_format_is_told_as_one() {
        let newer = Manifest { format: FORMAT + 1, ..sample() }.to_bytes().expect("written");
        let error = Manifest::from_bytes(&newer).expect_err("newer");
        assert_eq!(error.kind(), Kind::Failed);
        assert!(error.hint().is_some());
    }
}
