//! Signals that ask a run to stop: the first asks, a second one insists.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use backup_core::{Context, Event};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

/// What comes so soon after the first counts as the same: timeout(1) and shells that end send two at once.
const ONCE: Duration = Duration::from_secs(1);

/// SIGINT, SIGTERM and SIGHUP from when it is made on; those that whoever started us ignores stay ignored, as nohup(1) has it.
pub(crate) struct Signals(Vec<Signal>);

impl Signals {
    /// Listens from here on. To be called in the runtime, before there is anything to stop.
    pub(crate) fn listen() -> Self {
        let ignored = std::fs::read_to_string("/proc/self/status").map(|status| ignored(&status)).unwrap_or_default();
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let kinds = kinds.into_iter().filter(|kind| ignored & (1 << (kind.as_raw_value() - 1)) == 0);
        Self(kinds.filter_map(|kind| signal(kind).ok()).collect())
    }

    /// Cancels the run at the first signal, and returns at a second one: then the process is to end at once.
    ///
    /// Not while something is stopped: to bring that back comes first, and to end earlier there is SIGKILL and a `resume`.
    pub(crate) async fn insisted(mut self, cx: &Context) {
        self.next().await;
        let first = Instant::now();
        cx.cancel.cancel();
        loop {
            self.next().await;
            if first.elapsed() < ONCE {
                continue;
            }
            if cx.brackets.is_empty() {
                return;
            }
            cx.tell(Event::Warning { what: "the run does not end before it has brought back what it stopped" });
        }
    }

    async fn next(&mut self) {
        poll_fn(|task| {
            let came = self.0.iter_mut().any(|signal| signal.poll_recv(task).is_ready());
            if came { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// The signals that a process ignores, the first in the lowest bit, as `/proc/PID/status` tells them.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read_from_the_mask() {
        assert_eq!(
            ignored("Name:\tx\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000004\n"),
            0x1001
        );
        assert_eq!(ignored("SigIgn:\twhat\n"), 0);
        assert_eq!(ignored(""), 0);
    }
}
