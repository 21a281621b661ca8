//! What a service tells on its standard output, a line each.

use backup_cli::Report;
use backup_core::{Event, Monitor};
use backup_service::{Level, Listener, Notice, What};
use jiff::Timestamp;
use serde_json::json;

/// A line for each notice.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) report: Report,
}

impl Listener for Log {
    fn on(&self, notice: &Notice) {
        let level = match notice.level() {
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        };
        let hint = match &notice.what {
            What::Failed { hint: Some(hint), .. } => format!(" ({hint})"),
            _ => String::new(),
        };
        line(self.report, level, notice.at, Some(notice.job.as_str()), &format!("{notice}{hint}"));
    }
}

/// A line for each warning of a run; its progress is nobody's to watch.
#[derive(Debug)]
pub(super) struct Warnings {
    pub(super) report: Report,
}

impl Monitor for Warnings {
    fn on(&self, event: Event<'_>) {
        if let Event::Warning { what } = event {
            line(self.report, "WARN", Timestamp::now(), None, what);
        }
    }
}

fn line(report: Report, level: &str, at: Timestamp, job: Option<&str>, what: &str) {
    let what = what.replace(|c: char| c.is_control(), " ");
    let at = at.strftime("%Y-%m-%dT%H:%M:%SZ");
    let value = json!({"at": at.to_string(), "level": level, "job": job, "what": what});
    // Whoever closed the log does not stop the backups.
    let _ = report.result(&format!("{at} {level} {what}"), &value);
}
