//! What a copy saw of the files, written down for the next one.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use backup_core::{Error, Result};
use tempfile::NamedTempFile;

use super::entry::{Entry, Time};

const MAGIC: &[u8; 20] = b"copy of backup-bosh\x01";
/// The longest field, in bytes: longer than any path or target.
const LONGEST: u32 = 16 * 1024;

/// A file as a copy saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) entry: Entry,
    /// Another file system began there.
    pub(super) is_mount: bool,
}

/// A record, read file by file, in order.
#[derive(Debug)]
pub(super) struct Record {
    /// When the copy began, on the clock of the host.
    pub(super) since: Time,
    reader: BufReader<File>,
    path: PathBuf,
    next: Option<(Vec<u8>, Recorded)>,
    last: Option<Vec<u8>>,
}

/// A record in the making; dropped, it is as if it never was.
#[derive(Debug)]
pub(super) struct Writer {
    writer: BufWriter<NamedTempFile>,
    path: PathBuf,
}

impl Record {
    /// Opens the record at `path`; `None` if there is none. One that cannot be understood is
    /// [`Kind::Damaged`](backup_core::Kind::Damaged), also where that shows later.
    pub(super) fn open(path: &Path) -> Result<Option<Self>> {
        let told = |error: io::Error| told("read", path, error);
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(told)?,
        };
        let mut reader = BufReader::with_capacity(64 * 1024, file);
        let mut magic = [0; MAGIC.len()];
        let mut since = [0; 12];
        reader.read_exact(&mut magic).and_then(|()| reader.read_exact(&mut since)).map_err(told)?;
        if magic != *MAGIC {
            return Err(damaged(path));
        }
        let (seconds, nanos) = since.split_at(8);
        let (Ok(seconds), Ok(nanos)) = (seconds.try_into(), nanos.try_into()) else { return Err(damaged(path)) };
        let since = Time { seconds: i64::from_le_bytes(seconds), nanos: u32::from_le_bytes(nanos) };
        let mut record = Self { since, reader, path: path.to_owned(), next: None, last: None };
        record.advance()?;
        Ok(Some(record))
    }

    /// The next file if its key is not behind `key`; those before `key` that nobody asked for come one by one.
    pub(super) fn up_to(&mut self, key: &[u8]) -> Result<Option<(Vec<u8>, Recorded)>> {
        match &self.next {
            Some((next, _)) if next.as_slice() <= key => {
                let next = self.next.take();
                self.advance()?;
                Ok(next)
            }
            _ => Ok(None),
        }
    }

    /// What is left.
    pub(super) fn rest(&mut self) -> Result<Option<(Vec<u8>, Recorded)>> {
        let next = self.next.take();
        if next.is_some() {
            self.advance()?;
        }
        Ok(next)
    }

    fn advance(&mut self) -> Result<()> {
        let path = self.path.clone();
        let Some(key) = self.field().map_err(|error| told("read", &path, error))? else { return Ok(()) };
        let bytes = self.field().map_err(|error| told("read", &path, error))?;
        let recorded = bytes.as_deref().and_then(|bytes| {
            let (flag, entry) = bytes.split_first()?;
            Some(Recorded { entry: Entry::from_bytes(entry)?, is_mount: *flag == 1 })
        });
        match recorded {
            Some(recorded) if self.last.as_ref().is_none_or(|last| *last < key) => {
                self.last = Some(key.clone());
                self.next = Some((key, recorded));
                Ok(())
            }
            _ => Err(damaged(&path)),
        }
    }

    /// `None` is the end that was written on purpose.
    fn field(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut length = [0; 4];
        self.reader.read_exact(&mut length)?;
        match u32::from_le_bytes(length) {
            u32::MAX => Ok(None),
            length if length > LONGEST => Err(io::ErrorKind::InvalidData.into()),
            length => {
                let mut field = vec![0; length as usize];
                self.reader.read_exact(&mut field)?;
                Ok(Some(field))
            }
        }
    }
}

