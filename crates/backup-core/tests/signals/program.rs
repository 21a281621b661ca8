//! The program under test: it handles signals and exits as our programs do, and waits where it is told to.

use std::env;
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use backup_core::journal::Entry;
use backup_core::{Context, Kind, Lifecycle, OnFailure, Result, paused, recover, resume};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::machine::{Processes, open_journal};
use crate::unit::be_a_unit;

/// Says `@point` and waits for a line.
#[derive(Debug)]
pub(crate) struct Announcer(Mutex<UnboundedReceiver<()>>);

impl Announcer {
    fn new() -> Self {
        let (sender, receiver) = unbounded_channel();
        std::thread::spawn(move || {
            for _ in std::io::stdin().lock().lines() {
                let _ = sender.send(());
            }
        });
        Self(Mutex::new(receiver))
    }

    pub(crate) async fn point(&self, point: &str) {
        say(&format!("@{point}"));
        if self.0.lock().await.recv().await.is_none() {
            // Whoever started us is gone.
            std::process::exit(99);
        }
    }
}

/// Does what `PROGRAM_COMMAND` says and exits; returns if it says nothing.
pub(crate) fn main() {
    let (Ok(command), Some(folder)) = (env::var("PROGRAM_COMMAND"), env::var_os("PROGRAM_FOLDER")) else { return };
    let folder = Path::new(&folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    if command == "unit" {
        runtime.block_on(be_a_unit(folder, &env::var("PROGRAM_UNIT").expect("a unit")));
        std::process::exit(0);
    }
    // Away from what the harness has said on this line.
    say("");
    std::process::exit(match runtime.block_on(run(&command, folder)) {
        Ok(()) => 0,
        Err(error) => {
            say(&format!("={error:?} {}", error.chain()));
            match error.kind() {
                Kind::StillPaused => 5,
                Kind::Busy => 75,
                Kind::Cancelled => 130,
                _ => 1,
            }
        }
    });
}

async fn run(command: &str, folder: &Path) -> Result<()> {
    let journal = Arc::new(open_journal(folder)?);
    let cx = Context::default();
    cancel_on_signals(&cx);
    let announcer = env::var("PROGRAM_ANNOUNCES").is_ok_and(|yes| yes == "yes").then(|| Arc::new(Announcer::new()));
    let lifecycle: Arc<dyn Lifecycle> = match &announcer {
        Some(announcer) => Arc::new(Processes::announcing(folder, announcer.clone())),
        None => Arc::new(Processes::new(folder)),
    };
    let point = async |point| {
        if let Some(announcer) = &announcer {
            announcer.point(point).await;
        }
    };
    let done = match command {
        "recover" => recover(&cx, &lifecycle, &journal).await.map(tell),
        "resume" => resume(&cx, &lifecycle, &journal).await.map(tell),
        _ => {
            let holds = env::var("PROGRAM_HOLDS").is_ok_and(|yes| yes == "yes");
            let on_failure = if holds { OnFailure::Hold } else { OnFailure::Resume };
            let work = async {
                point("working").await;
                point("worked").await;
                Ok(())
            };
            let commit = async |()| {
                point("committing").await;
                std::fs::write(folder.join("committed"), "")?;
                point("committed").await;
                Ok(())
            };
            let done = paused(&cx, &lifecycle, &journal, on_failure, work, commit).await;
            if done.is_ok() {
                point("struck").await;
            }
            done
        }
    };
    cx.tasks.close();
    cx.tasks.wait().await;
    done
}

fn tell(entry: Option<Entry>) {
    let units = entry.map(|entry| entry.units.iter().map(|unit| unit.0.clone()).collect::<Vec<_>>().join(", "));
    say(&units.map_or("=nothing".to_owned(), |units| format!("=back {units}")));
}

fn cancel_on_signals(cx: &Context) {
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut signals = signal(kind).expect("a handler");
        let cancel = cx.cancel.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                say("=signal");
                cancel.cancel();
            }
        });
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// This very test program, as another process: in a group of its own, as a daemon would be.
pub(crate) fn this_program(folder: &Path, command: &str) -> Command {
    let mut program = Command::new(env::current_exe().expect("the test program"));
    program.args(["--exact", "the_program", "--nocapture"]);
    // On the harness's only thread: from another it says after a minute that this takes long, and dies where nobody listens.
    program.env("RUST_TEST_THREADS", "1");
    program.env("PROGRAM_COMMAND", command).env("PROGRAM_FOLDER", folder);
    program.stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    program
}
