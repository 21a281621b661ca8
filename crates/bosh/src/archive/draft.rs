//! An archive in the making: under a name that nobody takes for one, until it is whole and on disk.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use backup_core::{Context, Doing, Error, Event, Name, Result, Sha256, Tally};
use rustix::fs::{FlockOperation, flock};
use tempfile::NamedTempFile;

use super::{Contents, Manifest, compression, manifest_of};
use crate::copy::{blocking, read_blocking};

/// What the names begin with that archives and manifests have until they are whole.
const PARTIAL: &str = ".backup-bosh-partial-";

/// How much is written at once, in bytes.
const PIECE: usize = 256 * 1024;

/// An archive that is whole and on disk, and has no name yet. Dropped, it is as if it never was.
#[derive(Debug)]
pub struct Draft {
    file: NamedTempFile,
    output: PathBuf,
    size: u64,
    sha256: Sha256,
}

impl Draft {
    /// Makes the archive that is to be called `output`, beside that name, readable by its user alone. Tells `part` how it gets on.
    ///
    /// The memory that it takes is a constant. Dropped, it leaves nothing.
    pub async fn write(cx: &Context, contents: &Contents, output: &Path, part: &Name) -> Result<Self> {
        let doing = || format!("write the archive {}", output.display());
        let tally = Tally::default();
        let body = compression(output)?.compress(contents.tar()?);
        let mut file = partial(folder_of(output)).doing(doing)?;
        let (teller, part) = (cx.clone(), part.clone());
        let write = read_blocking(Box::pin(tally.of(body)), move |reader| {
            let mut piece = vec![0; PIECE];
            loop {
                let length = match reader.read(&mut piece)? {
                    0 => break,
                    length => length,
                };
                file.write_all(piece.get(..length).unwrap_or_default()).map_err(full)?;
                teller.tell(Event::Progress { part: &part, bytes: length as u64 });
            }
            file.as_file().sync_all().map_err(full)?;
            Ok(file)
        });
        let file = cx.unless_cancelled(write).await.doing(doing)?;
        let (size, sha256) = tally.get();
        Ok(Self { file, output: output.to_owned(), size, sha256 })
    }

    /// Gives it its name, in the place of what had that name, and then `manifest` with its size and digest. Returns that.
    ///
    /// Whoever is killed between the two leaves a whole archive without a manifest.
    pub async fn commit(self, manifest: Manifest) -> Result<Manifest> {
        let Self { file, output, size, sha256 } = self;
        let manifest = Manifest { size, sha256, ..manifest };
        let text = serde_json::to_vec_pretty(&manifest).doing(|| "write the manifest")?;
        let commit = move || {
            let folder = folder_of(&output);
            let beside = manifest_of(&output);
            let mut last = partial(folder)?;
            last.write_all(&text)?;
            last.write_all(b"\n")?;
            last.as_file().sync_all()?;
            // That of an archive of the same name would say what is not so of this one.
            match fs::remove_file(&beside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            file.persist(&output).map_err(|error| error.error)?;
            last.persist(&beside).map_err(|error| error.error)?;
            File::open(folder)?.sync_all()
        };
        blocking(move || commit().map_err(full).doing(|| "give the archive its name")).await?;
        Ok(manifest)
    }
}

/// Removes what killed runs have left of archives in `folder`, and nothing that is being written.
pub fn sweep(folder: &Path) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            continue;
        }
        // Whoever writes it holds it.
        let file = File::open(entry.path())?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The folder in which `output` lies.
pub(super) fn folder_of(output: &Path) -> &Path {
    output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn partial(folder: &Path) -> io::Result<NamedTempFile> {
    let file = tempfile::Builder::new().prefix(PARTIAL).tempfile_in(folder)?;
    flock(file.as_file(), FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

fn full(error: io::Error) -> Error {
    let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let error = Error::from(error);
    if is_full { error.with_hint("free some space where OUTPUT lies, then run it again") } else { error }
}
