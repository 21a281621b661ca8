//! What is known of each dump in a tree: a small file each in the folder `records`, which the container never looks into.

use std::collections::{BTreeMap, BTreeSet};

use backup_core::{Depth, Doing, Entry, Facts, Key, Kind, Result, Sha256, Sink, body};
use futures_util::TryStreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is known of a dump. Nothing, for one that somebody else has written and nobody has read since.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mark {
    /// The file's size in bytes when it was written or first verified. A file of another size is neither verified nor proven.
    pub size: Option<u64>,
    /// The digest of the file's bytes, from the same time.
    pub sha256: Option<Sha256>,
    /// When it was last read to its end and found whole.
    pub verified: Option<Timestamp>,
    /// When it was last restored and looked at.
    pub proven: Option<Timestamp>,
    /// In what it is damaged, if it was found so.
    pub damaged: Option<String>,
    /// What was counted while it was written.
    pub facts: Facts,
}

/// A mark as it lies in its file.
#[derive(Serialize, Deserialize)]
struct Stored {
    file: Key,
    at: Timestamp,
    #[serde(flatten)]
    mark: Mark,
}

/// The folder that marks lie in.
pub(super) const FOLDER: &str = "records";

/// The most that is read of a mark, in bytes.
const LONGEST: u64 = 1 << 20;

/// The newest mark of each of `files`. One that cannot be understood counts for nothing.
pub(super) async fn read(sink: &dyn Sink, files: impl Iterator<Item = &Key>) -> Result<BTreeMap<Key, Mark>> {
    let stems: BTreeSet<String> = files.map(stem).collect();
    let mut newest: BTreeMap<Key, Stored> = BTreeMap::new();
    for key in keys(sink).await? {
        // A tree has the marks of many databases, and each of them is listed in turn.
        if !key.file_name().split_once('-').is_some_and(|(stem, _)| stems.contains(stem)) {
            continue;
        }
        let text = match sink.get(&key, None).await {
            Ok(body) => body::to_vec(body, LONGEST).await,
            // Another process has put a newer one in its place.
            Err(error) if error.kind() == Kind::NotFound => continue,
            Err(error) => Err(error),
        };
        let Ok(stored) = serde_json::from_slice::<Stored>(&text?) else { continue };
        if newest.get(&stored.file).is_none_or(|other| other.at < stored.at) {
            newest.insert(stored.file.clone(), stored);
        }
    }
    Ok(newest.into_iter().map(|(file, stored)| (file, stored.mark)).collect())
}

/// Puts a mark beside the older ones of the same dump, then removes those.
pub(super) async fn write(sink: &dyn Sink, file: &Key, mark: &Mark) -> Result<()> {
    let doing = || format!("write down what is known of {file}");
    let older = of(sink, file).await?;
    let at = Timestamp::now();
    let stored = Stored { file: file.clone(), at, mark: mark.clone() };
    let key: Key = format!("{FOLDER}/{}-{}.json", stem(file), at.as_nanosecond()).parse()?;
    let json = serde_json::to_vec(&stored).doing(doing)?;
    sink.put(&key, body::from_bytes(json)).await.doing(doing)?;
    for key in older {
        sink.delete(&key).await?;
    }
    Ok(())
}

/// Removes every mark of a dump.
pub(super) async fn forget(sink: &dyn Sink, file: &Key) -> Result<()> {
    for key in of(sink, file).await? {
        sink.delete(&key).await?;
    }
    Ok(())
}

/// The file's name would make the container take the mark for a dump.
fn stem(file: &Key) -> String {
    Sha256::of(file.as_str()).to_string().chars().take(24).collect()
}

async fn of(sink: &dyn Sink, file: &Key) -> Result<Vec<Key>> {
    let prefix = format!("{}-", stem(file));
    Ok(keys(sink).await?.into_iter().filter(|key| key.file_name().starts_with(&prefix)).collect())
}

async fn keys(sink: &dyn Sink) -> Result<Vec<Key>> {
    let folder: Key = FOLDER.parse()?;
    let entries = sink
        .list(&folder, Depth::One)
        .try_filter_map(async |entry| Ok(if let Entry::Object(key, _) = entry { Some(key) } else { None }));
    entries.try_collect().await
}
