//! Runs a program from its command line to its exit code.

use std::process::ExitCode;
use std::sync::Arc;

use backup_core::{
    BackupId, Context, Error, Event, Journal, Kind, Name, Plain, ReadLock, Result, Seal, Sha256, Sink, Unseal, Which, which,
};
use clap::Parser;

use crate::common::Common;
use crate::exit::exit_code;
use crate::progress::Progress;
use crate::report::Report;
use crate::s3::S3Args;
use crate::signals::Signals;
use crate::sinks::{Opening, Sinks};
use crate::variables::command;

/// A program of the family.
pub trait Program: Parser {
    /// Name and version, as they stand in manifests.
    const NAME: &'static str;

    /// Its common options.
    fn common(&self) -> &Common;

    /// Where backups lie, of a program that takes them.
    fn to(&self) -> Option<String> {
        None
    }

    /// The options of S3 servers, of a program that knows some.
    fn s3(&self) -> S3Args {
        S3Args::default()
    }

    /// The exit code that an error has: that of its kind.
    fn exit_codes(&self) -> fn(&Error) -> u8 {
        |error| exit_code(error.kind())
    }

    /// The exit code of a command line that cannot be read.
    fn usage_code() -> u8 {
        exit_code(Kind::Usage)
    }

    /// The sinks it was built with.
    fn sinks() -> Sinks {
        Sinks::new()
    }

    /// Does what it was asked to.
    fn run(self, face: Face) -> impl Future<Output = Result<()>> + Send;
}

/// What a program works with.
#[derive(Debug, Clone)]
pub struct Face {
    /// Whom to tell and when to stop.
    pub cx: Context,
    /// Where results go.
    pub report: Report,
    /// The common options.
    pub common: Common,
    /// Where backups lie, if that was said.
    pub to: Option<String>,
    /// The options of S3 servers.
    pub s3: S3Args,
    program: &'static str,
    progress: Arc<Progress>,
    sinks: fn() -> Sinks,
}

impl Face {
    /// The repository that `--to` names.
    pub fn repository(&self, seal: Seal, unseal: Unseal) -> Result<Plain> {
        let mut plain = Plain::new(self.open(self.said()?)?, self.program);
        (plain.seal, plain.unseal) = (seal, unseal);
        Ok(plain)
    }

    /// The backup of `job` that is meant. Cut short when the run is cancelled, also where the storage hangs.
    pub async fn which(&self, repo: &Plain, job: &Name, wanted: &Which) -> Result<BackupId> {
        self.cx.unless_cancelled(which(repo, job, wanted)).await
    }

    /// Holds the job: while the journal is open, no other run on this machine can be. [`Kind::Busy`] if one is.
    pub fn hold(&self, job: &Name) -> Result<Journal> {
        Journal::open(&self.locks()?, job)
    }

    /// Keeps the backups of `job` from being pruned on this machine while they are read. [`Kind::Busy`] if they are just now.
    ///
    /// Whoever cannot lock, as with a state folder that is read-only, is warned and reads all the same.
    pub fn reading(&self, job: &Name) -> Result<Option<ReadLock>> {
        match self.locks().and_then(|folder| ReadLock::shared(&folder, job)) {
            Ok(lock) => Ok(Some(lock)),
            Err(error) if error.kind() == Kind::Busy => Err(error),
            Err(error) => {
                let what = format!("nothing keeps a prune from the backups while they are read: {}", error.chain());
                self.cx.tell(Event::Warning { what: &what });
                Ok(None)
            }
        }
    }

    /// The reverse of [`reading`](Self::reading), for whoever deletes backups. [`Kind::Busy`] while one is read.
    pub fn deleting(&self, job: &Name) -> Result<ReadLock> {
        ReadLock::exclusive(&self.locks()?, job)
    }

    /// `resume` of a program that stops nothing: tells that nothing is paused, or that another program's journal says otherwise.
    pub fn nothing_paused(&self, job: &Name) -> Result<()> {
        let journal = self.hold(job)?;
        if let Some(entry) = journal.entry()? {
            let units: Vec<String> = entry.units.iter().map(ToString::to_string).collect();
            return Err(Error::new(Kind::StillPaused, format!("a run left these stopped: {}", units.join(", ")))
                .with_hint("resume them with the program that stopped them"));
        }
        Ok(self.report.result("nothing is paused", &serde_json::json!({"paused": []}))?)
    }

