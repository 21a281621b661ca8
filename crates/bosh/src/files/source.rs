//! Out of what files come back: an archive, or the cache.

use std::path::PathBuf;

use backup_core::{Body, Context, Error, Event, Kind, Result};

use crate::archive::{self, Contents, Manifest};

/// Out of what files come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An archive, ours or one of microbosh-simple-backup.
    Archive(PathBuf),
    /// The cache on this machine: what the last copy left.
    Cache(PathBuf),
}

impl Source {
    /// Reads an archive to its end: it must be whole, and what its manifest tells. Of a cache, looks whether there is one.
    pub(super) async fn known(&self, cx: &Context) -> Result<Option<Manifest>> {
        let known = match self {
            Self::Archive(path) => archive::verify(cx, path).await?.manifest,
            Self::Cache(path) if path.join("vcap").is_dir() => None,
            Self::Cache(path) => {
                return Err(Error::new(Kind::NotFound, format!("there is no cache in {}", path.display()))
                    .with_hint("look at CACHE, or restore from an archive"));
            }
        };
        if known.is_none() {
            let what = match self {
                Self::Archive(_) => "the archive has no manifest: nothing tells which director it is of",
                Self::Cache(_) => "nothing tells which director the cache is of, nor whether the last copy came to its end",
            };
            cx.tell(Event::Warning { what });
        }
        Ok(known)
    }

    /// The tar of it, to be read from its beginning to its end.
    pub(super) async fn tar(&self, cx: &Context) -> Result<Body> {
        match self {
            Self::Archive(path) => archive::plain(cx, path).await,
            Self::Cache(path) => Contents::new(path.clone(), vec!["vcap".into()], Vec::new())?.tar(),
        }
    }
}
