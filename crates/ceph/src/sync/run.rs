//! A sync, from both listings to what may be deleted.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup_core::{Context, Doing, Error, Kind, Result};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::bucket::Bucket;
use super::delete::Candidates;
use super::doubts::Doubts;
use super::each::{Outcome, SHARES};
use super::guard::{self, Seen, Verdict};
use super::item::Item;
use super::merge;
use super::names::OWN;
use super::options::{Options, Server};
use super::pace::Pace;
use super::place::{End, Route};
use super::record::Record;
use super::report::{Report, Summary};
use super::settle::Settle;
use super::tree::Tree;
use super::walk::Walk;

/// How many objects are looked at beyond the first that is not done.
const AHEAD: usize = 512;
/// How many failures in a row are enough.
const ENOUGH: u64 = 100;

/// An end of a sync, opened.
#[derive(Debug, Clone)]
pub(super) enum Side {
    Bucket(Bucket),
    Folder(Tree),
}

/// What all objects of a sync have in common.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) report: Arc<Report>,
    pub(super) from: Side,
    pub(super) to: Side,
    pub(super) options: Options,
    pub(super) pace: Arc<Pace>,
    /// Gets what gives up uploads that were dropped.
    pub(super) tasks: TaskTracker,
    /// Shares of jobs.
    pub(super) jobs: Semaphore,
    pub(super) settle: Settle,
    /// Where at the destination what is not wanted any more is kept.
    pub(super) trash: String,
    /// Where in a folder files lie that are not whole.
    pub(super) partial: PathBuf,
}

/// A sync that has copied what there was to copy.
#[derive(Debug)]
pub struct Synced {
    /// What was done so far.
    pub summary: Summary,
    /// Whether what the source no longer has may be deleted.
    pub verdict: Verdict,
    run: Run,
    candidates: Candidates,
    /// Held until the end.
    _record: Option<Record>,
}

/// Makes the destination of `route` have what its source has. Nothing is deleted: that is [`Synced::delete`], whoever decides.
///
/// What cannot be copied is told to the monitor and counted, and the next is gone on with. A listing that fails, a full disk and
/// a hundred failures in a row end the sync; what was copied until then is recorded. [`Kind::Busy`] while another sync from the
/// same source to the same destination runs. When the run is cancelled, files are whole or not there.
pub async fn sync(cx: &Context, route: &Route, from: Option<Server>, to: Option<Server>, options: Options) -> Result<Synced> {
    let same_server = from.as_ref().zip(to.as_ref()).is_some_and(|(from, to)| from.endpoint == to.endpoint);
    if same_server && route.is_circular() {
        return Err(Error::usage(format!("the destination {} and the source {} lie in each other", route.to, route.from)));
    }
    std::fs::create_dir_all(&options.state).doing(|| format!("make the folder {}", options.state.display()))?;
    let source = identity(&route.from, &route.stem, from.as_ref())?;
    let (record_folder, destination) = match &route.to {
        End::Folder(path) => (path.join(OWN), String::new()),
        End::Bucket { .. } => (options.state.join("sync"), identity(&route.to, "", to.as_ref())?),
    };
    let is_there = record_folder.is_dir();
    let from = Side::open(&route.from, from, false)?;
    let to = match (&route.to, options.dry_run) {
        // It would be made.
        (End::Folder(path), true) if !path.exists() => {
            Side::Folder(Tree::open(&options.state, false).doing(|| "open the state")?)
        }
        (end, dry_run) => Side::open(end, to, !dry_run)?,
    };
    let record = if is_there || !options.dry_run { Some(Record::open(&record_folder, &source, &destination)?) } else { None };
    let report = Arc::new(Report::new(cx.clone()));
    let run = Run {
        from,
        to,
        pace: Arc::new(Pace::new(cx.clone(), options.rate)),
        tasks: cx.tasks.clone(),
        jobs: Semaphore::new(options.jobs.max(1) * SHARES as usize),
        settle: Settle::default(),
        trash: format!("{OWN}/trash/{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.6fZ")),
        partial: Path::new(OWN).join("partial").join(record.as_ref().map_or_else(String::new, Record::id)),
        report,
        options,
    };
    let (verdict, candidates) = cx.unless_cancelled(run.copy_all(route, record.as_ref())).await?;
    Ok(Synced { summary: run.report.summary(), verdict, run, candidates, _record: record })
}

impl Synced {
    /// Deletes what the source no longer has, each object only once the source itself has said that it is not there.
    ///
    /// Call it if the verdict is [`Verdict::Delete`], or [`Verdict::Ask`] and a person said yes; otherwise it deletes nothing.
    /// An object that is there although the listing did not show it is [`Kind::Damaged`], and ends it.
    pub async fn delete(self) -> Result<Summary> {
        if matches!(self.verdict, Verdict::Delete | Verdict::Ask(_)) {
            let cx = self.run.report.context().clone();
            cx.unless_cancelled(self.run.delete_all(self.candidates)).await?;
        }
        Ok(self.run.report.summary())
    }
}

