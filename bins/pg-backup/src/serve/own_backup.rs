//! The work of one job in our own format: a backup, read back, and only then may older ones go.

use std::path::PathBuf;

use async_trait::async_trait;
use backup_cli::Face;
use backup_core::{Context, Doing, Event, Keep, Kind, Name, Options, Plain, Result, Seal, Unseal, backup, prune, verify};
use backup_pg::{Config, data_directory};
use backup_service::config::Backups;
use backup_service::{Outcome, Why, Work};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::volume;
use crate::backup::Reading;

/// Takes backups of one job.
#[derive(Debug)]
pub(super) struct Backup {
    /// Its `--to` is the sink of the job.
    face: Face,
    job: Name,
    place: Option<PathBuf>,
    reading: Reading,
    seal: Seal,
    keep: Keep,
    zone: TimeZone,
}

impl Backup {
    pub(super) fn new(face: Face, job: Name, server: Config, only: Vec<String>, how: &Backups, zone: &TimeZone) -> Self {
        let place = face.to.as_deref().and_then(|to| face.folder(to).ok().flatten());
        let Backups { exclude, role_passwords, external, connections, .. } = how;
        let reading = Reading {
            config: server,
            only,
            exclude: exclude.clone(),
            role_passwords: *role_passwords,
            jobs: *connections,
            external: *external,
        };
        let (compression, recipients, passphrase) = (how.compression, how.recipients.clone(), how.passphrase.clone());
        let seal = Seal { compression, recipients, passphrase };
        Self { face, job, place, reading, seal, keep: how.keep.clone(), zone: zone.clone() }
    }

    /// Takes a backup and verifies it. What fails leaves older ones as they are.
    async fn take(&self, cx: &Context) -> Result<Outcome> {
        if let Some(place) = &self.place {
            volume::warn(cx, place, data_directory(&self.reading.config)).await;
        }
        let job = &self.job;
        let repo = self.face.repository(self.seal.clone(), Unseal::default())?;
        let _held = self.face.hold(job)?;
        let sources = Box::pin(self.reading.clone().sources(cx));
        let manifest = backup(cx, &repo, job, sources, Options::default()).await?;
        let id = manifest.id;
        let reading = self.face.reading(job)?;
        verify(cx, &repo, job, id, false).await.doing(|| format!("read {id} back, so nothing is pruned"))?;
        drop(reading);
        let gone = self.prune(cx, &repo).await.doing(|| format!("prune the backups of {job} after {id}"))?;
        let pruned = if gone == 0 { String::new() } else { format!(", {gone} older ones pruned") };
        let (parts, bytes) = (manifest.parts.len(), manifest.stored_size());
        Ok(Outcome::Done { line: format!("{id} holds {parts} parts in {bytes} bytes, verified{pruned}"), bytes: Some(bytes) })
    }

    /// Lets go of what no rule keeps, and returns how many that were.
    async fn prune(&self, cx: &Context, repo: &Plain) -> Result<usize> {
        let _deleting = match self.face.deleting(&self.job) {
            Err(error) if error.kind() == Kind::Busy => {
                // The next run does it too.
                cx.tell(Event::Warning { what: &format!("nothing of {} is pruned now: {}", self.job, error.chain()) });
                return Ok(0);
            }
            deleting => deleting?,
        };
        let verdicts = prune(cx, repo, &self.job, &self.keep, Timestamp::now(), &self.zone, false).await?;
        Ok(verdicts.iter().filter(|verdict| !verdict.keep).count())
    }
}

#[async_trait]
impl Work for Backup {
    async fn run(&self, cx: &Context, _: Why) -> Result<Outcome> {
        Box::pin(self.take(cx)).await
    }
}
