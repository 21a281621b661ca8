//! Trees of dump files, one file a dump, as the backup container keeps them.

mod mark;
mod name;
#[cfg(test)]
mod tests;
mod tier;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_compression::tokio::bufread::{GzipDecoder, GzipEncoder};
use backup_core::{BackupId, Body, Depth, Directory, Doing, Entry, Error, Keep, Key, Kind, Put, Records, Result, Sink, State};
use backup_core::{Tally, Verdict, body, judge};
use futures_util::TryStreamExt;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use tokio::io::BufReader;

pub use mark::Mark;
use name::Style;
pub use tier::{Tier, Tiers};

/// How old a hidden file must be that nobody holds open before it is removed.
const DEAD: Duration = Duration::from_secs(60 * 60);

/// How far in the future a dump may be by its name without being one of a time to come: names have no seconds, or are taken.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);

/// How a tree is laid out and how much of it stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `2026-11-20/shop2026-11-20-10-15.sql.gz`, and the newest so many: the first generation.
    First(u32),
    /// `2026-11-20/pg-shop_2026-11-20_10-15-00.sql.gz`, and the newest so many: `BACKUP_STRATEGY=daily`.
    Dated(u32),
    /// `weekly/2026-11-20/pg-shop_2026-11-20_10-15-00.sql.gz`: `BACKUP_STRATEGY=rolling`.
    Rolling(Tiers),
}

/// A dump in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    /// Its time as an ID.
    pub id: BackupId,
    /// Where it lies, from the root of the tree on.
    pub key: Key,
    /// The tier whose folder it lies in.
    pub tier: Option<Tier>,
    /// Its size in bytes.
    pub size: u64,
    /// What is known of it.
    pub mark: Mark,
}

/// A tree of gzip files on this machine. Dumps of both generations, ours and those that were there before, are listed alike.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    sink: Directory,
    /// How new dumps are laid out.
    pub layout: Layout,
    /// Whose local time the names tell.
    pub zone: TimeZone,
}

