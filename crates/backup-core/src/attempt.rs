//! A backup before it is one: who takes it, and whether anyone still does.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio_util::task::AbortOnDropHandle;

use crate::{BackupId, Context, Doing, Error, Event, Key, Kind, Name, Result, Sink, body, layout, own_digest};

/// The longest lease, and so the furthest in the future that one is believed: clocks step back.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest time between two renewals.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest file beside a backup that is read, in bytes. A proof with many differences is the largest.
const SMALL: u64 = 16 * 1024 * 1024;

/// `attempt.json`: whoever put it owns the folder.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) job: Name,
    pub(crate) id: BackupId,
    pub(crate) program: String,
    pub(crate) started: Timestamp,
    /// When it counts as failed unless a lease was put meanwhile.
    pub(crate) until: Timestamp,
}

/// `lease-0001.json`: the attempt goes on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Lease {
    pub(crate) until: Timestamp,
}

/// `failed.json`: the attempt does not go on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) at: Timestamp,
    pub(crate) why: String,
}

/// When a lease that begins now ends.
pub(crate) fn until(lease: Duration) -> Timestamp {
    let lease = SignedDuration::try_from(lease.min(LONGEST)).unwrap_or(SignedDuration::ZERO);
    Timestamp::now().saturating_add(lease).unwrap_or(Timestamp::MAX)
}

/// Whether a lease until `until` runs at `now`.
pub(crate) fn runs(until: Timestamp, now: Timestamp) -> bool {
    let longest = SignedDuration::try_from(LONGEST).unwrap_or(SignedDuration::ZERO);
    now < until && until.duration_since(now) <= longest
}

/// Renews the lease of the attempt in `folder` at a third of it, for as long as what is returned lives.
pub(crate) fn renewed(cx: &Context, sink: &Arc<dyn Sink>, folder: &Key, lease: Duration) -> AbortOnDropHandle<()> {
    let (monitor, sink, folder) = (cx.monitor.clone(), sink.clone(), folder.clone());
    let renewing = async move {
        for nth in 1_u64.. {
            tokio::time::sleep((lease.min(LONGEST) / 3).max(SHORTEST)).await;
            let key = format!("{}{nth:04}.json", layout::LEASE);
            if let Err(error) = write(&*sink, &folder, &key, &Lease { until: until(lease) }).await {
                // The next one may get through, and the one before still runs twice as long.
                monitor.on(Event::Warning { what: &format!("failed to renew the lease: {}", error.chain()) });
            }
        }
    };
    AbortOnDropHandle::new(cx.tasks.spawn(renewing))
}

/// Puts a small JSON file, which ends in its own digest.
pub(crate) async fn write(sink: &dyn Sink, folder: &Key, name: &str, value: &impl Serialize) -> Result<()> {
    let key = folder.join(name)?;
    let json = serde_json::to_string_pretty(value).doing(|| format!("write {key} as JSON"))?;
    sink.put(&key, body::from_bytes(own_digest::seal(json))).await.map(drop)
}

/// Reads a small JSON file; `None` if it is not there. One that does not say what it must is damaged.
pub(crate) async fn read<T: DeserializeOwned>(sink: &dyn Sink, folder: &Key, name: &str) -> Result<Option<T>> {
    let key = folder.join(name)?;
    let body = match sink.get(&key, None).await {
        Err(error) if error.kind() == Kind::NotFound => return Ok(None),
        body => body?,
    };
    let bytes = body::to_vec(body, SMALL).await.doing(|| format!("read {key}"))?;
    let wrong = |error| Error::damaged(format!("{key} does not say what it must")).with_source(error);
    serde_json::from_str(own_digest::open(&bytes, key.as_str())?).map(Some).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_runs_out_and_one_from_another_time_is_not_believed() {
        let now = Timestamp::now();
        assert!(runs(until(Duration::from_secs(60)), now));
        assert!(!runs(now, now));
        assert!(!runs(now + SignedDuration::from_hours(25), now));
        assert!(!runs(until(Duration::ZERO), Timestamp::now()));
        assert!(runs(until(Duration::MAX), Timestamp::now()));
    }
}
