//! A sink in a directory of this machine.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::{BufMut, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use sha2::Digest;
use tokio::io::{AsyncReadExt, BufReader};

use crate::body::{self, Body};
use crate::folder::{self, Found};
use crate::{Depth, Doing, Entry, Error, Key, Kind, Put, Result, Sink};

/// How much is written at once, in bytes.
const WRITE: usize = 256 * 1024;

/// Objects as files under a directory.
///
/// An object is written into a hidden file, which no listing shows, synced, and then linked into its place; folders are
/// made and removed as needed, and synced. Symbolic links inside the directory are not followed. What it makes only its
/// owner may read (mode 0600 and 0700). Files whose names cannot be a [`Key`] are not its own and are passed over.
#[derive(Debug, Clone)]
pub struct Directory {
    root: Arc<Path>,
}

impl Directory {
    /// The directory at `root`, which is made with the first object.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into().into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.root
    }
}

#[async_trait]
impl Sink for Directory {
    async fn put(&self, key: &Key, mut body: Body) -> Result<Put> {
        let root = self.root.clone();
        let place = key.clone();
        let mut partial = blocking(key, "store", move || Partial::create(&root, &place)).await?;
        let mut buffer = BytesMut::with_capacity(WRITE);
        loop {
            buffer.clear();
            while buffer.len() < WRITE {
                let free = WRITE - buffer.len();
                if body.read_buf(&mut (&mut buffer).limit(free)).await.doing(|| format!("store {key}"))? == 0 {
                    break;
                }
            }
            if buffer.is_empty() {
                break;
            }
            let write = move || partial.write(&buffer).map(|()| (partial, buffer));
            (partial, buffer) = blocking(key, "store", write).await?;
        }
        blocking(key, "store", move || partial.link()).await
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Body> {
        let root = self.root.clone();
        let place = key.clone();
        let start = range.as_ref().map_or(0, |range| range.start);
        let open = move || {
            let (parent, name) = folder::parent(&place);
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            let file = rustix::fs::openat(folder::open(&root, parent)?, name, flags, Mode::empty());
            // A link or a folder is no object.
            let mut file = File::from(file.map_err(|errno| if errno == Errno::LOOP { Errno::NOENT } else { errno })?);
            if !file.metadata()?.is_file() {
                return Err(Errno::NOENT.into());
            }
            file.seek(SeekFrom::Start(start))?;
            Ok(file)
        };
        let file = tokio::fs::File::from_std(blocking(key, "open", open).await?);
        let most = range.map_or(u64::MAX, |range| range.end.saturating_sub(range.start));
        Ok(body::sound(BufReader::with_capacity(WRITE, file.take(most))))
    }

    fn list(&self, prefix: &Key, depth: Depth) -> BoxStream<'_, Result<Entry>> {
        let walk = Walk { root: self.root.clone(), depth, frames: Vec::new(), begin: Some(prefix.clone()) };
        stream::try_unfold(walk, async |mut walk| Ok(walk.next().await?.map(|entry| (entry, walk)))).boxed()
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let root = self.root.clone();
        let place = key.clone();
        blocking(key, "delete", move || {
            let (parent, name) = folder::parent(&place);
            let dir = match folder::open(&root, parent) {
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
                dir => dir?,
            };
            match rustix::fs::unlinkat(&dir, name, AtFlags::empty()) {
                Ok(()) => rustix::fs::fsync(&dir)?,
                Err(Errno::NOENT | Errno::ISDIR) => {}
                Err(errno) => return Err(errno.into()),
            }
            folder::remove_empty(&root, parent)
        })
        .await
    }

    async fn sweep(&self, prefix: &Key, age: Duration) -> Result<()> {
        let root = self.root.clone();
        let place = prefix.clone();
        blocking(prefix, "sweep", move || {
            SystemTime::now().checked_sub(age).map_or(Ok(()), |before| folder::sweep(&root, place.as_str(), before))
        })
        .await
    }
}

/// A file that is being written, hidden until it is linked. Dropped before that, it is gone.
struct Partial {
    dir: OwnedFd,
    hidden: String,
    name: String,
    file: File,
    size: u64,
    hasher: sha2::Sha256,
}