impl Tree {
    /// The tree under `root`.
    pub fn new(root: &Path, layout: Layout, zone: TimeZone) -> Self {
        Self { root: root.to_owned(), sink: Directory::new(root), layout, zone }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Every dump of `core`, whose name its file has, oldest first.
    pub async fn list(&self, core: &str) -> Result<Vec<Dump>> {
        name::check(core)?;
        let doing = || format!("list the dumps of {core} in {}", self.root.display());
        let files = self.files(core).await.doing(doing)?;
        let marks = mark::read(&self.sink, files.iter().map(|(key, _)| key)).await.doing(doing)?;
        Ok(self.dumps(core, files, &marks))
    }

    /// The files that are dumps of `core`, with their sizes.
    async fn files(&self, core: &str) -> Result<Vec<(Key, u64)>> {
        let mut files = Vec::new();
        let root = Key::root();
        let mut tops = self.sink.list(&root, Depth::One);
        while let Some(top) = tops.try_next().await? {
            let Entry::Group(folder) = top else { continue };
            if folder.as_str() == mark::FOLDER {
                continue;
            }
            let mut entries = self.sink.list(&folder, Depth::All);
            while let Some(entry) = entries.try_next().await? {
                match entry {
                    Entry::Object(key, size) if self.place(core, &key).is_some() => files.push((key, size)),
                    _ => {}
                }
            }
        }
        Ok(files)
    }

    /// The dumps of `core` among `files`, oldest first.
    fn dumps(&self, core: &str, files: impl IntoIterator<Item = (Key, u64)>, marks: &BTreeMap<Key, Mark>) -> Vec<Dump> {
        let dump = |(key, size): (Key, u64)| {
            let (at, tier) = self.place(core, &key)?;
            let mark = marks.get(&key).cloned().map(|mark| match mark.size {
                // Another file than the one that was looked at.
                Some(marked) if marked != size => Mark { verified: None, proven: None, ..mark },
                _ => mark,
            });
            Some(Dump { id: BackupId::at(at), key, tier, size, mark: mark.unwrap_or_default() })
        };
        let mut dumps: Vec<Dump> = files.into_iter().filter_map(dump).collect();
        dumps.sort_by(|one, other| (one.id, &one.key).cmp(&(other.id, &other.key)));
        // Both generations may have written in the same minute: each dump has an ID of its own.
        let mut newest = None;
        for dump in &mut dumps {
            dump.id = BackupId::next(dump.id.time(), newest);
            newest = Some(dump.id);
        }
        dumps
    }

    /// When the dump at `key` was taken and in which tier it is, if it is one of `core`.
    fn place(&self, core: &str, key: &Key) -> Option<(Timestamp, Option<Tier>)> {
        let (folder, name) = key.as_str().rsplit_once('/')?;
        let at = [Style::Seconds, Style::Minutes].iter().find_map(|style| style.time(core, name, &self.zone))?;
        let (tier, day) = folder.rsplit_once('/').map_or((None, folder), |(tier, day)| (Some(tier), day));
        day.parse::<jiff::civil::Date>().ok()?;
        let tier = match tier {
            None => None,
            Some(name) => Some(Tiers::ALL.into_iter().find(|tier| tier.to_string() == name)?),
        };
        Some((at, tier))
    }

    /// Where a dump of `core` that is taken at `at` goes, in the tier of its day; `None` on a day that has none.
    fn key(&self, core: &str, at: &Zoned) -> Result<Option<Key>> {
        let day = at.strftime("%Y-%m-%d");
        let key = match self.layout {
            Layout::First(_) => format!("{day}/{}", Style::Minutes.name(core, at)),
            Layout::Dated(_) => format!("{day}/{}", Style::Seconds.name(core, at)),
            Layout::Rolling(tiers) => match tiers.tier(at) {
                Some(tier) => format!("{tier}/{day}/{}", Style::Seconds.name(core, at)),
                None => return Ok(None),
            },
        };
        key.parse().map(Some)
    }

    /// Where a dump that is taken at `now` goes if `taken` are there. By its name it is newer than each of them, but for those
    /// of a time to come: in the hour that is repeated when summer ends, names tell the time of the first.
    fn free(&self, core: &str, now: Timestamp, taken: &[Dump]) -> Result<Key> {
        let step = if matches!(self.layout, Layout::First(_)) { 1.minute() } else { 1.second() };
        let newest = taken.iter().map(|dump| dump.id.time()).filter(|time| time.duration_since(now) <= AHEAD).max();
        let mut at = now.to_zoned(self.zone.clone());
        loop {
            let none = || Error::failed(format!("no dump of {core} is due today: the tiers that would have it keep none"));
            let key = self.key(core, &at)?.ok_or_else(none)?;
            let older = newest.filter(|newest| self.place(core, &key).is_none_or(|(time, _)| time <= *newest));
            if older.is_none() && taken.iter().all(|dump| dump.key != key) {
                return Ok(key);
            }
            let clock = older.map_or(at.datetime(), |newest| self.zone.to_datetime(newest).max(at.datetime()));
            let next = clock.checked_add(step).and_then(|clock| self.zone.to_zoned(clock));
            at = next.doing(|| "find a free name")?;
        }
    }

    /// Whether a dump is due on the day of `now`.
    pub fn is_due(&self, now: Timestamp) -> bool {
        match self.layout {
            Layout::Rolling(tiers) => tiers.tier(&now.to_zoned(self.zone.clone())).is_some(),
            Layout::First(_) | Layout::Dated(_) => true,
        }
    }

    /// Stores `sql`, compressed, as the dump of `core` at `now`. It is visible once all of it is durable; nothing is replaced:
    /// if there is a dump of that minute or second already, it goes by a later one.
    pub async fn put(&self, core: &str, now: Timestamp, sql: Body) -> Result<(Key, Put)> {
        name::check(core)?;
        let taken = self.files(core).await.doing(|| format!("list the dumps of {core} in {}", self.root.display()))?;
        let key = self.free(core, now, &self.dumps(core, taken, &BTreeMap::new()))?;
        let zipped = body::sound(GzipEncoder::new(BufReader::with_capacity(body::CHUNK, sql)));
        let put = self.sink.put(&key, zipped).await.doing(|| format!("store {key} in {}", self.root.display()))?;
        Ok((key, put))
    }

    /// Opens a dump as it was before it was compressed, all members of the file one after another. Where gzip finds that they
    /// are not what was written, it ends in [`Kind::Damaged`].
    pub async fn get(&self, key: &Key) -> Result<Body> {
        self.get_tallied(key, &Tally::default()).await
    }

    /// The same; `tally` counts the bytes of the file itself.
    pub async fn get_tallied(&self, key: &Key, tally: &Tally) -> Result<Body> {
        let stored = tally.of(self.sink.get(key, None).await?);
        let mut decoder = GzipDecoder::new(BufReader::with_capacity(body::CHUNK, stored));
        decoder.multiple_members(true);
        let key = key.clone();
        Ok(body::worded(decoder, move |error| {
            let kind = match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Kind::Damaged,
                _ => Kind::Failed,
            };
            Error::new(kind, format!("failed to decompress {key}")).with_source(error)
        }))
    }

