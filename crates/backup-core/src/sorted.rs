//! Entries in order, however many there are: sorted in memory, and in runs on disk where they do not fit.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How many bytes of entries are sorted in memory.
const RUN: usize = 8 << 20;
/// How much of a run is read at once, in bytes.
const AHEAD: usize = 16 << 10;

/// An entry: what it is in order of, and what goes with it.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Takes entries in any order: 8 MiB of them in memory, the rest in a file.
#[derive(Debug)]
pub struct Sorter<'a> {
    spill: &'a Path,
    most: usize,
    run: Vec<Entry>,
    bytes: usize,
    file: Option<File>,
    runs: Vec<(u64, u64)>,
    end: u64,
}

/// Gives them in order.
#[derive(Debug)]
pub struct Sorted {
    memory: std::vec::IntoIter<Entry>,
    file: Option<File>,
    runs: Vec<Run>,
    heads: BinaryHeap<Reverse<(Entry, usize)>>,
}

#[derive(Debug)]
struct Run {
    next: u64,
    end: u64,
    buffer: Vec<u8>,
    read: usize,
}

impl<'a> Sorter<'a> {
    /// What does not fit into memory is written to a file without a name in `spill`.
    pub fn new(spill: &'a Path) -> Self {
        Self { spill, most: RUN, run: Vec::new(), bytes: 0, file: None, runs: Vec::new(), end: 0 }
    }

    /// Takes an entry.
    pub fn push(&mut self, entry: Entry) -> io::Result<()> {
        self.bytes += entry.0.len() + entry.1.len() + 64;
        self.run.push(entry);
        if self.bytes > self.most { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> io::Result<()> {
        self.run.sort_unstable();
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile_in(self.spill)?,
        };
        let file = self.file.insert(file);
        let begin = self.end;
        let mut writer = BufWriter::with_capacity(64 << 10, &mut *file);
        for (key, rest) in self.run.drain(..) {
            for bytes in [&key, &rest] {
                writer.write_all(&u32::try_from(bytes.len()).map_err(io::Error::other)?.to_le_bytes())?;
                writer.write_all(bytes)?;
                self.end += 4 + bytes.len() as u64;
            }
        }
        writer.flush()?;
        self.runs.push((begin, self.end));
        self.bytes = 0;
        Ok(())
    }

    /// All were taken.
    pub fn finish(mut self) -> io::Result<Sorted> {
        if self.file.is_some() && !self.run.is_empty() {
            self.spill()?;
        }
        self.run.sort_unstable();
        let runs = self.runs.iter().map(|&(next, end)| Run { next, end, buffer: Vec::new(), read: 0 }).collect();
        let mut sorted = Sorted { memory: self.run.into_iter(), file: self.file, runs, heads: BinaryHeap::new() };
        for nth in 0..sorted.runs.len() {
            sorted.advance(nth)?;
        }
        Ok(sorted)
    }
}

impl Sorted {
    /// The next entry: of two that are equal one after the other, after the last none.
    #[expect(clippy::should_implement_trait, reason = "reading may fail, and is asked for with `?`")]
    pub fn next(&mut self) -> io::Result<Option<Entry>> {
        match self.heads.pop() {
            Some(Reverse((entry, nth))) => {
                self.advance(nth)?;
                Ok(Some(entry))
            }
            None => Ok(self.memory.next()),
        }
    }

    /// Puts the next entry of a run among the heads.
    fn advance(&mut self, nth: usize) -> io::Result<()> {
        let (Some(run), Some(file)) = (self.runs.get_mut(nth), &self.file) else { return Ok(()) };
        if run.is_at_end() {
            return Ok(());
        }
        let key = run.bytes(file)?;
        let rest = run.bytes(file)?;
        self.heads.push(Reverse(((key, rest), nth)));
        Ok(())
    }
}

impl Run {
    fn is_at_end(&self) -> bool {
        self.next == self.end && self.read == self.buffer.len()
    }

    fn bytes(&mut self, file: &File) -> io::Result<Vec<u8>> {
        let length = self.take(file, 4)?;
        let length: [u8; 4] = length.try_into().map_err(|_| io::ErrorKind::UnexpectedEof)?;
        self.take(file, u32::from_le_bytes(length) as usize)
    }

    fn take(&mut self, file: &File, mut length: usize) -> io::Result<Vec<u8>> {
        let mut taken = Vec::with_capacity(length);
        while length > 0 {
            if self.read == self.buffer.len() {
                let most = usize::try_from(self.end - self.next).unwrap_or(AHEAD).min(AHEAD);
                if most == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.buffer.resize(most, 0);
                file.read_exact_at(&mut self.buffer, self.next)?;
                self.next += most as u64;
                self.read = 0;
            }
            let some = self.buffer.get(self.read..).unwrap_or_default();
            let some = &some[..some.len().min(length)];
            taken.extend_from_slice(some);
            self.read += some.len();
            length -= some.len();
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_on_disk_are_no_different_from_memory(keys in proptest::collection::vec("[a-c/]{0,40}", 0..200), most in 64usize..4000) {
            let folder = tempfile::tempdir().expect("a folder");
            let mut sorter = Sorter::new(folder.path());
            sorter.most = most;
            let mut expected: Vec<Entry> = keys.iter().enumerate().map(|(nth, key)| (key.clone().into(), vec![7; nth * 300 % 40_000])).collect();
            for entry in &expected {
                sorter.push(entry.clone()).expect("pushed");
            }
            let mut sorted = sorter.finish().expect("sorted");
            let mut got = Vec::new();
            while let Some(entry) = sorted.next().expect("read") {
                got.push(entry);
            }
            expected.sort_unstable();
            prop_assert!(got == expected);
            prop_assert_eq!(folder.path().read_dir().expect("a folder").count(), 0);
        }
    }
}
