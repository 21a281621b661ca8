//! `--scale-down`: applications that are down while a database is restored.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backup_cli::Face;
use backup_core::journal::Entry;
use backup_core::{Context, Error, Event, Journal, Kind, Lifecycle, Monitor, Name, OnFailure, Result, paused, recover};
use backup_kube::{Access, Namespace, Workload, Workloads};
use clap::Args;
use tokio_util::sync::CancellationToken;

/// Applications that are taken down meanwhile.
#[derive(Debug, Args)]
pub(crate) struct Down {
    /// Scale this workload of a cluster to 0 first, and back at the end: deployment/NAME, statefulset/NAME or
    /// deploymentconfig/NAME; may be given several times, or with commas between them
    #[arg(long = "scale-down", value_name = "KIND/NAME", value_delimiter = ',')]
    workloads: Vec<Workload>,
    /// The namespace of what is scaled [default: that of the kubeconfig or of the pod]
    #[arg(long, value_name = "NAME")]
    namespace: Option<Namespace>,
    /// How many seconds to wait until what is scaled has stopped, and again until it runs
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    scale_timeout: u32,
}

impl Down {
    /// Whether nothing is to be taken down.
    pub(crate) fn is_idle(&self) -> bool {
        self.workloads.is_empty()
    }

    /// The `steps` of a restore, the first of which is done, with what comes before the others and after.
    pub(crate) fn steps(&self, mut steps: Vec<String>) -> Vec<String> {
        if self.workloads.is_empty() {
            return steps;
        }
        let names: Vec<String> = self.workloads.iter().map(ToString::to_string).collect();
        let names = names.join(", ");
        steps.insert(steps.len().min(1), format!("scale {names} to 0 and wait until they have stopped"));
        steps.push(format!("scale {names} back to what they had and wait until they run"));
        steps
    }

    /// Does `work` while they are down. It is handed the context to work with.
    ///
    /// A work that fails before it tells [`Event::Replacing`] has changed nothing that is served: they are brought back. After
    /// that, or killed, half of it could be served: they stay down ([`Kind::StillPaused`]), and the journal says so, until
    /// the same succeeds or a `resume`.
    pub(crate) async fn meanwhile<T, F>(self, face: &Face, job: &Name, work: impl FnOnce(Context) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let cx = &face.cx;
        if self.workloads.is_empty() {
            return Box::pin(work(cx.clone())).await;
        }
        let journal = Arc::new(face.hold(job)?);
        let workloads = Workloads::new(access()?, self.namespace, self.workloads, cx.monitor.clone())?;
        let patience = Duration::from_secs(self.scale_timeout.into());
        let lifecycle: Arc<dyn Lifecycle> = Arc::new(workloads.with_patience(patience));
        let noting = Arc::new(Noting { told: cx.monitor.clone(), has_replaced: AtomicBool::new(false) });
        // On the heap: a restore is a large future, and the bracket hands it on by value.
        let work = Box::pin(work(Context { monitor: noting.clone(), ..cx.clone() }));
        match journal.entry()? {
            Some(entry) if entry.is_held() => return Box::pin(again(cx, &lifecycle, &journal, &entry, work)).await,
            Some(_) => drop(recover(cx, &lifecycle, &journal).await?),
            None => {}
        }
        let has_begun = AtomicBool::new(false);
        let bracket = Context { cancel: CancellationToken::new(), ..cx.clone() };
        let work = async {
            has_begun.store(true, Ordering::Relaxed);
            match work.await {
                Err(error) if !noting.has_replaced.load(Ordering::Relaxed) => Ok(Err(error)),
                done => done.map(Ok),
            }
        };
        let interrupted = async {
            cx.cancel.cancelled().await;
            // The work sees to its own end, so that it takes away what it has made beside.
            if !has_begun.load(Ordering::Relaxed) {
                bracket.cancel.cancel();
            }
            pending::<Infallible>().await
        };
        let done = Box::pin(paused(&bracket, &lifecycle, &journal, OnFailure::Hold, work, |done| async { Ok(done) }));
        tokio::select! {
            done = done => done?,
            never = interrupted => match never {},
        }
    }
}

/// Restores again what an earlier one left half, with the applications down as it left them.
async fn again<T>(
    cx: &Context,
    lifecycle: &Arc<dyn Lifecycle>,
    journal: &Arc<Journal>,
    entry: &Entry,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let running = cx.unless_cancelled(lifecycle.running()).await?;
    if let [first, ..] = running.as_slice() {
        return Err(Error::new(Kind::StillPaused, format!("an earlier restore broke off, and {first} runs"))
            .with_hint("resume first, or name the same workloads as that restore did"));
    }
    let restored = async {
        cx.unless_cancelled(lifecycle.held(&entry.units)).await?;
        cx.tell(Event::Stage { what: "restore again what an earlier run left half; what it stopped is down still" });
        work.await
    };
    let done = restored.await.map_err(|error| {
        Error::new(Kind::StillPaused, format!("still down: {}", listed(entry)))
            .with_source(error)
            .with_hint("restore again, or make the state whole by hand, then resume")
    })?;
    backup_core::resume(cx, lifecycle, journal).await?;
    Ok(done)
}

/// Brings back what a run has stopped and not brought back.
pub(crate) async fn resume(face: &Face, job: &Name) -> Result<()> {
    let journal = Arc::new(face.hold(job)?);
    let Some(entry) = journal.entry()?.filter(|entry| entry.units.iter().all(Workloads::knows)) else {
        drop(journal);
        return face.nothing_paused(job);
    };
    let workloads = access().and_then(|access| Workloads::new(access, None, [], face.cx.monitor.clone()));
    let workloads = workloads.map_err(|error| {
        Error::new(Kind::StillPaused, format!("failed to bring back {}", listed(&entry))).with_source(error)
    })?;
    let lifecycle: Arc<dyn Lifecycle> = Arc::new(workloads);
    backup_core::resume(&face.cx, &lifecycle, &journal).await?;
    let units: Vec<&str> = entry.units.iter().map(|unit| unit.0.as_str()).collect();
    Ok(face.report.result(&format!("runs again: {}", listed(&entry)), &serde_json::json!({"paused": [], "resumed": units}))?)
}

fn access() -> Result<Access> {
    Access::find(|name| std::env::var(name).ok())
}

fn listed(entry: &Entry) -> String {
    entry.units.iter().map(|unit| unit.0.as_str()).collect::<Vec<_>>().join(", ")
}

/// Passes all on, and notes whether anything that was there has been replaced.
#[derive(Debug)]
struct Noting {
    told: Arc<dyn Monitor>,
    has_replaced: AtomicBool,
}

impl Monitor for Noting {
    fn on(&self, event: Event<'_>) {
        if matches!(event, Event::Replacing { .. }) {
            self.has_replaced.store(true, Ordering::Relaxed);
        }
        self.told.on(event);
    }
}
