//! Files get their names once they are on disk: one sync of the file system for all that wait.

use std::io;
use std::path::Path;
use std::sync::OnceLock;

use backup_core::Result;
use tokio::sync::{mpsc, oneshot};

use super::tree::Tree;

/// What gives a file its name, and tells when it was modified, in nanoseconds since 1970.
type Place = Box<dyn FnOnce(&Tree) -> io::Result<i128> + Send>;
type Waiting = (Place, oneshot::Sender<io::Result<i128>>);

/// Puts files of a folder in their places. A sync that is under way is waited for by all that were written meanwhile, and the next is
/// for all of them: thousands of small files take a few dozen.
#[derive(Debug, Default)]
pub(super) struct Settle {
    queue: OnceLock<mpsc::UnboundedSender<Waiting>>,
}

impl Settle {
    /// Does `place`, which names a file that is written, once what was written so far is on disk; it is not done if that fails.
    ///
    /// Dropped, it is done or not. Linux before 5.8 tells nobody of what could not be written.
    pub(super) async fn place(
        &self,
        tree: &Tree,
        path: &Path,
        place: impl FnOnce(&Tree) -> io::Result<i128> + Send + 'static,
    ) -> Result<i128> {
        let queue = self.queue.get_or_init(|| {
            let (sender, receiver) = mpsc::unbounded_channel();
            let tree = tree.clone();
            // It ends with the last that can send.
            tokio::task::spawn_blocking(move || settle(&tree, receiver));
            sender
        });
        let (sender, receiver) = oneshot::channel();
        let _ = queue.send((Box::new(place), sender));
        let done = receiver.await.unwrap_or_else(|_| Err(io::Error::other("the thread that names files broke off")));
        tree.told("write", path, done)
    }
}

fn settle(tree: &Tree, mut queue: mpsc::UnboundedReceiver<Waiting>) {
    while let Some(first) = queue.blocking_recv() {
        let mut waiting = vec![first];
        waiting.extend(std::iter::from_fn(|| queue.try_recv().ok()));
        let synced = tree.sync();
        for (place, sender) in waiting {
            // Who does not wait any more gave up.
            if !sender.is_closed() {
                let done = synced.map_err(io::Error::from).and_then(|()| place(tree));
                let _ = sender.send(done);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn all_that_wait_are_named_and_told_their_own_result() {
        let folder = tempfile::tempdir().expect("a folder");
        let (tree, settle) = (Tree::open(folder.path(), false).expect("opened"), Settle::default());
        let one = async |nth: i128| {
            let place = move |_: &Tree| if nth == 7 { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(nth) };
            settle.place(&tree, Path::new("x"), place).await
        };
        let results = futures_util::future::join_all((0..100).map(one)).await;
        for (nth, result) in (0..).zip(results) {
            assert_eq!(result.ok(), (nth != 7).then_some(nth));
        }
    }

    #[tokio::test]
    async fn what_is_not_on_disk_gets_no_name() {
        let (tree, settle) = (Tree::that_cannot_be_synced(), Settle::default());
        let named = Arc::new(AtomicUsize::new(0));
        for _ in 0..3 {
            let named = named.clone();
            let place = move |_: &Tree| Ok(named.fetch_add(1, Ordering::Relaxed) as i128);
            settle.place(&tree, Path::new("x"), place).await.expect_err("the sync failed");
        }
        assert_eq!(named.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_gets_no_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let (tree, settle) = (Tree::open(folder.path(), false).expect("opened"), Settle::default());
        let named = Arc::new(AtomicUsize::new(0));
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let first = settle.place(&tree, Path::new("x"), move |_: &Tree| Ok(wait.recv().map_or(1, |()| 0)));
        let place = || {
            let named = named.clone();
            settle.place(&tree, Path::new("x"), move |_: &Tree| Ok(named.fetch_add(1, Ordering::Relaxed) as i128))
        };
        // Asked once, each is in the queue; the first holds up the others.
        let (mut first, mut dropped) = (Box::pin(first), Box::pin(place()));
        assert!(futures_util::poll!(&mut first).is_pending() && futures_util::poll!(&mut dropped).is_pending());
        drop(dropped);
        go.send(()).expect("it waits");
        first.await.expect("named");
        assert_eq!(place().await.expect("named"), 0, "the one before it got no name");
    }
}
