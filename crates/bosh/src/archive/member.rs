//! One file of an archive, read out of it.

use std::path::Path;
use std::sync::Arc;

use backup_core::{Body, Context, Error, Event, Name, Result, body};
use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::verify::opened;
use crate::copy::{extract, read_blocking};

/// How many pieces wait for whoever reads the file.
const AHEAD: usize = 4;

/// The file `name` of the archive at `path`; tells `part` how it gets on. What comes after it in the archive is not looked at.
pub(crate) async fn member(cx: &Context, path: &Path, name: &str, part: &Name) -> Result<Body> {
    let (file, compression) = cx.unless_cancelled(opened(path)).await?;
    let plain = compression.decompress(file, Arc::from(path.display().to_string()));
    let (wanted, missing) = (name.as_bytes().to_owned(), format!("the archive does not have {name} any more"));
    let (teller, part) = (cx.clone(), part.clone());
    Ok(body::piped(move |mut writer| async move {
        let (sender, mut pieces) = mpsc::channel::<Bytes>(AHEAD);
        let reading = read_blocking(plain, move |reader| {
            extract(reader, &wanted, |piece| {
                sender.blocking_send(Bytes::copy_from_slice(piece)).map_err(|_| Error::cancelled().into())
            })
        });
        let writing = async {
            while let Some(piece) = pieces.recv().await {
                writer.write_all(&piece).await?;
                teller.tell(Event::Progress { part: &part, bytes: piece.len() as u64 });
            }
            Ok(())
        };
        match tokio::try_join!(reading, writing)? {
            (true, ()) => Ok(()),
            (false, ()) => Err(Error::damaged(missing)),
        }
    }))
}
