//! Whether backups lie on the volume that holds the database itself: whoever loses one loses both.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backup_core::{Context, Event, Result};

/// How long the server may take to answer. A warning is not worth more.
const TIME: Duration = Duration::from_secs(5);

/// Warns if the server keeps its data, which is what `asked` says, on the volume of `place`. Where that cannot be told, nothing is
/// said.
pub(super) async fn warn(cx: &Context, place: &Path, asked: impl Future<Output = Result<Option<PathBuf>>>) {
    let asked = cx.unless_cancelled(async { Ok(tokio::time::timeout(TIME, asked).await) });
    let Ok(Ok(Ok(Some(data)))) = asked.await else { return };
    let volume = |path: &Path| std::fs::metadata(path).ok().map(|meta| meta.dev());
    // What is not there yet will lie where the nearest folder above it does.
    if volume(&data).is_some_and(|data| place.ancestors().find_map(volume) == Some(data)) {
        let (data, place) = (data.display(), place.display());
        let what = format!("{place} is on the volume of the server's own data, {data}: who loses one loses the other");
        cx.tell(Event::Warning { what: &what });
    }
}