impl Partial {
    fn create(root: &Path, key: &Key) -> io::Result<Self> {
        let (parent, name) = folder::parent(key);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        for _ in 0..16 {
            let dir = folder::make(root, parent)?;
            if rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let hidden = folder::hidden_name();
            match rustix::fs::openat(&dir, &hidden, flags, Mode::RUSR | Mode::WUSR) {
                // Someone removed the folder, which was empty, or has the same luck with names.
                Err(Errno::NOENT | Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
                Ok(fd) => {
                    // Tells a sweep that this one is alive; where locks do not work its age has to do.
                    let _ = rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive);
                    let (name, hasher) = (name.to_owned(), sha2::Sha256::new());
                    return Ok(Self { dir, hidden, name, file: fd.into(), size: 0, hasher });
                }
            }
        }
        Err(io::Error::other("its folder goes away as often as it is made"))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    fn link(mut self) -> io::Result<Put> {
        self.file.sync_all()?;
        let Self { dir, hidden, name, .. } = &self;
        match rustix::fs::renameat_with(dir, hidden, dir, name, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            // The file system does not know how: a hard link does not replace either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(dir, hidden, dir, name, AtFlags::empty())?;
                rustix::fs::unlinkat(dir, hidden, AtFlags::empty())?;
            }
            Err(errno) => return Err(errno.into()),
        }
        self.hidden.clear();
        rustix::fs::fsync(&self.dir)?;
        Ok(Put { size: self.size, sha256: self.hasher.clone().into() })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.hidden.is_empty() {
            let _ = rustix::fs::unlinkat(&self.dir, &self.hidden, AtFlags::empty());
        }
    }
}

/// Walks the folders in the order of keys. Holds the names of one folder per level.
struct Walk {
    root: Arc<Path>,
    depth: Depth,
    frames: Vec<(Key, std::vec::IntoIter<Found>)>,
    begin: Option<Key>,
}

impl Walk {
    async fn next(&mut self) -> Result<Option<Entry>> {
        if let Some(prefix) = self.begin.take() {
            self.enter(prefix).await?;
        }
        while let Some((prefix, found)) = self.frames.last_mut() {
            let Some(found) = found.next() else {
                self.frames.pop();
                continue;
            };
            // A name that is too long by what is before it cannot be a key either.
            let Ok(key) = prefix.join(&found.name) else { continue };
            match found.size {
                Some(size) => return Ok(Some(Entry::Object(key, size))),
                None if self.depth == Depth::All => self.enter(key).await?,
                None => {
                    let (root, place) = (self.root.clone(), key.clone());
                    // One that cannot be looked into may hold anything: whoever enters it is told why.
                    if blocking(&key, "list", move || folder::has_object(&root, place.as_str())).await.unwrap_or(true) {
                        return Ok(Some(Entry::Group(key)));
                    }
                }
            }
        }
        Ok(None)
    }

    async fn enter(&mut self, prefix: Key) -> Result<()> {
        let (root, place) = (self.root.clone(), prefix.clone());
        let found = blocking(&prefix, "list", move || folder::read(&root, place.as_str())).await?;
        self.frames.push((prefix, found.into_iter()));
        Ok(())
    }
}

/// Does `work` on a thread where it may block, and says what it was if it fails. When the caller goes away it is done
/// all the same, and what it returns is dropped.
async fn blocking<T: Send + 'static>(
    key: &Key,
    verb: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
        let key = if *key == Key::root() { "the directory" } else { key.as_str() };
        match error.kind() {
            // Elsewhere something else is missing, such as the folder of what is stored.
            io::ErrorKind::NotFound if verb == "open" => Error::new(Kind::NotFound, format!("there is no {key}")),
            io::ErrorKind::AlreadyExists => Error::new(Kind::AlreadyExists, format!("{key} is there already")),
            kind => {
                let failed = Error::failed(format!("failed to {verb} {key}")).with_source(error);
                match kind {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        failed.with_hint("free some space, or prune old backups, and run it again")
                    }
                    io::ErrorKind::PermissionDenied => failed.with_hint("run it as the user who owns the directory"),
                    _ => failed,
                }
            }
        }
    })
}
