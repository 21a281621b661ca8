//! What a sync wrote from which source: only that may it ever delete.
//!
//! A record is a file of lines in byte order of their names, JSON each. It lies in the folder that is synced, under
//! `.ceph-backup`, and travels with it; for a bucket in a folder of this machine. Whoever has no record can copy all the same,
//! and deletes nothing.
//!
//! A run writes a new one beside it as it goes, and puts it in the place of the old at its end. After one that died or gave up, what
//! its new record has counts up to its last whole line, and beside it what the old one has of other names. The new one is begun with
//! its first line that differs, and with all before it: a run that changes nothing leaves the old record as it is, which that of the
//! run before has brought to disk.
//!
//! What holds of a run that dies at any moment: a line is written only of what was stored whole, and lines come in order, so that up
//! to 512 objects that are stored may have none. Such an object is there and whole, and the next run finds it the same and copies
//! nothing. Since no line says that a sync wrote it, no sync will delete it: a line that is missing never deletes, it keeps. A line that
//! is left of something that has changed or gone since does nothing either, as size and mark are compared before each deletion.

use std::fs::File;
use std::path::{Path, PathBuf};

use backup_core::{Doing, Error, Kind, Result, Sha256};
use futures_util::stream::BoxStream;
use rustix::fs::FlockOperation;

use super::lines::{Lines, Writer, Written};
use super::streamed::streamed;

/// The record of one source at one destination, held by one run at a time.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    head: String,
    _lock: File,
}

