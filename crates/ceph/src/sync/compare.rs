//! Whether what lies at both ends is the same.

use std::io::Read;
use std::path::Path;

use backup_core::Result;

use super::attrs::{Attrs, HEADER, is_md5};
use super::bucket::Bucket;
use super::content::{Check, Match};
use super::guard;
use super::item::Item;
use super::lines::Written;
use super::run::{Run, Side};
use super::tree::Tree;
use crate::s3::Head;

/// How much of a file is read at once, in bytes.
const READ: usize = 256 << 10;

impl Run {
    /// Whether `found` at the destination is what `source` is, as far as that can be told without looking into them.
    ///
    /// What this sync wrote and nobody has changed is told by the record.
    pub(super) fn is_known(&self, source: &Item, found: &Item, record: Option<&Written>) -> Option<bool> {
        if self.options.skip_existing {
            return Some(true);
        }
        if source.size != found.size {
            return Some(false);
        }
        let is_recorded = record.is_some_and(|record| {
            guard::is_ours(Some(record), found.size, &found.mark) && record.size == source.size && record.from == source.mark
        });
        (is_recorded || !self.options.check_content).then_some(true)
    }

    /// Whether both have the same content: by an MD5 that is an ETag or stands in the header of s3cmd, or by the ETag of an object in
    /// parts if their size can be found out. Where nothing tells, it is not the same.
    pub(super) async fn is_same(&self, source: &Item, found: &Item) -> Result<bool> {
        match (&self.from, &self.to) {
            (Side::Bucket(bucket), Side::Folder(tree)) => is_in(tree, &found.path, bucket, source).await,
            (Side::Folder(tree), Side::Bucket(bucket)) => is_in(tree, &source.path, bucket, found).await,
            (Side::Bucket(from), Side::Bucket(to)) => {
                if source.mark == found.mark {
                    return Ok(true);
                }
                if is_md5(&source.mark) && is_md5(&found.mark) {
                    return Ok(false);
                }
                let (source, found) = (md5(from, source).await?, md5(to, found).await?);
                Ok(source.is_some() && source == found)
            }
            // There is no such route.
            (Side::Folder(_), Side::Folder(_)) => Ok(false),
        }
    }
}

/// Whether the file at `path` has the content of an object.
async fn is_in(tree: &Tree, path: &Path, bucket: &Bucket, object: &Item) -> Result<bool> {
    let attrs = if is_md5(&object.mark) { Attrs::default() } else { attrs(&head(bucket, object).await?) };
    let mut check = Check::new(&object.mark, &attrs, object.size);
    let done = tree.blocking("read", path, move |tree, path| {
        let mut file = tree.read(&path)?;
        let mut buffer = vec![0; READ];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(check.finish()),
                read => check.update(buffer.get(..read).unwrap_or_default()),
            }
        }
    });
    Ok(done.await? == Match::Yes)
}

/// The MD5 of an object's content, if anything tells.
async fn md5(bucket: &Bucket, object: &Item) -> Result<Option<String>> {
    if is_md5(&object.mark) {
        return Ok(Some(object.mark.clone()));
    }
    Ok(attrs(&head(bucket, object).await?).md5)
}

async fn head(bucket: &Bucket, object: &Item) -> Result<Head> {
    bucket.gateway.head(&bucket.bucket, &bucket.key(&object.name)).await
}

/// What s3cmd has left with an object.
pub(super) fn attrs(head: &Head) -> Attrs {
    let header = head.metadata.iter().find(|(name, _)| name == HEADER);
    header.map(|(_, value)| Attrs::parse(value)).unwrap_or_default()
}
