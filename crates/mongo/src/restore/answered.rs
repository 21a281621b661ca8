//! Nothing is left on its way to the server: of a run that breaks off every write is awaited before what it wrote to is dropped.
//!
//! A write that came to the server after its collection was dropped would make that anew.

use std::pin::pin;
use std::time::Duration;

use backup_core::{Context, Error, Kind, Result};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};

/// How long after a failure the server is given to answer what is on its way.
const SETTLED: Duration = Duration::from_secs(10);

/// Awaits the server's answer to `write`, also of a run that is cancelled meanwhile: [`Kind::Cancelled`] only if the server has not
/// answered ten seconds later.
pub(crate) async fn answered<T>(cx: &Context, write: impl Future<Output = Result<T>>) -> Result<T> {
    if cx.cancel.is_cancelled() {
        return Err(Error::cancelled());
    }
    let mut write = pin!(write);
    tokio::select! {
        biased;
        done = &mut write => done,
        () = cx.cancel.cancelled() => settled(write).await.unwrap_or_else(|| Err(Error::cancelled())),
    }
}

/// Awaits what is on its way, at most ten seconds; `None` if the server has not answered by then.
pub(super) async fn settled<T>(on_its_way: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(SETTLED, on_its_way).await.ok()
}

/// Does all of `work`, so many at once, and returns what came of each. One that fails stops the others by the context that `work`
/// is given, and they are awaited. The error is that of the one that failed.
pub(super) async fn together<'a, W, T>(
    cx: &Context,
    jobs: usize,
    work: impl IntoIterator<Item = W>,
    does: impl Fn(Context, W) -> BoxFuture<'a, Result<T>>,
) -> Result<Vec<T>> {
    let stopping = Context { cancel: cx.cancel.child_token(), ..cx.clone() };
    let running: Vec<BoxFuture<'_, Result<T>>> = work
        .into_iter()
        .map(|one| {
            let (done, stopping) = (does(stopping.clone(), one), &stopping);
            let stops = async move {
                let done = done.await;
                if done.is_err() {
                    stopping.cancel.cancel();
                }
                done
            };
            Box::pin(stops) as BoxFuture<'_, _>
        })
        .collect();
    let done: Vec<Result<T>> = stream::iter(running).buffered(jobs.max(1)).collect().await;
    let is_why = |one: &Result<T>| one.as_ref().is_err_and(|error| error.kind() != Kind::Cancelled);
    let (why, others): (Vec<_>, Vec<_>) = done.into_iter().partition(is_why);
    why.into_iter().chain(others).collect()
}
