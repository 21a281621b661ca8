//! Services that come back by themselves when whoever stopped them is gone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::{Error, Lifecycle, Result, Unit};
use tokio::task::AbortHandle;

use super::{Guard, Progress};

/// The longest time until it is seen that a guard has fired: well below that for which it then goes on looking (`guard.sh`).
const LOOK: Duration = Duration::from_secs(10);

/// A lifecycle whose units a [`Guard`] brings back if nobody else does.
///
/// The guard is left before anything stops, and ended once all runs again. Meanwhile its lease is renewed, four times in its length
/// or more, as long as there is [`Progress`]. A guard that has fired, or is gone, fails [`held`](Lifecycle::held): nothing of that
/// copy counts. Not for work whose failure leaves units stopped: the guard knows of no such thing.
#[derive(Debug)]
pub struct Guarded {
    inner: Arc<dyn Lifecycle>,
    guard: Arc<Guard>,
    progress: Progress,
    renewing: Mutex<Option<AbortHandle>>,
}

impl Guarded {
    /// `inner`, guarded by `guard`, whose lease is renewed as long as `progress` is made.
    pub fn new(inner: Arc<dyn Lifecycle>, guard: Guard, progress: Progress) -> Self {
        Self { inner, guard: Arc::new(guard), progress, renewing: Mutex::default() }
    }

    fn renew(&self, task: Option<AbortHandle>) {
        let before = std::mem::replace(&mut *self.renewing.lock().unwrap_or_else(PoisonError::into_inner), task);
        if let Some(before) = before {
            before.abort();
        }
    }
}

/// Renews the lease, at once and then whenever there was progress since the last time, until the guard is no longer armed.
async fn keep(guard: Arc<Guard>, progress: Progress) {
    let (mut number, mut renewed) = (0, None);
    loop {
        let count = progress.count();
        if renewed != Some(count) {
            number += 1;
            match guard.renew(number).await {
                Ok(true) => renewed = Some(count),
                Ok(false) => return tracing::warn!("the guard on the host has fired"),
                Err(error) => tracing::warn!(error = %error.chain(), "the lease of the guard was not renewed"),
            }
        }
        tokio::time::sleep((guard.lease() / 4).min(LOOK)).await;
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.renew(None);
    }
}

#[async_trait]
impl Lifecycle for Guarded {
    async fn running(&self) -> Result<Vec<Unit>> {
        self.inner.running().await
    }

    async fn pause(&self, units: &[Unit]) -> Result<()> {
        if units.is_empty() {
            return Ok(());
        }
        let script = self.inner.resume_script(units);
        let script = script.ok_or_else(|| Error::failed("no script brings these services back, so nothing can guard them"))?;
        self.guard.arm(&script).await?;
        let mut keeping = tokio::spawn(keep(self.guard.clone(), self.progress.clone()));
        self.renew(Some(keeping.abort_handle()));
        tokio::select! {
            done = self.inner.pause(units) => if done.is_err() {
                // If it has fired, that is why they do not stop.
                self.guard.held().await?;
                return done;
            },
            // Whatever is stopped from here on would stay so.
            _ = &mut keeping => {
                self.guard.held().await?;
                return Err(Error::failed("the lease of the guard on the host is not renewed any more"));
            }
        }
        self.guard.held().await
    }

    async fn held(&self, units: &[Unit]) -> Result<()> {
        let held = self.inner.held(units).await;
        // Asked last: if it has not fired by now it started nothing until then. If it has, that is why something runs.
        if !units.is_empty() {
            self.guard.held().await?;
        }
        held
    }

    async fn resume(&self, units: &[Unit]) -> Result<()> {
        self.inner.resume(units).await?;
        self.renew(None);
        if let Some(said) = self.guard.disarm().await? {
            tracing::warn!(%said, "the guard on the host had brought the services back");
        }
        Ok(())
    }

    fn resume_script(&self, units: &[Unit]) -> Option<String> {
        self.inner.resume_script(units)
    }
}
