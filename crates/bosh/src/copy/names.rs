//! The paths that are asked of `tar`, on disk: one reader feeds it, another one knows what is to come back.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use backup_core::{Body, body};

/// A list that is being written.
#[derive(Debug)]
pub(super) struct Names(BufWriter<File>);

/// A list that is whole. Clones share its file.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    file: Arc<File>,
    is_empty: bool,
}

/// The paths of a list, one after the other.
#[derive(Debug)]
pub(super) struct Paths<'a>(BufReader<At<'a>>);

#[derive(Debug)]
struct At<'a> {
    file: &'a File,
    next: u64,
}

impl Names {
    /// An empty list, in a file without a name in the file system of `folder`.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        Ok(Self(BufWriter::with_capacity(64 * 1024, tempfile::tempfile_in(folder)?)))
    }

    pub(super) fn push(&mut self, path: &[u8]) -> io::Result<()> {
        // No path is an option then, whatever the version of tar.
        self.0.write_all(b"./")?;
        self.0.write_all(path)?;
        self.0.write_all(&[0])
    }

    pub(super) fn finish(self) -> io::Result<Asked> {
        let mut file = self.0.into_inner()?;
        let is_empty = file.stream_position()? == 0;
        file.rewind()?;
        Ok(Asked { file: Arc::new(file), is_empty })
    }
}

impl Asked {
    pub(super) fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// For `tar --null --files-from=-`. To be taken once.
    pub(super) fn body(&self) -> io::Result<Body> {
        Ok(body::sound(tokio::fs::File::from_std(self.file.try_clone()?)))
    }

    pub(super) fn paths(&self) -> Paths<'_> {
        Paths(BufReader::with_capacity(64 * 1024, At { file: &self.file, next: 0 }))
    }
}

impl Paths<'_> {
    /// The next path.
    pub(super) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut path = Vec::new();
        if self.0.read_until(0, &mut path)? == 0 {
            return Ok(None);
        }
        path.pop();
        Ok(Some(path.split_off(2)))
    }
}

impl io::Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(buffer, self.next)?;
        self.next += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_readers_have_all_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut names = Names::new(folder.path()).expect("made");
        let paths: [&[u8]; 4] = [b"", b"-a/\n", b"\xff", &[b'x'; 70_000]];
        for path in paths {
            names.push(path).expect("pushed");
        }
        let asked = names.finish().expect("written");
        let body = asked.body().expect("a body");
        let mut read = asked.paths();
        for path in paths {
            assert_eq!(read.next().expect("read").as_deref(), Some(path));
        }
        assert_eq!(read.next().expect("read"), None);
        let fed = body::to_vec(body, u64::MAX).await.expect("whole");
        assert_eq!(fed, [b"./\0./-a/\n\0./\xff\0./".as_slice(), &[b'x'; 70_000], b"\0"].concat());
        assert!(!asked.is_empty() && Names::new(folder.path()).expect("made").finish().expect("written").is_empty());
    }
}
