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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_was_not_sent_yet_is_not_sent_and_what_was_is_awaited() {
        let cx = Context::default();
        let sent = answered(&cx, async {
            cx.cancel.cancel();
            tokio::task::yield_now().await;
            Ok("it came")
        });
        assert_eq!(sent.await.expect("it is awaited"), "it came");
        let sent = AtomicUsize::new(0);
        let write = async {
            sent.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        assert_eq!(answered(&cx, write).await.expect_err("stopped").kind(), Kind::Cancelled);
        assert_eq!(sent.into_inner(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_answer_is_not_awaited_for_ever() {
        let cx = Context::default();
        let stop = async { cx.cancel.cancel() };
        let (done, ()) = tokio::join!(answered(&cx, std::future::pending::<Result<()>>()), stop);
        assert_eq!(done.expect_err("stopped").kind(), Kind::Cancelled);
    }

    /// The third of four fails; the first, the second and what is begun later are stopped by that, and end by themselves.
    #[tokio::test]
    async fn one_that_fails_stops_the_others_and_is_the_error() {
        let ended = Mutex::new(Vec::new());
        let (ended, cx) = (&ended, Context::default());
        for jobs in [3, 4] {
            let done = together(&cx, jobs, 0..4, |cx, number| {
                Box::pin(async move {
                    if number == 2 {
                        tokio::task::yield_now().await;
                        return Err(Error::failed("the third fails"));
                    }
                    cx.cancel.cancelled().await;
                    // What it has on its way takes a while.
                    tokio::task::yield_now().await;
                    ended.lock().expect("no panic").push(number);
                    Err::<(), _>(Error::cancelled())
                })
            });
            let error = done.await.expect_err("one failed");
            assert!(error.kind() == Kind::Failed && error.chain().contains("the third fails"), "{error:?}");
            let mut ended = std::mem::take(&mut *ended.lock().expect("no panic"));
            ended.sort_unstable();
            assert_eq!(ended, [0, 1, 3], "{jobs}");
        }
    }

    #[tokio::test]
    async fn so_many_are_at_work_at_once_and_each_answer_has_its_place() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (now, most, cx) = (&now, &most, Context::default());
        let done = together(&cx, 3, 0..20, |_, number| {
            Box::pin(async move {
                most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                for _ in 0..20 - number {
                    tokio::task::yield_now().await;
                }
                now.fetch_sub(1, Ordering::Relaxed);
                Ok(number)
            })
        });
        assert_eq!(done.await.expect("all"), (0..20).collect::<Vec<_>>());
        assert_eq!(most.load(Ordering::Relaxed), 3);
    }
}
