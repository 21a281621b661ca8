//! The second phase: what changed since the first, read while nothing writes.

use backup_core::{Context, Error, Event, Result};
use backup_host::Host;

use super::{Copy, Report};

/// How often files are looked for again that were listed and then gone.
const ROUNDS: usize = 3;

impl Copy {
    /// Copies what changed since the last [`run`](Copy::run), until nothing was missed: the second of two phases, while what writes to
    /// the tree is stopped.
    ///
    /// Of a file whose size and time are as they were, its ctime tells whether it was written since: so little is read that a
    /// pause is short. What it was that changed in the second in which the first phase began is read again too. Files that go on vanishing are an error: then something still writes there.
    /// The report has what all rounds read and deleted, and how much there is in the end.
    pub async fn settle(&self, cx: &Context, host: &dyn Host) -> Result<Report> {
        let mut report = self.run(cx, host).await?;
        for _ in 1..ROUNDS {
            if report.missed == 0 {
                break;
            }
            cx.tell(Event::Warning { what: "files went while they were read: the copy looks again" });
            let again = self.run(cx, host).await?;
            report = Report {
                read_files: report.read_files + again.read_files,
                read_bytes: report.read_bytes + again.read_bytes,
                linked: report.linked + again.linked,
                deleted: report.deleted + again.deleted,
                ..again
            };
        }
        match report.missed {
            0 => Ok(report),
            missed => Err(Error::failed(format!(
                "{missed} files of {} went while they were read, again and again",
                self.root.display()
            ))
            .with_hint("look what still writes there, or leave it out with a line in the list of files")),
        }
    }
}
