//! Which of its forms a dump on this machine has: a folder, an archive, a `.tar.gz`.

use std::path::Path;
use std::sync::Arc;

use backup_core::{Directory, Doing, Error, Key, Kind, Result, Sink};

use crate::archive_dump::{ArchiveDump, is_archive};
use crate::dump::Dump;
use crate::folder_dump::FolderDump;
use crate::tar_dump::TarDump;

/// The dump at `path`, read through once: the folder of mongodump, a file of its `--archive`, or the `.tar.gz` of `backup.bash`;
/// folder and archive may be compressed as `--gzip` does.
///
/// [`Kind::NotFound`] if nothing is there, [`Kind::Damaged`] if it is none of these or not whole.
pub async fn dump_at(path: &Path) -> Result<Arc<dyn Dump>> {
    let metadata = tokio::fs::metadata(path).await.doing(|| format!("look at {}", path.display()));
    let metadata = metadata.map_err(|error| match path.exists() {
        true => error,
        false => Error::new(Kind::NotFound, format!("there is no {}", path.display())),
    })?;
    if metadata.is_dir() {
        return Ok(Arc::new(FolderDump::open(path).await?));
    }
    let (Some(name), true) = (path.file_name(), metadata.is_file()) else {
        return Err(Error::usage(format!("{} is neither a folder nor a file", path.display())));
    };
    let key: Key = name.to_string_lossy().parse()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let sink: Arc<dyn Sink> = Arc::new(Directory::new(folder));
    match is_archive(&*sink, &key).await.doing(|| format!("read {}", path.display()))? {
        true => Ok(Arc::new(ArchiveDump::open(sink, key).await?)),
        false => Ok(Arc::new(TarDump::open(sink, key).await?)),
    }
}
