//! An object becomes a file, which is whole when it gets its name.

use std::fs::{File, FileTimes};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use backup_core::{Result, Sha256};
use bytes::{BufMut, BytesMut};
use rustix::fs::{Gid, Mode, Uid};
use tokio::io::AsyncReadExt;
use tokio::sync::SemaphorePermit;

use super::attrs::Attrs;
use super::bucket::Bucket;
use super::content::Check;
use super::copy::unchanged;
use super::item::Item;
use super::lines::Written;
use super::names;
use super::passing::passing;
use super::run::Run;
use super::tree::{Old, Tree};
use crate::download;

/// How much is written at once, in bytes.
const WRITE: usize = 256 << 10;
/// What is smaller is fetched anew after it broke off, in bytes.
const RESUMED: u64 = 1 << 20;

impl Run {
    /// Brings an object into the folder. What a run that died has left of a large one is gone on with.
    pub(super) async fn download(
        &self,
        from: &Bucket,
        to: &Tree,
        source: &Item,
        old: Option<(&Item, bool)>,
        job: SemaphorePermit<'_>,
    ) -> Result<Written> {
        let path = names::path(&source.name)?;
        let digest = Sha256::of(format!("{} {} {}", source.mark, source.size, source.name)).to_string();
        let partial = self.partial.join(digest);
        let (size, mark) = (source.size, source.mark.clone());
        let open = move |tree: Tree, partial: PathBuf| {
            let file = tree.write(&partial)?;
            let there = file.metadata()?.len();
            let there = if (RESUMED..size).contains(&there) { there } else { 0 };
            file.set_len(there)?;
            Ok((Some(file), there))
        };
        let (file, there) = if size < RESUMED { (None, 0) } else { to.blocking("write", &partial, open).await? };
        let range = (there > 0).then_some(there..size);
        let (width, more) = self.spare((size - there).div_ceil(download::PIECE));
        let (head, body) = download::open(&from.gateway, &from.bucket, &from.key(&source.name), range, width, false).await?;
        let attrs = unchanged(&head, source)?;
        let check = Check::new(&mark, &attrs, size);
        let (mut file, check) = match file {
            Some(file) => to.blocking("read", &partial, move |_, _| resume(file, check, there)).await?,
            None => (None, check),
        };
        let attrs = if self.options.preserve { attrs } else { Attrs::default() };
        let modified = attrs.mtime.or_else(|| head.modified.map(|time| time.as_second()));
        let (mut body, found) = passing(body, size - there, check, &self.pace);
        let mut buffer = BytesMut::with_capacity(usize::try_from(size - there).map_or(WRITE, |left| WRITE.min(left + 1)));
        let mut ended = false;
        while !ended {
            buffer.clear();
            while buffer.len() < WRITE && !ended {
                let free = WRITE - buffer.len();
                ended = body.read_buf(&mut (&mut buffer).limit(free)).await? == 0;
            }
            let attrs = ended.then(|| attrs.clone());
            let write = move |tree: Tree, partial: PathBuf| {
                let mut file = match file {
                    Some(file) => file,
                    None => tree.write(&partial).and_then(|file| file.set_len(0).map(|()| file))?,
                };
                file.write_all(&buffer)?;
                attrs.map_or(Ok(()), |attrs| dress(&file, &attrs, modified))?;
                Ok((Some(file), buffer))
            };
            (file, buffer) = to.blocking("write", &partial, write).await?;
        }
        drop((file, job, more));
        self.verified(&found);
        let listed = old.map(|(old, _)| (old.size, old.mark.clone()));
        let (old, place) = (self.old(old, &path), path.clone());
        let name = move |tree: &Tree| {
            let now = tree.look(&place)?.map(|(size, modified)| (size, modified.to_string()));
            if now.is_some() && now != listed {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            tree.place(&partial, &place, &old)?;
            let (_, modified) = tree.look(&place)?.ok_or(io::ErrorKind::NotFound)?;
            Ok(modified)
        };
        let modified = self.settle.place(to, &path, name).await?;
        Ok(source.written(modified.to_string()))
    }

    /// Where what is at the destination goes.
    fn old(&self, old: Option<(&Item, bool)>, path: &Path) -> Old {
        match old {
            None => Old::Nothing,
            Some((_, false)) if self.options.trash => Old::Kept(Path::new(&self.trash).join(path)),
            Some(_) => Old::Replaced,
        }
    }
}

/// Takes the bytes that are there already, so that the rest can follow.
fn resume(mut file: File, mut check: Check, there: u64) -> io::Result<(Option<File>, Check)> {
    let mut left = there;
    let mut buffer = vec![0; WRITE];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(WRITE).min(WRITE);
        let part = buffer.get_mut(..most).unwrap_or_default();
        file.read_exact(part)?;
        check.update(part);
        left -= most as u64;
    }
    Ok((Some(file), check))
}

/// Gives a file what s3cmd has noted of it. Its owner only if root does it, and if that works.
fn dress(file: &File, attrs: &Attrs, modified: Option<i64>) -> io::Result<()> {
    if let (true, Some(uid), Some(gid)) = (rustix::process::geteuid().is_root(), attrs.owner.0, attrs.group.0) {
        // All bits set mean nobody at all.
        if uid != u32::MAX && gid != u32::MAX {
            let _ = rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        }
    }
    if let Some(mode) = attrs.mode {
        rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?;
    }
    let time = |seconds: i64| {
        let distance = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 { SystemTime::UNIX_EPOCH.checked_sub(distance) } else { SystemTime::UNIX_EPOCH.checked_add(distance) }
    };
    if let Some(modified) = modified.and_then(time) {
        file.set_times(FileTimes::new().set_modified(modified).set_accessed(attrs.atime.and_then(time).unwrap_or(modified)))?;
    }
    Ok(())
}
