//! What there is of a backup or an attempt, told by the files beside its parts.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;
use jiff::Timestamp;

use crate::attempt::{self, Attempt, Failed, Lease};
use crate::stored::read_outline;
use crate::{BackupId, Depth, Doing, Entry, Error, Key, Kind, Name, Record, Records, Result, Sink, State, layout};

/// What there is of `id`; `None` for what a deletion left that broke off.
///
/// Never an error: a backup that cannot be looked at is told as one, and is not in the way of the others.
pub(crate) async fn look(sink: &dyn Sink, job: &Name, id: BackupId) -> Option<Records> {
    let mut records = Records::new(id, State::Listed);
    match read(sink, job, &mut records).await {
        Ok(true) => {}
        Ok(false) => return None,
        Err(error) => {
            (records.unreadable, records.why) = (true, Some(error.chain()));
            (records.verified, records.proven) = (None, None);
        }
    }
    Some(records)
}

/// Fills `records`; `false` if there is nothing to tell.
async fn read(sink: &dyn Sink, job: &Name, records: &mut Records) -> Result<bool> {
    let beside = Beside::list(sink, job, records.id).await?;
    if !beside.is_listed() {
        records.state = State::Failed;
    }
    match beside.state().await? {
        Some(state) => (records.state, records.why) = state,
        None => return Ok(false),
    }
    if records.state != State::Listed {
        return Ok(true);
    }
    records.pinned = beside.files.contains(layout::PIN);
    if records.pinned {
        records.pin = beside.why_pinned().await;
    }
    match read_outline(sink, job, records.id).await {
        Ok(outline) => (records.size, records.needs) = (Some(outline.stored_size()), outline.needs),
        // Someone deletes it just now.
        Err(error) if error.kind() == Kind::NotFound => return Ok(false),
        Err(error) if error.kind() == Kind::Damaged => (records.damaged, records.why) = (true, Some(error.chain())),
        Err(error) => return Err(error),
    }
    let verified = match beside.newest(layout::VERIFIED).await? {
        (at, Some(Record::Verified { .. })) => at,
        _ => None,
    };
    let proven = match beside.newest(layout::PROOF).await? {
        (at, Some(Record::Proven { checked, .. })) if checked.is_proof() => at,
        _ => None,
    };
    // Damage takes back what was good before it, also where the record of it cannot be read any more: its name says when.
    let damaged = beside.newest_name(layout::DAMAGED).map(|(at, _)| at);
    if damaged.is_some() && verified <= damaged {
        records.damaged = true;
        let what = match beside.newest(layout::DAMAGED).await {
            Ok((_, Some(Record::Damaged { what, .. }))) => what,
            _ => "it was found damaged, and the record of that cannot be read".to_owned(),
        };
        records.why.get_or_insert(what);
    }
    if !records.damaged {
        records.verified = verified.map(BackupId::time);
        records.proven = proven.filter(|at| damaged < Some(*at)).map(BackupId::time);
    }
    Ok(true)
}

/// The files beside the parts of a backup.
pub(crate) struct Beside<'a> {
    sink: &'a dyn Sink,
    folder: Key,
    files: BTreeSet<String>,
}

