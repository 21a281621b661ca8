//! What the source no longer has goes, one object at a time, and not on the word of a listing alone.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use backup_core::{Doing, Error, Event, Result};
use futures_util::StreamExt;

use super::lines::Written;
use super::names;
use super::run::{Run, Side};
use super::streamed::streamed;
use super::tree::Tree;

/// A name, and size and mark of what has it at the destination.
type Candidate = (String, u64, String);

/// Names that may be deleted, in a file without a name.
#[derive(Debug)]
pub(super) struct Candidates {
    file: BufWriter<File>,
    count: u64,
}

impl Candidates {
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).doing(|| format!("make a file in {}", folder.display()))?;
        Ok(Self { file: BufWriter::new(file), count: 0 })
    }

    pub(super) fn push(&mut self, written: &Written) -> Result<()> {
        let Written { name, size, to, .. } = written;
        let line = serde_json::to_string(&(name, size, to)).map_err(io::Error::from);
        line.and_then(|line| writeln!(self.file, "{line}")).doing(|| "note what is to be deleted")?;
        self.count += 1;
        Ok(())
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    fn read(self) -> io::Result<impl FnMut() -> Result<Option<Candidate>> + Send + 'static> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        let mut file = BufReader::new(file);
        Ok(move || {
            let mut line = String::new();
            file.read_line(&mut line)?;
            let parsed = serde_json::from_str(&line).map_err(io::Error::from);
            if line.is_empty() { Ok(None) } else { Ok(Some(parsed.doing(|| "read what is to be deleted")?)) }
        })
    }
}

impl Run {
    pub(super) async fn delete_all(&self, candidates: Candidates) -> Result<()> {
        let candidates = streamed(candidates.read().doing(|| "read what is to be deleted")?);
        let failed = AtomicBool::new(false);
        let deletions = candidates.map(|candidate| async {
            if failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            let (name, size, mark) = candidate?;
            let deleted = self.delete_one(&name, size, &mark).await.doing(|| format!("delete {name:?}"));
            failed.fetch_or(deleted.is_err(), Ordering::Relaxed);
            deleted
        });
        // What is being deleted is waited for, so that nothing goes once this has returned.
        let mut deletions = deletions.buffer_unordered(self.options.jobs.max(1));
        let mut outcome = Ok(());
        while let Some(deleted) = deletions.next().await {
            outcome = outcome.and(deleted);
        }
        outcome
    }

    async fn delete_one(&self, name: &str, size: u64, mark: &str) -> Result<()> {
        self.must_be_gone(name).await?;
        let cx = self.report.context();
        cx.tell(Event::Stage { what: &format!("delete {name:?}") });
        let done = match &self.to {
            _ if self.options.dry_run => true,
            Side::Folder(tree) => {
                let (mark, path) = (mark.to_owned(), names::path(name)?);
                let kept = self.options.trash.then(|| Path::new(&self.trash).join(&path));
                let work = move |tree: Tree, path: PathBuf| {
                    // Whoever has changed it since the listing wants it.
                    let is_ours = tree.look(&path)?.is_some_and(|(now, modified)| now == size && modified.to_string() == mark);
                    if is_ours {
                        tree.remove(&path, kept.as_deref())?;
                    }
                    Ok(is_ours)
                };
                tree.blocking("delete", &path, work).await?
            }
            Side::Bucket(bucket) => {
                let head = bucket.look(name).await?.ok_or_else(|| Error::failed("it is not there any more"))?;
                let is_ours = head.size == size && head.etag == mark;
                if is_ours && self.options.trash {
                    bucket.keep(name, &self.trash).await?;
                }
                if is_ours {
                    bucket.gateway.delete(&bucket.bucket, &bucket.key(name)).await?;
                }
                is_ours
            }
        };
        let mut summary = self.report.count();
        if done {
            summary.deleted += 1
        } else {
            summary.foreign += 1
        }
        Ok(())
    }

    /// Whether the source, asked for it by its name, does not have it.
    pub(super) async fn is_gone(&self, name: &str) -> Result<bool> {
        match &self.from {
            Side::Bucket(bucket) => bucket.is_gone(name).await,
            Side::Folder(tree) => {
                // A file can be called as its object is, or as a sync would have called it.
                let is_plain = name.split('/').all(|piece| !matches!(piece, "" | "." | ".."));
                let other = names::path(name)?;
                let look = move |tree: Tree, path: PathBuf| Ok(!(tree.exists(&other)? || is_plain && tree.exists(&path)?));
                tree.blocking("look at", Path::new(name), look).await
            }
        }
    }
}
