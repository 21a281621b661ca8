//! Whether an archive is whole: every byte of it is read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use backup_core::{Body, Compression, Context, Doing, Error, Event, Kind, Result, Tally, body};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::Manifest;
use crate::copy::{read_blocking, walk};

/// What was found in an archive that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many files, folders and others are in it.
    pub members: u64,
    /// The bytes of its files.
    pub bytes: u64,
    /// The dumps of databases in it, by their paths: what lies in `dbs` and is called as microbosh-simple-backup calls dumps.
    pub dumps: Vec<String>,
    /// What is known of it; `None` of an archive without a manifest, whose bytes are compared with nothing.
    pub manifest: Option<Manifest>,
}

/// Reads all of the archive at `path`, ours or one of microbosh-simple-backup, whatever its name.
///
/// It is whole if it can be decompressed and taken apart to the end that was written on purpose, has anything in it, and, where
/// there is a manifest, has the size, the digest and the dumps that are told there. Else the error is [`Kind::Damaged`].
pub async fn verify(cx: &Context, path: &Path) -> Result<Verified> {
    let manifest = Manifest::read(path)?;
    let doing = || format!("read the archive {}", path.display());
    let (file, compression) = cx.unless_cancelled(opened(path)).await?;
    let tally = Tally::default();
    let raw: Body = Box::pin(tally.of(file));
    let plain = compression.decompress(raw, Arc::from(path.display().to_string()));
    let wanted: BTreeMap<Vec<u8>, u64> =
        manifest.iter().flat_map(|manifest| &manifest.dumps).map(|dump| (dump.path.clone().into_bytes(), dump.size)).collect();
    cx.tell(Event::Stage { what: "read the archive" });
    let walked = read_blocking(plain, move |reader| {
        let (mut members, mut bytes, mut dumps, mut wanted) = (0, 0, Vec::new(), wanted);
        walk(reader, |path, size| {
            (members, bytes) = (members + 1, bytes + size);
            dumps.extend(is_dump(path).map(str::to_owned));
            if wanted.get(path) == Some(&size) {
                wanted.remove(path);
            }
            Ok(())
        })?;
        Ok((members, bytes, dumps, wanted.into_keys().next()))
    });
    let damaged = |what: &str| {
        Error::damaged(format!("the archive {} {what}", path.display()))
            .with_hint("restore from another one, and look at the disk")
    };
    let (members, bytes, dumps, missing) = match cx.unless_cancelled(walked).await {
        Err(error) if error.kind() == Kind::Damaged => return Err(damaged("is not whole").with_source(error)),
        walked => walked.doing(doing)?,
    };
    if let Some(manifest) = &manifest
        && (manifest.size, manifest.sha256) != tally.get()
    {
        return Err(damaged("is not the one that its manifest tells of: its bytes differ"));
    }
    match missing {
        _ if members == 0 => Err(damaged("has nothing in it")),
        Some(path) => Err(damaged(&format!("has no {} of the size that its manifest tells", path.escape_ascii()))),
        None => Ok(Verified { members, bytes, dumps, manifest }),
    }
}

/// The path of a member, if it is a dump: `dbs/postgres_20261122101500.dump.all`.
fn is_dump(path: &[u8]) -> Option<&str> {
    let path = str::from_utf8(path).ok()?;
    let name = path.strip_prefix("dbs/").filter(|name| !name.contains('/'))?;
    (name.starts_with("postgres_") && name.contains(".dump.")).then_some(path)
}

/// The file, and how it is compressed: its first bytes say it.
pub(super) async fn opened(path: &Path) -> Result<(Body, Compression)> {
    let doing = || format!("read the archive {}", path.display());
    let mut file = match File::open(path).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::new(Kind::NotFound, format!("there is no archive {}", path.display()))
                .with_hint("see which there are with the list command"));
        }
        file => file.doing(doing)?,
    };
    let mut first = Vec::new();
    (&mut file).take(4).read_to_end(&mut first).await.doing(doing)?;
    file.rewind().await.doing(doing)?;
    let compression = match first.as_slice() {
        [0x1f, 0x8b, ..] => Compression::Gzip(6),
        // RFC 8878, 3.1.1
        [0x28, 0xb5, 0x2f, 0xfd] => Compression::default(),
        _ => Compression::None,
    };
    Ok((body::sound(file), compression))
}