impl Side {
    fn open(end: &End, server: Option<Server>, make: bool) -> Result<Self> {
        Ok(match end {
            End::Folder(path) => Self::Folder(Tree::open(path, make).doing(|| format!("open the folder {}", path.display()))?),
            End::Bucket { bucket, base } => {
                let Server { gateway, .. } = server.ok_or_else(|| Error::usage("a bucket needs a server"))?;
                Self::Bucket(Bucket { gateway, bucket: bucket.clone(), base: base.clone() })
            }
        })
    }
}

/// What tells an end from all others, on this machine.
fn identity(end: &End, stem: &str, server: Option<&Server>) -> Result<String> {
    match end {
        End::Bucket { .. } => Ok(format!("{end}{stem} at {}", server.map_or("", |server| &server.endpoint))),
        End::Folder(path) => {
            let path = path.canonicalize().doing(|| format!("look at {}", path.display()))?;
            Ok(format!("{}/{stem}", path.display()))
        }
    }
}

impl Run {
    async fn copy_all(&self, route: &Route, record: Option<&Record>) -> Result<(Verdict, Candidates)> {
        let (source, exact) = self.source(route).await?;
        let destination: BoxStream<'_, _> = match &self.to {
            Side::Bucket(bucket) => bucket.list(&route.stem),
            Side::Folder(_) => self.walk(&route.to, &route.stem, true),
        };
        let written = record.map_or_else(|| stream::empty().boxed(), Record::written);
        let destination = merge::ordered(destination, format!("the listing of {}", route.to));
        let written = merge::ordered(written, "the record of the sync".to_owned());
        let source = merge::ordered(source, format!("the listing of {}", route.from));
        let pairs = merge::merge(source, merge::merge(destination, written));

        let is_meant = |name: &str| (!exact || name == route.stem) && !self.options.filter.excludes(name);
        let mut outcomes =
            pairs.map(|pair| Box::pin(async { Ok::<_, Error>(self.one(pair?, &is_meant).await) })).buffered(AHEAD);
        let mut writer = record.filter(|_| !self.options.dry_run).map(Record::begin).transpose()?;
        let mut candidates = Candidates::new(&self.options.state)?;
        let (mut in_a_row, mut seen) = (0, Seen::default());
        let (mut doubts, mut lost) = (Doubts::default(), Doubts::default());
        while let Some(outcome) = outcomes.next().await {
            let Outcome { record, gone, listed, lost: is_lost, copied, failed } = outcome?;
            if listed {
                doubts.shown();
            }
            if let Some(written) = is_lost {
                lost.push(written);
            }
            seen.ours += u64::from(record.is_some());
            if let Some(written) = record {
                if gone {
                    doubts.push(written.clone());
                    candidates.push(&written)?;
                }
                if let Some(writer) = &mut writer {
                    writer.push(&written)?;
                    if copied {
                        writer.flush()?;
                    }
                }
            }
            in_a_row = if copied { 0 } else { in_a_row };
            if let Some(error) = failed {
                in_a_row += 1;
                if is_the_end(&error) || in_a_row >= ENOUGH {
                    return Err(error);
                }
                self.report.failed(&error);
            }
        }
        drop(outcomes);
        let is_answered = self.dispel(&doubts, &lost).await?;
        // What nobody has answered for is in the record of before, with which one that is not finished is folded.
        if let Some(writer) = writer.filter(|_| is_answered) {
            writer.finish()?;
        }
        let summary = self.report.summary();
        if summary.failed == 0 {
            self.sweep(route);
        }
        (seen.complete, seen.failed, seen.source, seen.gone) = (true, summary.failed, summary.source, candidates.count());
        Ok((guard::judge(&self.options.limits, &seen), candidates))
    }

    /// What the source has, and whether it is one object whose key is the whole prefix: then nothing else is meant.
    async fn source(&self, route: &Route) -> Result<(BoxStream<'static, Result<Item>>, bool)> {
        let mut list = match &self.from {
            Side::Folder(_) => return Ok((self.walk(&route.from, &route.stem, false), route.exact)),
            Side::Bucket(bucket) => bucket.list(&route.stem),
        };
        // In byte order nothing comes before it.
        let first = list.next().await.transpose()?;
        let exact = !route.stem.is_empty() && first.as_ref().is_some_and(|first| first.name == route.stem);
        let first = stream::iter(first.map(Ok));
        Ok(if exact { (first.boxed(), true) } else { (first.chain(list).boxed(), false) })
    }

    fn walk(&self, end: &End, stem: &str, ours: bool) -> BoxStream<'static, Result<Item>> {
        let End::Folder(root) = end else { return stream::empty().boxed() };
        let walk = Walk { root: root.clone(), stem: stem.to_owned(), ours, spill: self.options.state.clone() };
        walk.files(self.report.clone()).map_ok(Item::from).boxed()
    }

    /// Removes what runs that died have left of files.
    fn sweep(&self, route: &Route) {
        if let (End::Folder(root), false) = (&route.to, self.options.dry_run) {
            let _ = std::fs::remove_dir_all(root.join(&self.partial));
        }
    }
}

/// Whether what follows would fail alike.
pub(super) fn is_the_end(error: &Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
            return true;
        }
        next = cause.source();
    }
    error.kind() == Kind::Cancelled
}
