//! How all jobs stand, as metrics for Prometheus.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backup_core::{Context, Doing, Error, Name, Result};
use jiff::{SignedDuration, Timestamp};

use crate::{Desk, Status};

/// How often the file for the textfile collector is written.
const EVERY: Duration = Duration::from_secs(60);

/// How long the last time may take.
const LAST: Duration = Duration::from_secs(3);

/// The metrics of a service, in Prometheus' text format, version 0.0.4.
///
/// Each carries the label `backup_job`, as Prometheus gives the label `job` itself. What is not known yet is left out: a job
/// that never succeeded has no `backup_last_success_timestamp_seconds`. Times are Unix times; how long ago they were is for
/// Prometheus to say, as in `time() - backup_last_success_timestamp_seconds > 2 * 86400`.
#[derive(Debug, Clone)]
pub struct Metrics {
    desk: Desk,
    places: BTreeMap<Name, PathBuf>,
}

/// What is known of one job.
struct Known<'a> {
    status: &'a Status,
    next: Option<Timestamp>,
    free: Option<u64>,
}

/// One metric: its name, what kind it is, what it says, and its value.
type Metric = (&'static str, &'static str, &'static str, fn(&Known<'_>) -> Option<f64>);

const METRICS: [Metric; 9] = [
    ("backup_last_success_timestamp_seconds", "gauge", "When a run of the job last succeeded.", |known| {
        seconds(known.status.succeeded)
    }),
    ("backup_last_proof_timestamp_seconds", "gauge", "When a run last restored and compared a backup.", |known| {
        seconds(known.status.proven)
    }),
    ("backup_last_size_bytes", "gauge", "What the last run that succeeded stored.", |known| {
        known.status.bytes.map(|bytes| bytes as f64)
    }),
    ("backup_last_duration_seconds", "gauge", "How long the last run that succeeded took.", |known| {
        known.status.took.map(|took| SignedDuration::as_secs_f64(&took))
    }),
    ("backup_consecutive_failures", "gauge", "How many runs have failed since the last success.", |known| {
        Some(f64::from(known.status.failures))
    }),
    ("backup_missed_runs_total", "counter", "How many runs that were due did not happen.", |known| {
        Some(known.status.missed as f64)
    }),
    ("backup_next_run_timestamp_seconds", "gauge", "When the job runs next without being asked.", |known| seconds(known.next)),
    ("backup_running", "gauge", "1 while a run is under way.", |known| Some(f64::from(u8::from(known.status.is_under_way())))),
    ("backup_free_bytes", "gauge", "What is free where the job stores its backups.", |known| {
        known.free.map(|free| free as f64)
    }),
];

fn seconds(time: Option<Timestamp>) -> Option<f64> {
    time.map(|time| time.as_millisecond() as f64 / 1000.0)
}

impl Metrics {
    /// The metrics of the jobs that `desk` knows.
    pub fn new(desk: Desk) -> Self {
        Self { desk, places: BTreeMap::new() }
    }

    /// Tells how much is free in the file system of `place` too, where `job` stores its backups.
    pub fn with_place(mut self, job: Name, place: impl Into<PathBuf>) -> Self {
        self.places.insert(job, place.into());
        self
    }

    /// The metrics as they are now. Reads files, so it may block.
    pub fn text(&self) -> Result<String> {
        let mut all = Vec::new();
        for job in self.desk.jobs() {
            let free = self.places.get(job).and_then(|place| free(place));
            all.push((job, self.desk.status(job)?, self.desk.next(job)?, free));
        }
        let mut text = String::new();
        for (name, kind, help, value) in METRICS {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            for (job, status, next, free) in &all {
                if let Some(value) = value(&Known { status, next: *next, free: *free }) {
                    let _ = writeln!(text, "{name}{{backup_job=\"{}\"}} {value}", Label(job.as_str()));
                }
            }
        }
        Ok(text)
    }

    /// Puts the metrics into `file` for node_exporter's textfile collector, in place of what was there, all at once. It reads
    /// names that end in `.prom`.
    pub fn store(&self, file: &Path) -> Result<()> {
        if file.extension().is_none_or(|extension| extension != "prom") {
            let hint = "give a name that ends in .prom, as node_exporter reads no other";
            return Err(Error::usage(format!("{} is no file of metrics", file.display())).with_hint(hint));
        }
        let text = self.text()?;
        let partial = file.with_extension("prom.partial");
        let write = || {
            // Who collects it is somebody else.
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o644).open(&partial)?.write_all(text.as_bytes())?;
            fs::rename(&partial, file)
        };
        write().doing(|| format!("write metrics to {}", file.display()))
    }

    /// [Stores](Self::store) them each minute until `cx` is cancelled, and once more then. A failure is logged, and fails nothing.
    pub async fn keep(&self, file: &Path, cx: &Context) {
        let always = async {
            loop {
                self.store_elsewhere(file).await;
                tokio::time::sleep(EVERY).await;
            }
        };
        tokio::select! {
            () = always => {}
            () = cx.cancel.cancelled() => {}
        }
        // A file system that hangs does not keep the service from its end.
        let _ = tokio::time::timeout(LAST, self.store_elsewhere(file)).await;
    }

    /// Stores them on a thread that may wait for files.
    async fn store_elsewhere(&self, file: &Path) {
        let (metrics, to) = (self.clone(), file.to_owned());
        let stored = tokio::task::spawn_blocking(move || metrics.store(&to)).await.doing(|| "write metrics");
        if let Err(error) = stored.and_then(|stored| stored) {
            tracing::warn!("{}", error.chain());
        }
    }
}

/// How many bytes whoever runs this may still write there; none if there is no such place.
fn free(place: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(place).ok()?;
    Some(about.f_bavail.saturating_mul(about.f_frsize))
}

/// The value of a label.
struct Label<'a>(&'a str);

impl Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}