impl Writer {
    /// Begins a record that will be at `path`, of a copy that began at `since`.
    pub(super) fn new(path: &Path, since: Time) -> Result<Self> {
        let told = |error: io::Error| told("write", path, error);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut writer = BufWriter::with_capacity(64 * 1024, NamedTempFile::new_in(folder).map_err(told)?);
        let since = [since.seconds.to_le_bytes().as_slice(), &since.nanos.to_le_bytes()].concat();
        writer.write_all(MAGIC).and_then(|()| writer.write_all(&since)).map_err(told)?;
        Ok(Self { writer, path: path.to_owned() })
    }

    /// Adds a file; they come in order.
    pub(super) fn push(&mut self, key: &[u8], recorded: &Recorded) -> Result<()> {
        let entry = [&[u8::from(recorded.is_mount)], recorded.entry.to_bytes().as_slice()].concat();
        let mut write = |field: &[u8]| {
            let length =
                u32::try_from(field.len()).ok().filter(|length| *length <= LONGEST).ok_or(io::ErrorKind::InvalidInput)?;
            self.writer.write_all(&length.to_le_bytes())?;
            self.writer.write_all(field)
        };
        write(key).and_then(|()| write(&entry)).map_err(|error| told("write", &self.path, error))
    }

    /// Puts it in the place of the one before, on disk.
    pub(super) fn commit(mut self) -> Result<()> {
        let path = self.path;
        let commit = || {
            self.writer.write_all(&u32::MAX.to_le_bytes())?;
            let file = self.writer.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder)?.sync_all()
        };
        commit().map_err(|error| told("write", &path, error))
    }
}

fn told(verb: &str, path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => damaged(path),
        _ => Error::failed(format!("failed to {verb} the record of the copy, {}", path.display())).with_source(error),
    }
}

fn damaged(path: &Path) -> Error {
    Error::damaged(format!("the record of the copy, {}, cannot be understood", path.display())).with_hint(
        "remove it, and the cache if it may be damaged too: without a record files are compared by size and time alone",
    )
}

#[cfg(test)]
mod tests {
    use backup_core::Kind;

    use super::super::entry::Type;
    use super::*;

    fn recorded(inode: u64) -> Recorded {
        let (modified, changed) = (Time { seconds: 1, nanos: 2 }, Time { seconds: -3, nanos: 4 });
        let (kind, size, mode, owner, group, device, names) = (Type::Symlink, 9, 0o777, 1, 2, 8, 1);
        let entry = Entry { kind, size, mode, owner, group, modified, changed, inode, device, names, target: b"x".to_vec() };
        Recorded { entry, is_mount: inode % 2 == 1 }
    }

    type Files = Vec<(Vec<u8>, Recorded)>;

    fn all(path: &Path) -> Result<Option<Files>> {
        let Some(mut record) = Record::open(path)? else { return Ok(None) };
        let mut all = Files::new();
        while let Some(next) = record.rest()? {
            all.push(next);
        }
        Ok(Some(all))
    }

    #[test]
    fn what_is_written_is_read_and_anything_less_is_damaged() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record");
        assert_eq!(all(&path).expect("none"), None);
        let files: Files = [&b""[..], b"a", b"a\0b", b"b\xff"]
            .into_iter()
            .zip(0..)
            .map(|(key, inode)| (key.to_vec(), recorded(inode)))
            .collect();
        let since = Time { seconds: 77, nanos: 5 };
        let mut writer = Writer::new(&path, since).expect("begun");
        for (key, recorded) in &files {
            writer.push(key, recorded).expect("pushed");
        }
        assert!(!path.exists(), "it is not there before it is whole");
        writer.commit().expect("written");
        assert_eq!(all(&path).expect("read"), Some(files.clone()));
        let mut record = Record::open(&path).expect("read").expect("there");
        assert_eq!(record.since, since);
        assert_eq!(record.up_to(b"a").expect("read").map(|(key, _)| key), Some(b"".to_vec()));
        assert_eq!(record.up_to(b"a").expect("read"), Some(files[1].clone()));
        assert_eq!(record.up_to(b"a").expect("read"), None);

        let whole = std::fs::read(&path).expect("read");
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).expect("written");
            assert_eq!(all(&path).expect_err("it is cut").kind(), Kind::Damaged, "{length}");
        }
        drop(Writer::new(&path, since).expect("begun"));
        assert_eq!(folder.path().read_dir().expect("a folder").count(), 1, "a record that was dropped leaves nothing");
    }
}
