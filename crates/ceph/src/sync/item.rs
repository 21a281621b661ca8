//! What lies at an end of a sync: an object or a file, under the name that both ends have for it.

use std::path::PathBuf;

use super::lines::Written;
use super::merge::Named;
use super::walk::Local;
use crate::s3::Object;

/// An object or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// What both ends call it.
    pub(super) name: String,
    /// Its size in bytes.
    pub(super) size: u64,
    /// What changes when it does: the ETag of an object, the time of a file.
    pub(super) mark: String,
    /// Where a file is in its folder.
    pub(super) path: PathBuf,
}

impl Item {
    /// An object whose name is `name`.
    pub(super) fn object(name: &str, object: Object) -> Self {
        let Object { size, etag, .. } = object;
        Self { name: name.to_owned(), size, mark: etag, path: PathBuf::new() }
    }

    /// A folder that is an object: its name ends in a slash and there is nothing in it.
    pub(super) fn is_folder(&self) -> bool {
        self.size == 0 && self.name.ends_with('/')
    }

    /// The line of a record when it was written, and is called `to` at the destination.
    pub(super) fn written(&self, to: String) -> Written {
        Written { name: self.name.clone(), size: self.size, from: self.mark.clone(), to }
    }
}

impl From<Local> for Item {
    fn from(Local { name, path, size, modified }: Local) -> Self {
        Self { name, size, mark: modified.to_string(), path }
    }
}

impl Named for Item {
    fn name(&self) -> &str {
        &self.name
    }
}
