//! A file becomes an object. What is said of its content is the MD5 of the bytes that were sent, whatever becomes of the file meanwhile.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::PathBuf;

use backup_core::body::CHUNK;
use backup_core::{Error, Result, body};
use bytes::Bytes;
use md5::{Digest, Md5};
use tokio::sync::SemaphorePermit;

use super::attrs::{Attrs, HEADER};
use super::bucket::Bucket;
use super::content::Check;
use super::item::Item;
use super::lines::Written;
use super::passing::passing;
use super::run::Run;
use super::tree::Tree;
use crate::s3::etag::hex;
use crate::s3::{Headers, New};
use crate::{PART_SIZES, Transfer};

/// How much is read at once, in bytes.
const READ: usize = 256 << 10;

/// A file as it was read.
struct Found {
    content: Content,
    size: u64,
    /// In nanoseconds since 1970.
    modified: i128,
    md5: [u8; 16],
    attrs: Attrs,
}

enum Content {
    /// All of it.
    Whole(Bytes),
    /// It was hashed, and is to be read once more.
    Large(File),
}

impl Run {
    /// Stores a file. One that is smaller than a part is read once, and is sent as it was read; of a larger one the bytes that are sent are
    /// compared with those that were hashed before.
    pub(super) async fn upload(
        &self,
        from: &Tree,
        to: &Bucket,
        source: &Item,
        old: Option<(&Item, bool)>,
        job: SemaphorePermit<'_>,
    ) -> Result<Written> {
        let part_size = self.options.part_size;
        let read = move |tree: Tree, path: PathBuf| find(tree.read(&path)?, part_size.max(*PART_SIZES.start()));
        let Found { content, size, modified, md5, attrs } = from.blocking("read", &source.path, read).await?;
        if let Content::Whole(bytes) = &content
            && bytes.len() as u64 != size
        {
            return Err(Error::damaged(format!("it had {size} bytes, and others while it was read")));
        }
        let noted = if self.options.preserve { attrs } else { Attrs::default() };
        let new = New {
            content_type: Some(self.options.content_type.of(&source.name)),
            headers: Headers::default(),
            storage_class: self.options.storage_class.clone(),
            metadata: vec![(HEADER.to_owned(), Attrs { md5: Some(hex(md5)), ..noted }.to_string())],
            md5: Some(md5),
            only_if_absent: old.is_none(),
        };
        if old.is_some() {
            self.keep(to, &source.name, old).await?;
        }
        let etag = match content {
            Content::Whole(bytes) => {
                for chunk in bytes.chunks(CHUNK) {
                    self.pace.take(chunk.len()).await;
                }
                to.put(&source.name, bytes, new, &self.tasks).await?
            }
            Content::Large(file) => {
                let check = Check::new(&hex(md5), &Attrs::default(), size);
                let (body, _) = passing(body::sound(tokio::fs::File::from_std(file)), size, check, &self.pace);
                let (width, _more) = self.spare(size.div_ceil(part_size.max(1)));
                to.store(&source.name, size, body, new, Transfer { part_size, width }, &self.tasks).await?
            }
        };
        drop(job);
        let look = |tree: Tree, path: PathBuf| tree.look(&path);
        if from.blocking("look at", &source.path, look).await? != Some((size, modified)) {
            // What was stored was the file once, and is ours; it is not what the file is.
            let error = Error::failed(format!("{:?} was changed while it was read", source.name)).with_hint("run it again");
            self.report.failed(&error);
        }
        Ok(Written { size, from: modified.to_string(), ..source.written(etag) })
    }
}

/// Reads a file and reckons its MD5. Less than `most` bytes of it are held in memory.
fn find(mut file: File, most: u64) -> io::Result<Found> {
    let stat = rustix::fs::fstat(&file)?;
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    let modified = i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec);
    let (content, md5) = if size < most {
        let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
        // A byte more shows that there is more.
        (&mut file).take(size + 1).read_to_end(&mut content)?;
        let md5 = Md5::digest(&content).into();
        (Content::Whole(content.into()), md5)
    } else {
        let (mut md5, mut buffer) = (Md5::new(), vec![0; READ]);
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => md5.update(buffer.get(..read).unwrap_or_default()),
            }
        }
        file.rewind()?;
        (Content::Large(file), md5.finalize().into())
    };
    let attrs = Attrs {
        mode: Some(stat.st_mode & 0o777),
        mtime: Some(stat.st_mtime),
        atime: Some(stat.st_atime),
        ctime: Some(stat.st_ctime),
        owner: (Some(stat.st_uid), None),
        group: (Some(stat.st_gid), None),
        md5: None,
    };
    Ok(Found { content, size, modified, md5, attrs })
}