    /// The folder of this machine that `to` names; `None` for a sink that is elsewhere.
    pub fn folder(&self, to: &str) -> Result<Option<std::path::PathBuf>> {
        Ok((self.sinks)().place(to)?.folder)
    }

    /// Fails if `to` names no sink that could be opened. Nothing is asked of a server.
    pub fn could_open(&self, to: &str) -> Result<()> {
        self.open(to).map(drop)
    }

    fn open(&self, to: &str) -> Result<Arc<dyn Sink>> {
        (self.sinks)().open(to, &Opening { cx: &self.cx, s3: &self.s3 })
    }

    /// Takes the bar away, so that a question stands by itself. The next operation that begins has one again.
    pub fn without_bar(&self) {
        self.progress.clear();
    }

    /// Where locks and journals lie.
    pub fn state(&self) -> Result<std::path::PathBuf> {
        self.common.state()
    }

    /// Where `--to` says that backups lie.
    fn said(&self) -> Result<&str> {
        let unsaid = || Error::usage("it is not said where backups lie").with_hint("give --to SINK or set BACKUP_TO");
        self.to.as_deref().ok_or_else(unsaid)
    }

    /// Where the locks of jobs lie: the same job in another sink is another job.
    fn locks(&self) -> Result<std::path::PathBuf> {
        let place = Sha256::of((self.sinks)().place(self.said()?)?.identity.as_encoded_bytes()).to_string();
        Ok(self.common.state()?.join(place.get(..16).unwrap_or(&place)))
    }
}

/// Runs a program and returns its exit code.
///
/// SIGINT, SIGTERM and SIGHUP ask the run to stop; what it paused is brought back, and what must not be cut is awaited. A second
/// one ends it at once, unless something is paused.
pub fn run<P: Program + Send + 'static>() -> ExitCode {
    let program = match parse::<P>() {
        Ok(program) => program,
        Err(error) => {
            // Help and versions are results, everything else is usage.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(P::usage_code()) } else { ExitCode::SUCCESS };
        }
    };
    let (common, to, s3, exit_code) = (program.common().clone(), program.to(), program.s3(), program.exit_codes());
    log(&common);
    let report = Report { json: common.json };
    let progress = Arc::new(Progress::new(report, common.quiet, common.verbose));
    let cx = Context::new(progress.clone());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = Error::failed("failed to start the threads of the program").with_source(error);
            report.error(&error, 1);
            return ExitCode::FAILURE;
        }
    };
    let face = Face { cx: cx.clone(), report, common, to, s3, program: P::NAME, progress: progress.clone(), sinks: P::sinks };
    let done = runtime.block_on(async {
        let signals = Signals::listen();
        let work = async {
            let done = tokio::spawn(program.run(face)).await;
            cx.tasks.close();
            cx.tasks.wait().await;
            done.unwrap_or_else(|error| Err(Error::failed("the program broke off: this is a defect").with_source(error)))
        };
        tokio::select! {
            biased;
            done = work => done,
            () = signals.insisted(&cx) => Err(Error::cancelled()),
        }
    });
    // A read of standard input cannot be cut short, and nobody waits for it any more.
    runtime.shutdown_background();
    let told = progress.end();
    match done.and(told) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = exit_code(&error);
            report.error(&error, code);
            ExitCode::from(code)
        }
    }
}

fn parse<P: Program>() -> Result<P, clap::Error> {
    let mut command = command::<P>();
    let mut matches = command.try_get_matches_from_mut(std::env::args_os())?;
    P::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// What the libraries log goes to standard error, if it is asked for.
fn log(common: &Common) {
    // A service that cannot tell anybody says at least so.
    let level = if common.verbose { "info" } else { "error,backup_service=warn" };
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("BACKUP_LOG").unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber cannot be set; there is only this one.
    let _ = if common.json { builder.json().try_init() } else { builder.without_time().try_init() };
}