impl Record {
    /// Opens the record in `folder`, which is made, of what was written from `from` to `to`. [`Kind::Busy`] where another run has it.
    pub(super) fn open(folder: &Path, from: &str, to: &str) -> Result<Self> {
        let doing = || format!("open the record of the sync in {}", folder.display());
        std::fs::create_dir_all(folder).doing(doing)?;
        let head = serde_json::json!({ "format": 1, "from": from, "to": to }).to_string();
        let path = folder.join(Sha256::of(&head).to_string().get(..16).unwrap_or_default());
        let lock = File::create(path.with_extension("lock")).doing(doing)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Error::new(Kind::Busy, format!("another sync from {from} runs")).with_hint("wait for its end"));
            }
            locked => locked.doing(doing)?,
        }
        let record = Self { path, head, _lock: lock };
        record.fold().doing(doing)?;
        Ok(record)
    }

    /// What was written, in byte order of the names. A line that cannot be read is [`Kind::Damaged`].
    pub(super) fn written(&self) -> BoxStream<'static, Result<Written>> {
        let (path, head) = (self.file("record"), self.head.clone());
        let mut lines = None;
        streamed(move || {
            let lines = match &mut lines {
                Some(lines) => lines,
                none => none.insert(Lines::open(&path, &head)?),
            };
            lines.next()
        })
    }

    /// Begins a new record.
    pub(super) fn begin(&self) -> Result<Writer> {
        Writer::begin(self.file("new"), self.file("record"), &self.head).doing(|| "begin the record of the sync")
    }

    /// What tells it from other records in the same folder.
    pub(super) fn id(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.path.with_extension(extension)
    }

    /// Makes one record of the old one and of what a run that died has begun.
    fn fold(&self) -> Result<()> {
        let (new, path) = (self.file("new"), self.file("record"));
        if !new.try_exists().doing(|| "look for an older run")? {
            return Ok(());
        }
        let begun = Writer::begin(self.file("folded"), path.clone(), &self.head);
        let mut writer = begun.doing(|| "fold the record of an older run")?;
        let mut last = String::new();
        let mut old = Lines::open(&path, &self.head)?;
        let mut before = old.next()?;
        // Where its last line broke off, it ends.
        if let Ok(mut lines) = Lines::open(&new, &self.head) {
            while let Ok(Some(written)) = lines.next() {
                if written.name <= last && !last.is_empty() {
                    break;
                }
                while let Some(other) = before.take_if(|other| other.name <= written.name) {
                    if other.name < written.name {
                        writer.push(&other)?;
                    }
                    before = old.next()?;
                }
                writer.push(&written)?;
                last = written.name;
            }
        }
        while let Some(other) = before {
            writer.push(&other)?;
            before = old.next()?;
        }
        writer.finish()?;
        std::fs::remove_file(&new).doing(|| "remove the record of an older run")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::MetadataExt;

    use futures_util::TryStreamExt;
    use proptest::prelude::*;

    use super::*;

    fn written(name: &str, to: &str) -> Written {
        Written { name: name.to_owned(), size: 1, from: "e".to_owned(), to: to.to_owned() }
    }

    fn read(record: &Record) -> Result<Vec<Written>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(record.written().try_collect())
    }

    #[test]
    fn what_was_written_is_read_again_whatever_it_is_called() {
        let folder = tempfile::tempdir().expect("a folder");
        let record = Record::open(folder.path(), "s3://a/", "").expect("opened");
        assert_eq!(read(&record).expect("read"), []);
        let lines = ["\n", "a\"b\\", "ä", "\u{10ffff}"].map(|name| written(name, "1"));
        let mut writer = record.begin().expect("begun");
        lines.iter().for_each(|line| writer.push(line).expect("written"));
        assert_eq!(read(&record).expect("read"), [], "not before its end");
        writer.finish().expect("finished");
        assert_eq!(read(&record).expect("read"), lines);
        let other = Record::open(folder.path(), "s3://b/", "").expect("another source");
        assert_eq!(read(&other).expect("read"), [], "each source has its own");
    }

    fn write(record: &Record, lines: &BTreeMap<String, String>) -> Writer {
        let mut writer = record.begin().expect("begun");
        lines.iter().for_each(|(name, to)| writer.push(&written(name, to)).expect("written"));
        writer
    }

    proptest! {
        #[test]
        fn a_record_is_what_was_written_last_and_the_same_file_if_that_is_the_same(
            lists in proptest::collection::vec(proptest::collection::btree_map("[a-c]{1,2}", "[0-2]", 0..6), 1..5), die: bool,
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let mut record = Record::open(folder.path(), "s3://a/", "").expect("opened");
            let inode = |record: &Record| std::fs::metadata(record.file("record")).ok().map(|found| found.ino());
            let mut before: Option<BTreeMap<String, String>> = None;
            for list in lists {
                let (there, writer) = (inode(&record), write(&record, &list));
                let is_same = before.as_ref() == Some(&list);
                let expected = if die {
                    // The lines of other names stay.
                    drop(writer);
                    drop(record);
                    record = Record::open(folder.path(), "s3://a/", "").expect("opened again");
                    before.take().into_iter().flatten().chain(list).collect()
                } else {
                    writer.finish().expect("finished");
                    list
                };
                let found: BTreeMap<_, _> = read(&record).expect("read").into_iter().map(|line| (line.name, line.to)).collect();
                prop_assert_eq!(&found, &expected);
                prop_assert!(!record.file("new").exists());
                prop_assert!(!is_same || inode(&record) == there, "it was written anew");
                before = Some(expected);
            }
        }
    }

    #[test]
    fn a_run_that_died_counts_as_far_as_it_went() {
        // Wherever its new record breaks off.
        let mut cuts = 0;
        for cut in 0.. {
            let folder = tempfile::tempdir().expect("a folder");
            let record = Record::open(folder.path(), "s3://a/", "").expect("opened");
            let mut writer = record.begin().expect("begun");
            ["a", "b", "d"].iter().for_each(|name| writer.push(&written(name, "old")).expect("written"));
            writer.finish().expect("finished");
            let mut writer = record.begin().expect("begun");
            // b was not seen at either end.
            ["a", "c"].iter().for_each(|name| writer.push(&written(name, "new")).expect("written"));
            drop(writer);
            let new = std::fs::read(record.file("new")).expect("a file");
            if cut > new.len() {
                break;
            }
            std::fs::write(record.file("new"), &new[..cut]).expect("cut");
            drop(record);
            let record = Record::open(folder.path(), "s3://a/", "").expect("opened again");
            let names: Vec<_> = read(&record).expect("read").into_iter().map(|line| line.name + &line.to).collect();
            let whole = new[..cut].iter().filter(|byte| **byte == b'\n').count();
            let expected: &[&str] = match whole {
                0 | 1 => &["aold", "bold", "dold"],
                2 => &["anew", "bold", "dold"],
                _ => &["anew", "bold", "cnew", "dold"],
            };
            assert_eq!(names, expected, "cut at {cut}");
            assert!(!record.file("new").exists());
            cuts += 1;
        }
        assert!(cuts > 60);
    }

    #[test]
    fn a_damaged_record_is_an_error_and_no_shorter_record() {
        let folder = tempfile::tempdir().expect("a folder");
        let record = Record::open(folder.path(), "s3://a/", "").expect("opened");
        let mut writer = record.begin().expect("begun");
        ["a", "b"].iter().for_each(|name| writer.push(&written(name, "1")).expect("written"));
        writer.finish().expect("finished");
        let whole = std::fs::read(record.file("record")).expect("a file");
        for bytes in [&whole[..whole.len() - 1], &whole[1..], b"{}\n", &vec![b'x'; 99_999], b"\xff\n"] {
            std::fs::write(record.file("record"), bytes).expect("damaged");
            assert_eq!(read(&record).expect_err("damaged").kind(), Kind::Damaged);
        }
    }

    #[test]
    fn one_run_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let _first = Record::open(folder.path(), "s3://a/", "").expect("opened");
        assert_eq!(Record::open(folder.path(), "s3://a/", "").expect_err("held").kind(), Kind::Busy);
    }
}
