//! The folders that a walk in order is in, the innermost last.

use super::entry::{Entry, split};

/// A folder that was listed.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) path: Vec<u8>,
    pub(super) entry: Entry,
    /// If it has nothing any more, that is more likely a disk that is not mounted.
    pub(super) must_have: bool,
    /// How much the host has in it, with what the filter leaves out and without what a file system puts there by itself.
    pub(super) children: u64,
    /// How much the cache has in it that the host has not.
    pub(super) gone: u64,
}

/// The folders that the next file may be in.
#[derive(Debug, Default)]
pub(super) struct Frames(Vec<Frame>);

impl Frames {
    pub(super) fn innermost(&self) -> Option<&Frame> {
        self.0.last()
    }

    pub(super) fn enter(&mut self, frame: Frame) {
        self.0.push(frame);
    }

    /// The host has something at `path`.
    pub(super) fn child(&mut self, path: &[u8]) {
        let (parent, name) = split(path);
        if let Some(frame) = self.0.last_mut()
            && frame.path == parent
            && !path.is_empty()
            && name != b"lost+found"
        {
            frame.children += 1;
        }
    }

    /// The cache has something that the host has not.
    pub(super) fn gone(&mut self) {
        if let Some(frame) = self.0.last_mut() {
            frame.gone += 1;
        }
    }

    /// The innermost folder, if what comes next is outside of it.
    pub(super) fn leave(&mut self, is_outside: impl Fn(&[u8]) -> bool) -> Option<Frame> {
        self.0.pop_if(|frame| is_outside(&frame.path))
    }
}
