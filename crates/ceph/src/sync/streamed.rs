//! A list that is made on a thread where it may block, read as a stream.

use backup_core::{Error, Result};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::mpsc;

/// How many lines go from a thread to whoever reads them at once.
const BATCH: usize = 256;

/// What `next` gives, on a thread where it may block, until it gives `None` or an error. The thread begins with the first poll.
pub(super) fn streamed<T: Send + 'static>(
    next: impl FnMut() -> Result<Option<T>> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    let receiver = async move {
        let (sender, receiver) = mpsc::channel(2);
        tokio::task::spawn_blocking(move || send(next, &sender));
        stream::unfold(Some(receiver), async |receiver| {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Some(Ok(Some(batch))) => Some((batch.into_iter().map(Ok).collect::<Vec<_>>(), Some(receiver))),
                Some(Ok(None)) => None,
                Some(Err(error)) => Some((vec![Err(error)], None)),
                // A thread that panicked has not come to its end.
                None => Some((vec![Err(Error::failed("a list broke off"))], None)),
            }
        })
    };
    stream::once(receiver).flatten().flat_map(stream::iter).boxed()
}

fn send<T>(mut next: impl FnMut() -> Result<Option<T>>, sender: &mpsc::Sender<Result<Option<Vec<T>>>>) {
    let mut end = None;
    while end.is_none() {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH && end.is_none() {
            match next() {
                Ok(Some(line)) => batch.push(line),
                Ok(None) => end = Some(Ok(None)),
                Err(error) => end = Some(Err(error)),
            }
        }
        // Nobody reads on.
        if sender.blocking_send(Ok(Some(batch))).is_err() {
            return;
        }
    }
    let _ = end.map(|end| sender.blocking_send(end));
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn a_thread_that_panics_is_no_end() {
        let mut left = 3;
        let list = streamed(move || {
            left -= 1;
            assert!(left > 0, "on purpose");
            Ok(Some(left))
        });
        assert!(list.try_collect::<Vec<_>>().await.is_err());
    }
}
