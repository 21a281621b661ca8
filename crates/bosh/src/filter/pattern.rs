//! What of a path a pattern is compared with.

use super::glob::Glob;

/// One pattern of a [`Filter`](super::Filter).
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    with: With,
    folders_only: bool,
    /// It ends in `***`: a folder is compared as if its path ended in `/`.
    with_folder: bool,
    glob: Glob,
}

#[derive(Debug, Clone, Copy)]
enum With {
    /// The whole path.
    Path,
    /// The whole path behind a `/`.
    Rooted,
    /// So many names at its end.
    Last(usize),
    /// The whole path, and each end of it behind a `/`.
    Ends,
}

impl Pattern {
    /// The pattern in a line; any bytes are one.
    pub(super) fn new(text: &[u8]) -> Self {
        let (text, folders_only) = match text {
            [text @ .., b'/'] if !text.is_empty() => (text, true),
            text => (text, false),
        };
        let is_wild = text.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['));
        let crosses = text.windows(2).any(|two| two == b"**");
        let slashes = text.iter().filter(|byte| **byte == b'/').count();
        let (with, glob) = match text {
            [b'/', rest @ ..] => (With::Path, rest),
            [b'*', b'*', ..] => (With::Rooted, text),
            _ if crosses => (With::Ends, text),
            _ => (With::Last(slashes + 1), text),
        };
        let glob = if is_wild { Glob::new(glob) } else { Glob::exactly(glob) };
        Self { with, folders_only, with_folder: text.ends_with(b"***"), glob }
    }

    /// Whether it fits what lies at `path`.
    pub(super) fn fits(&self, path: &[u8], is_folder: bool) -> bool {
        if self.folders_only && !is_folder {
            return false;
        }
        let end: &[u8] = if is_folder && self.with_folder { b"/" } else { b"" };
        match self.with {
            With::Path => self.glob.fits(&[path, end]),
            With::Rooted => self.glob.fits(&[b"/", path, end]),
            With::Last(names) => last(path, names).is_some_and(|names| self.glob.fits(&[names])),
            With::Ends => {
                let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').filter_map(|(at, _)| path.get(at + 1..));
                std::iter::once(path).chain(ends).any(|path| self.glob.fits(&[path, end]))
            }
        }
    }
}

/// The last `count` names of `path`; none if it has fewer.
fn last(path: &[u8], count: usize) -> Option<&[u8]> {
    let mut slashes = path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1);
    match slashes.nth(count - 1) {
        Some(start) => path.get(start..),
        None => (path.split(|byte| *byte == b'/').count() == count).then_some(path),
    }
}
