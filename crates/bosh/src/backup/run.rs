//! A run, step by step.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backup_core::{Context, Doing, Error, Event, Journal, Lifecycle, Name, OnFailure, Result, paused, recover};

use super::check::Ready;
use super::dump::Dumped;
use super::{Backup, Step};
use crate::archive::{Contents, Draft, Manifest};
use crate::config::{Databases, Mode};
use crate::copy::Report;
use crate::told::Told;
use crate::{Copy, Log, Progress};

/// What a run took.
#[derive(Debug, Clone)]
pub struct Taken {
    /// What is known of it; its size and digest are those of the archive, if one was made.
    pub manifest: Manifest,
    /// The archive.
    pub archive: Option<PathBuf>,
    /// The log.
    pub log: PathBuf,
    /// What the copy read while services ran.
    pub copied: Report,
    /// What the copy read while they were stopped.
    pub settled: Option<Report>,
    /// How long services were stopped for the dump, beside the downtime that the manifest has.
    pub dump_time: Option<Duration>,
}

/// What was taken while services were stopped.
struct Stopped {
    since: Instant,
    dump_time: Duration,
    dumped: Option<Dumped>,
    settled: Report,
}

pub(super) struct Run<'a> {
    pub(super) backup: &'a Backup,
    pub(super) cx: Context,
    pub(super) log: Arc<Log>,
    pub(super) progress: Progress,
    lifecycle: Arc<dyn Lifecycle>,
    copy: Copy,
    pub(super) dump: Name,
    archive: Name,
}

impl Backup {
    /// Takes the backup. What an earlier run that died has left stopped is started first.
    ///
    /// Files are copied while services run. Then what runs is stopped under a [`Guard`](crate::Guard), databases are dumped, what
    /// changed is copied, and what ran is started again, however that ends; nothing else is. What was taken counts only if nobody, the
    /// guard neither, started a service meanwhile. A backup that is `online` stops nothing, and its files need not fit
    /// together. The archive has its name once it is whole and on disk. The log that the archive has of this run ends where the archive begins.
    ///
    /// [`Kind::Cancelled`](backup_core::Kind::Cancelled) once `cx` is: services run again then, and no archive is there.
    pub async fn run(&self, cx: &Context, journal: &Arc<Journal>) -> Result<Taken> {
        let log = Arc::new(Log::of_run(&self.log_path, "bosh-backup", &self.started)?);
        log.line(&format!("{} backs up {}", self.program, self.director.name));
        let progress = Progress::default();
        let told = Told { whom: cx.monitor.clone(), log: log.clone(), progress: progress.clone() };
        let cx = Context { monitor: Arc::new(told), ..cx.clone() };
        let lifecycle = self.director.lifecycle(&progress);
        let [copy, dump, archive] = ["vcap", "dump", "archive"].map(str::parse::<Name>);
        let copy = self.copy(copy?);
        let run = Run { backup: self, cx, log: log.clone(), progress, lifecycle, copy, dump: dump?, archive: archive? };
        let done = Box::pin(run.go(journal)).await;
        match &done {
            Ok(_) => log.line("the backup is whole"),
            Err(error) => log.line(&format!("failed: {}", error.chain())),
        }
        done
    }
}