impl<'a> Beside<'a> {
    /// Lists them.
    pub(crate) async fn list(sink: &'a dyn Sink, job: &Name, id: BackupId) -> Result<Self> {
        let folder = layout::folder(job, id)?;
        let entries = sink.list(&folder, Depth::One).try_filter_map(async |entry| {
            Ok(if let Entry::Object(key, _) = entry { Some(key.file_name().to_owned()) } else { None })
        });
        let files = entries.try_collect().await.doing(|| format!("list {folder}"))?;
        Ok(Self { sink, folder, files })
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether there is a manifest.
    pub(crate) fn is_listed(&self) -> bool {
        self.files.contains(layout::MANIFEST)
    }

    /// How far it got, and why no further; `None` for what a deletion left that broke off.
    pub(crate) async fn state(&self) -> Result<Option<(State, Option<String>)>> {
        if self.is_listed() {
            return Ok(Some((State::Listed, None)));
        }
        if self.files.contains(layout::FAILED) {
            let failed = soft(attempt::read::<Failed>(self.sink, &self.folder, layout::FAILED).await)?;
            return Ok(Some((State::Failed, failed.map(|failed| failed.why))));
        }
        if !self.files.contains(layout::ATTEMPT) {
            return Ok(None);
        }
        let attempt = soft(attempt::read::<Attempt>(self.sink, &self.folder, layout::ATTEMPT).await)?;
        let mut until = attempt.map(|attempt| attempt.until);
        let nth = |name: &str| layout::between(name, layout::LEASE)?.parse::<u64>().ok();
        if let Some((_, name)) = self.files.iter().filter_map(|name| Some((nth(name)?, name))).max() {
            let lease = soft(attempt::read::<Lease>(self.sink, &self.folder, name).await)?;
            until = until.max(lease.map(|lease| lease.until));
        }
        let died = || {
            Some(until.map_or("its attempt.json is damaged".into(), |until| format!("its run died: the lease ended {until}")))
        };
        let runs = until.is_some_and(|until| attempt::runs(until, Timestamp::now()));
        Ok(Some(if runs { (State::Running, None) } else { (State::Failed, died()) }))
    }

    /// The second in the name of the newest record of any kind.
    fn newest_time(&self) -> Option<BackupId> {
        let kinds = [layout::VERIFIED, layout::DAMAGED, layout::PROOF];
        kinds.into_iter().filter_map(|kind| self.newest_name(kind)).map(|(at, _)| at).max()
    }

    /// The name of the newest record of a kind, and the second in it: the order of records, whatever the clock says.
    fn newest_name(&self, prefix: &str) -> Option<(BackupId, &str)> {
        let at = |name: &str| layout::between(name, prefix)?.parse::<BackupId>().ok();
        self.files.iter().filter_map(|name| Some((at(name)?, name.as_str()))).max()
    }

    /// The newest record of a kind, and the second in its name. One that is damaged is none.
    async fn newest(&self, prefix: &str) -> Result<(Option<BackupId>, Option<Record>)> {
        match self.newest_name(prefix) {
            Some((at, name)) => Ok((Some(at), soft(attempt::read(self.sink, &self.folder, name).await)?)),
            None => Ok((None, None)),
        }
    }

    /// Puts a record that comes after all that are there: where the clock stepped back, a second after the newest.
    pub(crate) async fn put(&mut self, prefix: &str, now: Timestamp, record: &Record) -> Result<()> {
        // Each turn is lost to another run that puts one in the same second.
        for _ in 0..100 {
            let at = BackupId::next(now, self.newest_time());
            let name = format!("{prefix}{at}.json");
            match attempt::write(self.sink, &self.folder, &name, record).await {
                Err(error) if error.kind() == Kind::AlreadyExists => drop(self.files.insert(name)),
                written => return written,
            }
        }
        Err(Error::failed("found no free name for the record"))
    }

    /// Why it is pinned, if that can be read: it counts without.
    async fn why_pinned(&self) -> Option<String> {
        match attempt::read(self.sink, &self.folder, layout::PIN).await {
            Ok(Some(Record::Pinned { why, .. })) => why,
            _ => None,
        }
    }

    /// Puts the pin; one that is there stays as it is.
    pub(crate) async fn pin(&self, record: &Record) -> Result<()> {
        let pinned = attempt::write(self.sink, &self.folder, layout::PIN, record).await;
        pinned.or_else(|error| if error.kind() == Kind::AlreadyExists { Ok(()) } else { Err(error) })
    }
}

/// What is read beside a backup may be damaged; then it counts for nothing.
fn soft<T>(read: Result<Option<T>>) -> Result<Option<T>> {
    match read {
        Err(error) if error.kind() == Kind::Damaged => {
            tracing::warn!(error = error.chain(), "a file beside a backup counts for nothing");
            Ok(None)
        }
        read => read,
    }
}
