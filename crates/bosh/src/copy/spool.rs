//! Records on disk in the order in which they came, so that long lists take no memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How much is written and read at once, in bytes.
const AT_ONCE: usize = 64 * 1024;

/// A file without a name. What was pushed can be read while more is pushed.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    /// What is not in the file yet, and where it goes.
    pending: Vec<u8>,
    end: u64,
    /// What was read of the file and not taken yet; where it goes on.
    ahead: Vec<u8>,
    taken: usize,
    next: u64,
}

impl Spool {
    /// An empty one, in the file system of `folder`.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(folder)?;
        Ok(Self { file, pending: Vec::new(), end: 0, ahead: Vec::new(), taken: 0, next: 0 })
    }

    pub(super) fn push(&mut self, fields: &[&[u8]]) -> io::Result<()> {
        for field in fields {
            self.pending.extend(u32::try_from(field.len()).map_err(io::Error::other)?.to_le_bytes());
            self.pending.extend_from_slice(field);
        }
        if self.pending.len() > AT_ONCE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.pending, self.end)?;
        self.end += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// The next field that was pushed and not read yet.
    pub(super) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.taken == self.ahead.len() && self.next == self.end {
            self.flush()?;
            if self.next == self.end {
                return Ok(None);
            }
        }
        let length = self.take(4)?.try_into().map_err(|_| io::ErrorKind::UnexpectedEof)?;
        self.take(u32::from_le_bytes(length) as usize).map(Some)
    }

    /// The next two fields.
    pub(super) fn pair(&mut self) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        match (self.next()?, self.next()?) {
            (Some(first), Some(second)) => Ok(Some((first, second))),
            _ => Ok(None),
        }
    }

    fn take(&mut self, mut length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length);
        while length > 0 {
            if self.taken == self.ahead.len() {
                if self.next == self.end {
                    self.flush()?;
                }
                let most = usize::try_from(self.end - self.next).unwrap_or(AT_ONCE).min(AT_ONCE);
                if most == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.ahead.resize(most, 0);
                self.file.read_exact_at(&mut self.ahead, self.next)?;
                self.next += most as u64;
                self.taken = 0;
            }
            let some = self.ahead.get(self.taken..).unwrap_or_default();
            let some = some.get(..some.len().min(length)).unwrap_or_default();
            bytes.extend_from_slice(some);
            self.taken += some.len();
            length -= some.len();
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_pushed_is_read_in_order_also_in_between(steps in proptest::collection::vec(proptest::option::of(0usize..40_000), 0..60)) {
            let folder = tempfile::tempdir().expect("a folder");
            let mut spool = Spool::new(folder.path()).expect("made");
            let mut expected = std::collections::VecDeque::new();
            for step in steps.into_iter().chain(std::iter::repeat_n(None, 61)) {
                match step {
                    Some(length) => {
                        let field = vec![length as u8; length];
                        spool.push(&[&field]).expect("pushed");
                        expected.push_back(field);
                    }
                    None => prop_assert_eq!(spool.next().expect("read"), expected.pop_front()),
                }
            }
            prop_assert!(expected.is_empty());
            prop_assert_eq!(folder.path().read_dir().expect("a folder").count(), 0);
        }
    }
}