    /// Writes down what is known of a dump, instead of what was known before.
    pub async fn mark(&self, key: &Key, mark: &Mark) -> Result<()> {
        mark::write(&self.sink, key, mark).await
    }

    /// Judges the dumps of `core`: in each tier the newest so many stay, and whatever the numbers say, what is above all rules
    /// of [`judge`]. There is no verdict of dumps in folders that the layout does not have, which are left alone, and none of
    /// those of a time to come: a clock that was ahead has named them, and they take no other's place until then.
    pub fn judge(&self, dumps: &[Dump], now: Timestamp) -> Vec<Verdict> {
        let dumps: Vec<&Dump> = dumps.iter().filter(|dump| dump.id.time().duration_since(now) <= AHEAD).collect();
        let record = |dump: &&Dump| Records {
            verified: dump.mark.verified,
            proven: dump.mark.proven,
            damaged: dump.mark.damaged.is_some(),
            size: Some(dump.size),
            ..Records::new(dump.id, State::Listed)
        };
        let groups: Vec<(Option<Tier>, u32)> = match self.layout {
            Layout::First(count) | Layout::Dated(count) => vec![(None, count)],
            Layout::Rolling(tiers) => Tiers::ALL.map(|tier| (Some(tier), tiers.of(tier))).into(),
        };
        let mut verdicts = Vec::new();
        for (tier, count) in groups {
            let group: Vec<Records> = dumps.iter().filter(|dump| dump.tier == tier).map(record).collect();
            if count == 0 {
                continue;
            }
            let keep = Keep { last: count, ..Keep::default() };
            verdicts.extend(judge(&keep, now, &self.zone, &group));
        }
        verdicts
    }

    /// Deletes the dumps of `core` that [`judge`](Self::judge) lets go, and returns them.
    ///
    /// Whoever calls it has just taken and verified a dump: the numbers may only push out what something newer replaces.
    pub async fn cull(&self, core: &str, now: Timestamp) -> Result<Vec<Dump>> {
        self.cull_only(core, now, |_| true).await
    }

    /// The same of those alone that `may` go: what a person was shown before.
    pub async fn cull_only(&self, core: &str, now: Timestamp, may: impl Fn(&Dump) -> bool) -> Result<Vec<Dump>> {
        let gone = self.goes(core, &self.list(core).await?, now, may)?;
        for dump in &gone {
            self.delete(&dump.key).await?;
        }
        // What runs that were killed have left, and no listing shows.
        self.sink.sweep(&Key::root(), DEAD).await?;
        Ok(gone)
    }

    /// Those of `dumps` that may go and that a cull deletes; fails if none would stay that is known to be good.
    fn goes(&self, core: &str, dumps: &[Dump], now: Timestamp, may: impl Fn(&Dump) -> bool) -> Result<Vec<Dump>> {
        let verdicts = self.judge(dumps, now);
        let goes = |dump: &Dump| may(dump) && verdicts.iter().any(|verdict| verdict.id == dump.id && !verdict.keep);
        let gone: Vec<Dump> = dumps.iter().filter(|dump| goes(dump)).cloned().collect();
        let sound = |dump: &&Dump| dump.mark.damaged.is_none() && dump.mark.verified.is_some();
        let stays = dumps.iter().rev().find(sound).is_some_and(|newest| !goes(newest));
        if !gone.is_empty() && !stays {
            return Err(Error::failed(format!("no dump of {core} would stay that is known to be good, so nothing goes"))
                .with_hint("verify the newest one first"));
        }
        Ok(gone)
    }

    /// Deletes a dump, then what was known of it.
    pub async fn delete(&self, key: &Key) -> Result<()> {
        self.sink.delete(key).await.doing(|| format!("delete {key}"))?;
        mark::forget(&self.sink, key).await
    }
}
