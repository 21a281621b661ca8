//! Which archives go, and their removal.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use backup_core::{BackupId, Context, Doing, Keep, Kind, Reason, Records, Result, State, judge};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::draft::folder_of;
use super::{Listed, list, manifest_of, verify};

/// What becomes of an archive, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Where it lies.
    pub path: PathBuf,
    /// When what is in it was whole.
    pub at: Timestamp,
    /// Whether it stays.
    pub keep: bool,
    /// Why: at least one.
    pub reasons: Vec<Reason>,
}

/// Judges the archives of `director` in `folder` by [`judge`], the oldest first.
///
/// The newest is read to its end first, and one that is damaged takes the place of no other: then the one before it is read, until one
/// is whole. Archives without a manifest, as of microbosh-simple-backup, and those of other directors are not judged and stay. A
/// manifest that cannot be read is an error, as is an archive: nothing should go then.
pub async fn judged(
    cx: &Context,
    folder: &Path,
    director: &str,
    keep: &Keep,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<Vec<Judged>> {
    let (mut listed, mut records): (BTreeMap<BackupId, (PathBuf, Timestamp)>, Vec<Records>) = Default::default();
    for Listed { path, size, at, manifest } in list(folder)? {
        let manifest =
            manifest.map_err(|error| error.with_hint("nothing is deleted while it is there: look at it, then move it away"))?;
        let Some(manifest) = manifest.filter(|manifest| manifest.director == director) else { continue };
        let id = BackupId::next(at, listed.keys().next_back().copied());
        records.push(Records { damaged: manifest.size != size, size: Some(size), ..Records::new(id, State::Listed) });
        listed.insert(id, (path, at));
    }
    for record in records.iter_mut().rev().filter(|record| !record.damaged) {
        let Some((path, _)) = listed.get(&record.id) else { continue };
        match verify(cx, path).await {
            Ok(_) => {
                record.verified = Some(now);
                break;
            }
            Err(error) if error.kind() == Kind::Damaged => record.damaged = true,
            Err(error) => return Err(error),
        }
    }
    let judged = judge(keep, now, zone, &records).into_iter().filter_map(|verdict| {
        let (path, at) = listed.remove(&verdict.id)?;
        Some(Judged { path, at, keep: verdict.keep, reasons: verdict.reasons })
    });
    Ok(judged.collect())
}

/// Removes an archive, then its manifest: a manifest alone is taken for nothing, an archive alone for one that is not to be judged.
pub fn remove(archive: &Path) -> Result<()> {
    let remove = || -> io::Result<()> {
        fs::remove_file(archive)?;
        match fs::remove_file(manifest_of(archive)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        File::open(folder_of(archive))?.sync_all()
    };
    remove().doing(|| format!("remove the archive {}", archive.display()))
}
