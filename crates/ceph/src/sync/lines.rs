//! The lines of a record, as they are written and read: JSON each, and a head that says what they are of.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use backup_core::{Doing, Error, Result};

use super::merge::Named;

/// The longest line, in bytes: a key has 1,024, and six for each where it is escaped.
const LONGEST: u64 = 16 << 10;

/// An object or file as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// What it is called at both ends.
    pub(super) name: String,
    /// Its size in bytes.
    pub(super) size: u64,
    /// What told its content at the source: an ETag, or the time of a file.
    pub(super) from: String,
    /// What tells at the destination whether it was changed since.
    pub(super) to: String,
}

impl Named for Written {
    fn name(&self) -> &str {
        &self.name
    }
}

/// A record that is being written. Dropped before its end, it counts as far as it goes.
///
/// Nothing is written as long as its lines are those of the old one, and nothing at all where that never ends.
#[derive(Debug)]
pub(super) struct Writer {
    lines: So,
    new: PathBuf,
    path: PathBuf,
}

/// What its lines were so far.
#[derive(Debug)]
enum So {
    /// Those of the old record, up to this byte.
    Old(BufReader<File>, u64),
    /// Others.
    New(BufWriter<File>),
}

impl Writer {
    /// Begins `new`, which is to take the place of `path`.
    pub(super) fn begin(new: PathBuf, path: PathBuf, head: &str) -> io::Result<Self> {
        let lines = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => So::New(BufWriter::new(File::create(&new)?)),
            old => So::Old(BufReader::new(old?), 0),
        };
        let mut writer = Self { lines, new, path };
        writer.write(&format!("{head}\n"))?;
        Ok(writer)
    }

    /// Adds a line. They come in byte order of their names.
    pub(super) fn push(&mut self, written: &Written) -> Result<()> {
        let Written { name, size, from, to } = written;
        let line = serde_json::to_string(&(name, size, from, to)).map_err(io::Error::from);
        line.and_then(|line| self.write(&(line + "\n"))).doing(|| "write the record of the sync")
    }

    /// Hands what was written to the system, so that it outlives this process.
    pub(super) fn flush(&mut self) -> Result<()> {
        match &mut self.lines {
            So::Old(..) => Ok(()),
            So::New(file) => file.flush().doing(|| "write the record of the sync"),
        }
    }

    /// Puts it in the place of the old one. That one stays, untouched, if it is the same.
    pub(super) fn finish(mut self) -> Result<()> {
        let mut finish = || {
            if let So::Old(old, _) = &mut self.lines
                && old.fill_buf()?.is_empty()
            {
                return Ok(());
            }
            let file = self.differs()?;
            file.flush()?;
            file.get_ref().sync_all()?;
            std::fs::rename(&self.new, &self.path)?;
            File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
        };
        finish().doing(|| "write the record of the sync")
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        if let So::Old(old, same) = &mut self.lines {
            let mut bytes = Vec::with_capacity(line.len());
            old.take(line.len() as u64).read_to_end(&mut bytes)?;
            if bytes == line.as_bytes() {
                *same += line.len() as u64;
                return Ok(());
            }
        }
        self.differs()?.write_all(line.as_bytes())
    }

    /// The new record, which begins with what the old one has of it.
    fn differs(&mut self) -> io::Result<&mut BufWriter<File>> {
        if let So::Old(old, same) = &mut self.lines {
            old.rewind()?;
            let mut file = BufWriter::new(File::create(&self.new)?);
            io::copy(&mut old.take(*same), &mut file)?;
            self.lines = So::New(file);
        }
        match &mut self.lines {
            So::New(file) => Ok(file),
            So::Old(..) => Err(io::Error::other("the record was begun twice")),
        }
    }
}

/// The lines of a record; none if there is no file.
pub(super) struct Lines {
    file: Option<BufReader<File>>,
    path: PathBuf,
}

impl Lines {
    pub(super) fn open(path: &Path, head: &str) -> Result<Self> {
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            file => Some(BufReader::new(file.doing(|| format!("open {}", path.display()))?)),
        };
        let mut lines = Self { file, path: path.to_owned() };
        if lines.file.is_some() && lines.line()?.as_deref() != Some(head) {
            return Err(lines.damaged());
        }
        Ok(lines)
    }

    pub(super) fn next(&mut self) -> Result<Option<Written>> {
        let Some(line) = self.line()? else { return Ok(None) };
        let (name, size, from, to) = serde_json::from_str(&line).map_err(|_| self.damaged())?;
        Ok(Some(Written { name, size, from, to }))
    }

    fn line(&mut self) -> Result<Option<String>> {
        let Some(file) = &mut self.file else { return Ok(None) };
        let mut line = Vec::new();
        file.by_ref().take(LONGEST).read_until(b'\n', &mut line).doing(|| format!("read {}", self.path.display()))?;
        match line.pop() {
            None => Ok(None),
            Some(b'\n') => String::from_utf8(line).map(Some).map_err(|_| self.damaged()),
            Some(_) => Err(self.damaged()),
        }
    }

    fn damaged(&self) -> Error {
        Error::damaged(format!("{}, the record of what was synced, is damaged", self.path.display()))
            .with_hint("remove it: what was written so far will then never be deleted by a sync")
    }
}