impl Run<'_> {
    async fn go(&self, journal: &Arc<Journal>) -> Result<Taken> {
        let (backup, cx) = (self.backup, &self.cx);
        if let Some(entry) = recover(cx, &self.lifecycle, journal).await? {
            let what = format!("an earlier run, of {}, died while services were stopped: they run again", entry.at);
            cx.tell(Event::Warning { what: &what });
        }
        self.begin(Step::Check);
        let ready = cx.unless_cancelled(self.check()).await.doing(|| Step::Check.name())?;
        let taken = match backup.mode {
            Mode::Offline => Box::pin(self.offline(journal, &ready)).await?,
            Mode::Online => Box::pin(self.online(&ready)).await?,
        };
        match &backup.output {
            None => Ok(taken),
            Some(output) => {
                self.begin(Step::Archive);
                let names = self.names()?;
                let contents = Contents::new(backup.cache.clone(), names, ready.added)?;
                cx.tell(Event::Begun { what: "archive", parts: 1, bytes: None });
                let draft = Draft::write(cx, &contents, output, &self.archive).await?;
                let manifest = draft.commit(taken.manifest).await?;
                cx.tell(Event::PartDone { part: &self.archive, bytes: manifest.size });
                Ok(Taken { manifest, archive: Some(output.clone()), ..taken })
            }
        }
    }

    /// Tells that a step begins.
    fn begin(&self, step: Step) {
        self.cx.tell(Event::Stage { what: step.name() });
    }

    fn manifest(&self, ready: &Ready) -> Manifest {
        let director = self.backup.director.name.as_str();
        let manifest = Manifest::new(self.backup.program.clone(), director, self.backup.started.timestamp());
        let list = String::from_utf8(self.backup.filter.text().to_owned()).ok();
        Manifest { postgres: ready.postgres.clone(), list, owners: Some(rustix::process::geteuid().is_root()), ..manifest }
    }

    async fn online(&self, ready: &Ready) -> Result<Taken> {
        let (backup, cx) = (self.backup, &self.cx);
        cx.tell(Event::Warning { what: "services run on: files that change are not of one moment, and need not fit together" });
        let mut dumped = None;
        if backup.databases != Databases::None {
            self.begin(Step::Dump);
            dumped = Some(self.dump().await?);
        }
        self.begin(Step::Copy);
        let copied = self.copy.run(cx, &*backup.director.host).await?;
        let dumps = self.keep(dumped).await?;
        let manifest = self.manifest(ready);
        let manifest =
            Manifest { finished: jiff::Timestamp::now(), dumps, files: copied.files, bytes: copied.bytes, ..manifest };
        Ok(Taken { manifest, archive: None, log: self.log.path().into(), copied, settled: None, dump_time: None })
    }

    async fn offline(&self, journal: &Arc<Journal>, ready: &Ready) -> Result<Taken> {
        let (backup, cx) = (self.backup, &self.cx);
        self.begin(Step::Copy);
        let copied = self.copy.run(cx, &*backup.director.host).await?;
        self.begin(Step::Stop);
        let work = async {
            let longest = tokio::time::timeout(backup.director.max_pause, Box::pin(self.while_stopped())).await;
            longest.unwrap_or_else(|_| {
                let seconds = backup.director.max_pause.as_secs();
                Err(Error::failed(format!("services were stopped for the {seconds} s that they may be, and it was not done"))
                    .with_hint("give it longer with --max-pause"))
            })
        };
        let commit = |stopped: Stopped| async move {
            let Stopped { since, dump_time, dumped, settled } = stopped;
            let dumps = self.keep(dumped).await?;
            let downtime = since.elapsed().saturating_sub(dump_time);
            self.begin(Step::Start);
            let stopped = ready.units.clone();
            let downtime_ms = u64::try_from(downtime.as_millis()).ok();
            let (files, bytes, finished) = (settled.files, settled.bytes, jiff::Timestamp::now());
            let manifest = Manifest { stopped, downtime_ms, dumps, files, bytes, finished, ..self.manifest(ready) };
            let (log, dump_time) = (self.log.path().into(), (backup.databases != Databases::None).then_some(dump_time));
            Ok(Taken { manifest, archive: None, log, copied, settled: Some(settled), dump_time })
        };
        let taken = paused(cx, &self.lifecycle, journal, OnFailure::Resume, work, commit).await?;
        let seconds = |millis: u64| Duration::from_millis(millis).as_secs_f64();
        let down = taken.manifest.downtime_ms.map(seconds).unwrap_or_default();
        let dump = taken.dump_time.map(|time| format!(", and {:.1} s for the dump", time.as_secs_f64())).unwrap_or_default();
        cx.tell(Event::Stage { what: &format!("services were down for {down:.1} s{dump}") });
        Ok(taken)
    }

    /// All that is done between the last stop and the first start.
    async fn while_stopped(&self) -> Result<Stopped> {
        let since = Instant::now();
        let dumped = match self.backup.databases {
            Databases::None => None,
            _ => Some(self.dump_alone().await?),
        };
        let dump_time = dumped.as_ref().map(|_| since.elapsed()).unwrap_or_default();
        self.begin(Step::CopyChanges);
        let settled = self.copy.settle(&self.cx, &*self.backup.director.host).await?;
        Ok(Stopped { since, dump_time, dumped, settled })
    }

    /// Dumps with nothing running but PostgreSQL.
    async fn dump_alone(&self) -> Result<Dumped> {
        let services = self.backup.director.services(&self.progress);
        let postgres = [self.backup.director.database()];
        self.begin(Step::StartPostgres);
        services.resume(&postgres).await.doing(|| Step::StartPostgres.name())?;
        self.begin(Step::Dump);
        let dumped = self.dump().await?;
        self.begin(Step::StopPostgres);
        services.pause(&postgres).await.doing(|| Step::StopPostgres.name())?;
        Ok(dumped)
    }
}
