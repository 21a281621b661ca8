//! One file of an archive, read out of it; and all of it, decompressed.

use std::path::Path;
use std::sync::Arc;

use backup_core::{Body, Context, Error, Event, Name, Result};

use super::verify::opened;
use crate::copy::{extract, through};

/// The tar of the archive at `path`, however that is compressed.
pub(crate) async fn plain(cx: &Context, path: &Path) -> Result<Body> {
    let (file, compression) = cx.unless_cancelled(opened(path)).await?;
    Ok(compression.decompress(file, Arc::from(path.display().to_string())))
}

/// The file `name` of the archive at `path`, which was verified; tells `part` how it gets on. What comes after it in the archive
/// is not looked at.
///
/// The body ends in [`Kind::Damaged`](backup_core::Kind::Damaged) where the archive does not have it any more.
pub async fn member(cx: &Context, path: &Path, name: &str, part: &Name) -> Result<Body> {
    let plain = plain(cx, path).await?;
    let (wanted, missing) = (name.as_bytes().to_owned(), format!("the archive does not have {name} any more"));
    let (teller, part) = (cx.clone(), part.clone());
    Ok(through(plain, move |reader, out| {
        let is_there = extract(reader, &wanted, |piece| {
            teller.tell(Event::Progress { part: &part, bytes: piece.len() as u64 });
            out(piece)
        })?;
        if is_there { Ok(()) } else { Err(Error::damaged(missing)) }
    }))
}
