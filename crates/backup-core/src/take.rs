//! Takes backups: every part of a source into a draft, a few at a time.

use std::ops::Deref;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Semaphore, oneshot};

use crate::{
    Context, Doing, Draft, Error, Event, Kind, Manifest, Name, Origin, Part, Reading, Repository, Result, Snapshot, Source,
    body,
};

/// How many parts may be on their last steps to the disk, read to their ends, beside those that are being read.
const STORING: usize = 2;

/// What a backup may do beyond the usual.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether the source may be another one than that of the newest backup of the job.
    pub new_source: bool,
}

/// Takes a backup of `sources` for `job`, in turn: each is asked for its instant while the last parts of the
/// one before it are read. There is one when this returns `Ok`, and none if it fails or is dropped.
///
/// The first source says whose state it is; most backups have one source only. Each source's instant is let go of before
/// the backup is made visible: one that was lost meanwhile fails it.
///
/// `sources` is awaited once the attempt has begun: a server that does not answer is a failed attempt, which everyone who
/// looks at the list sees. [`Kind::Usage`] is no sign of that, and leaves no attempt, as far as it can be deleted.
pub async fn backup<S: IntoIterator<Item: Deref<Target: Source>>>(
    cx: &Context,
    repo: &dyn Repository,
    job: &Name,
    sources: impl Future<Output = Result<S>>,
    options: Options,
) -> Result<Manifest> {
    let draft = cx.unless_cancelled(repo.begin(cx, job)).await?;
    let id = draft.id();
    let taken = async {
        let mut sources = cx.unless_cancelled(sources).await?.into_iter();
        let mut next = async || match sources.next() {
            Some(source) => cx.unless_cancelled(source.snapshot(cx, None)).await.map(Some),
            None => Ok(None),
        };
        let (mut origin, mut place) = (None, 0);
        let mut taken = next().await?;
        while let Some(snapshot) = taken {
            if origin.is_none() && !options.new_source {
                cx.unless_cancelled(same_source(repo, job, snapshot.origin())).await?;
            }
            origin.get_or_insert_with(|| snapshot.origin().clone());
            let bytes = snapshot.parts().iter().map(|part| part.estimate).sum();
            cx.tell(Event::Begun { what: "backup", parts: snapshot.parts().len(), bytes });
            let (begun, last) = oneshot::channel();
            let taking = async {
                let place = take_parts(cx, &*draft, place, &*snapshot, begun).await?;
                cx.unless_cancelled(snapshot.close()).await?;
                Ok(place)
            };
            let following = async { if last.await.is_ok() { next().await } else { Ok(None) } };
            (place, taken) = tokio::try_join!(taking, following)?;
        }
        origin.ok_or_else(|| Error::usage("there is nothing to take a backup of"))
    };
    match taken.await {
        // Not cut short from here on: what is under way may be a backup already.
        Ok(origin) => draft.commit(origin).await,
        Err(error) => {
            draft.abort(&error).await;
            if error.kind() == Kind::Usage
                && let Err(error) = repo.delete(job, id).await
            {
                tracing::debug!(%error, "failed to delete an attempt that could not be meant");
            }
            Err(error)
        }
    }
}

/// Refuses an origin that is another one than that of the newest backup of `job`. To be asked before anything is read.
pub async fn same_source(repo: &dyn Repository, job: &Name, origin: &Origin) -> Result<()> {
    match repo.origin(job).await.doing(|| format!("find out whose backups {job} holds"))? {
        Some(newest) if (&newest.kind, &newest.identity) != (&origin.kind, &origin.identity) => {
            let [newest, now] = [&newest, origin].map(|origin| format!("{} {}", origin.kind, origin.identity));
            Err(Error::new(
                Kind::Usage,
                format!("the newest backup of {job} is of another source: {newest}, and this is {now}"),
            )
            .with_hint("back it up as another job, or say that the job has a new source"))
        }
        _ => Ok(()),
    }
}

/// Stores every part of `snapshot`, as many at a time as it is wide, the first at place `first` in the order of restore,
/// and returns the place after the last. A backup is one or more of these and a commit; after an error, or when the run is
/// cancelled, an abort.
pub async fn take(cx: &Context, draft: &dyn Draft, first: u64, snapshot: &dyn Snapshot) -> Result<u64> {
    take_parts(cx, draft, first, snapshot, oneshot::channel().0).await
}

/// As [`take`]; says when no part waits any more.
async fn take_parts(
    cx: &Context,
    draft: &dyn Draft,
    first: u64,
    snapshot: &dyn Snapshot,
    last: oneshot::Sender<()>,
) -> Result<u64> {
    let width = snapshot.width().max(1);
    let turns = Arc::new(Semaphore::new(width));
    let one = async |(order, part): (u64, &Part)| -> Result<()> {
        let turn = Arc::clone(&turns).acquire_owned().await.map_err(|_| Error::cancelled())?;
        let Reading { body, facts } = snapshot.read(&part.name).await?;
        cx.tell(Event::PartBegun { part: &part.name });
        let bytes = draft.put(order, part, body::holding(turn, body), &facts).await?;
        cx.tell(Event::PartDone { part: &part.name, bytes });
        Ok(())
    };
    let mut waiting = (first..).zip(snapshot.parts()).peekable();
    let mut open = FuturesUnordered::new();
    let mut last = Some(last);
    let all = async {
        open.extend(waiting.by_ref().take(width.saturating_add(STORING)).map(&one));
        loop {
            if waiting.peek().is_none() {
                last.take().map(|last| last.send(()));
            }
            let Some(stored) = open.next().await else { return Ok(()) };
            stored?;
            open.extend(waiting.next().map(&one));
        }
    };
    cx.unless_cancelled(all).await?;
    Ok(first.saturating_add(snapshot.parts().len() as u64))
}
