//! Where a healing takes from: dumps, newest first, each verified before it is used.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::{BackupId, Context, Event, Kind, Name, Repository, Result, State, verify};

use crate::dump::{Dump, StoredDump};

/// A dump with the name that people know it by.
#[derive(Debug, Clone)]
pub struct Backup {
    /// Its ID, or the name of its archive.
    pub id: String,
    /// What is in it.
    pub dump: Arc<dyn Dump>,
}

/// Dumps, newest first.
#[async_trait]
pub trait Backups: fmt::Debug + Send {
    /// The next older one that is sound; `None` if there is no other. Those that are damaged are told and passed over.
    async fn older(&mut self, cx: &Context) -> Result<Option<Backup>>;
}

/// The backups of a job, newest first. One that has no record of it is verified before it is used.
#[derive(Debug)]
pub struct Verified<'r> {
    repository: &'r dyn Repository,
    job: Name,
    /// Newest first, and whether it has a record.
    left: Option<VecDeque<(BackupId, bool)>>,
}

impl<'r> Verified<'r> {
    /// The backups of `job`.
    pub fn new(repository: &'r dyn Repository, job: Name) -> Self {
        Self { repository, job, left: None }
    }

    async fn open(&self, cx: &Context, id: BackupId, verified: bool) -> Result<Backup> {
        if !verified {
            verify(cx, self.repository, &self.job, id, true).await?;
        }
        let stored = cx.unless_cancelled(self.repository.open(&self.job, id)).await?;
        Ok(Backup { id: id.to_string(), dump: Arc::new(StoredDump::new(stored)?) })
    }
}

#[async_trait]
impl Backups for Verified<'_> {
    async fn older(&mut self, cx: &Context) -> Result<Option<Backup>> {
        if self.left.is_none() {
            let mut records = cx.unless_cancelled(self.repository.records(&self.job)).await?;
            records.retain(|record| record.state == State::Listed && !record.damaged);
            records.sort_by_key(|record| std::cmp::Reverse(record.id));
            self.left = Some(records.into_iter().map(|record| (record.id, record.verified.is_some())).collect());
        }
        while let Some((id, verified)) = self.left.as_mut().and_then(VecDeque::pop_front) {
            match self.open(cx, id, verified).await {
                Ok(backup) => return Ok(Some(backup)),
                Err(error) if error.kind() == Kind::Damaged => {
                    cx.tell(Event::Warning { what: &format!("backup {id} is passed over: {}", error.chain()) });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// The dumps of one, then those of another.
#[derive(Debug)]
pub struct Chained<'b>(pub &'b mut dyn Backups, pub &'b mut dyn Backups);

#[async_trait]
impl Backups for Chained<'_> {
    async fn older(&mut self, cx: &Context) -> Result<Option<Backup>> {
        match self.0.older(cx).await? {
            Some(backup) => Ok(Some(backup)),
            None => self.1.older(cx).await,
        }
    }
}
