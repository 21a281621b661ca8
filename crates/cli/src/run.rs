//! Runs a program from its command line to its exit code.

use std::process::ExitCode;
use std::sync::Arc;

use backup_core::{Context, Error, Journal, Kind, Name, Plain, Result, Seal, Sha256, Unseal};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::common::Common;
use crate::exit::exit_code;
use crate::progress::Progress;
use crate::report::Report;
use crate::sinks::Sinks;

/// A program of the family.
pub trait Program: Parser {
    /// Name and version, as they stand in manifests.
    const NAME: &'static str;

    /// Its common options.
    fn common(&self) -> &Common;

    /// The sinks it was built with.
    fn sinks() -> Sinks {
        Sinks::new()
    }

    /// Does what it was asked to.
    fn run(self, face: Face) -> impl Future<Output = Result<()>> + Send;
}

/// What a program works with.
#[derive(Debug)]
pub struct Face {
    /// Whom to tell and when to stop.
    pub cx: Context,
    /// Where results go.
    pub report: Report,
    /// The common options.
    pub common: Common,
    program: &'static str,
    sinks: fn() -> Sinks,
}

impl Face {
    /// The repository that `--to` names.
    pub fn repository(&self, seal: Seal, unseal: Unseal) -> Result<Plain> {
        let to = self.common.to.as_deref();
        let to =
            to.ok_or_else(|| Error::usage("it is not said where backups lie").with_hint("give --to SINK or set BACKUP_TO"))?;
        let mut plain = Plain::new((self.sinks)().open(to)?, self.program);
        (plain.seal, plain.unseal) = (seal, unseal);
        Ok(plain)
    }

    /// Holds the job: while the journal is open, no other run on this machine can be. [`Kind::Busy`] if one is.
    pub fn hold(&self, job: &Name) -> Result<Journal> {
        // The same job in another sink is another job. A path is the same however it is written.
        let to = self.common.to.as_deref().unwrap_or_default();
        let path = to.strip_prefix("file://localhost").or_else(|| to.strip_prefix("file://")).unwrap_or(to);
        let place = if path.contains("://") { path.into() } else { std::path::absolute(path).unwrap_or_else(|_| path.into()) };
        let place: std::path::PathBuf = place.components().collect();
        let folder = self.common.state()?.join(&Sha256::of(place.as_os_str().as_encoded_bytes()).to_string()[..16]);
        Journal::open(&folder, job)
    }
}

impl Face {
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
}

/// Runs a program and returns its exit code.
///
/// SIGINT, SIGTERM and SIGHUP ask the run to stop; what it paused is brought back, and what must not be cut is awaited.
pub fn run<P: Program + Send + 'static>() -> ExitCode {
    let program = match P::try_parse() {
        Ok(program) => program,
        Err(error) => {
            // Help and versions are results, everything else is usage.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(exit_code(Kind::Usage)) } else { ExitCode::SUCCESS };
        }
    };
    let common = program.common().clone();
    log(&common);
    let progress = Arc::new(Progress::new(common.json, common.quiet, common.verbose));
    let cx = Context::new(progress.clone());
    let report = Report { json: common.json };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = Error::failed("failed to start the threads of the program").with_source(error);
            report.error(&error, 1);
            return ExitCode::FAILURE;
        }
    };
    let face = Face { cx: cx.clone(), report, common, program: P::NAME, sinks: P::sinks };
    let done = runtime.block_on(async {
        let signals = tokio::spawn(signals(cx.clone()));
        let done = tokio::spawn(program.run(face)).await;
        cx.tasks.close();
        cx.tasks.wait().await;
        signals.abort();
        done.unwrap_or_else(|error| Err(Error::failed("the program broke off: this is a defect").with_source(error)))
    });
    // A read of standard input cannot be cut short, and nobody waits for it any more.
    runtime.shutdown_background();
    progress.clear();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = exit_code(error.kind());
            report.error(&error, code);
            ExitCode::from(code)
        }
    }
}

/// Cancels the run at the first signal that asks for it.
async fn signals(cx: Context) {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut streams: Vec<_> = kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
    let waits = streams.iter_mut().map(|stream| Box::pin(stream.recv()));
    futures_util::future::select_all(waits).await;
    cx.cancel.cancel();
}

/// What the libraries log goes to standard error, if it is asked for.
fn log(common: &Common) {
    let level = if common.verbose { "info" } else { "error" };
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("BACKUP_LOG").unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber cannot be set; there is only this one.
    let _ = if common.json { builder.json().try_init() } else { builder.without_time().try_init() };
}
