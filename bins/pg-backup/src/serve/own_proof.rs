//! The proof of one job on schedule: its newest backup, restored into a scratch server and compared.

use std::sync::Arc;

use async_trait::async_trait;
use backup_cli::Face;
use backup_core::{Context, Event, Name, Result, Seal, Unseal, Which};
use backup_pg::restore::RestoreOptions;
use backup_service::config::Proof;
use backup_service::{Outcome, Why, Work};

use crate::check::Check;
use crate::prove::{How, Proven};

/// Proves the newest backup of one job.
#[derive(Debug)]
pub(super) struct Prove {
    /// Its `--to` is the sink of the job.
    face: Face,
    job: Name,
    unseal: Unseal,
    how: How,
}

impl Prove {
    pub(super) fn new(face: Face, job: Name, unseal: Unseal, proof: &Proof) -> Self {
        let check = Check::new(proof.check_sql.clone(), proof.check_database.clone());
        let (pg_bin, scratch_dir) = (proof.pg_bin.clone(), proof.scratch_dir.clone());
        let how = How { scratch: None, way: Arc::default(), pg_bin, scratch_dir, options: RestoreOptions::default(), check };
        Self { face, job, unseal, how }
    }

    /// Proves it. That there is no backup is a failure, as nothing was proven.
    async fn prove(&self, cx: &Context) -> Result<Outcome> {
        let repo = self.face.repository(Seal::default(), self.unseal.clone())?;
        let _reading = self.face.reading(&self.job)?;
        let id = self.face.which(&repo, &self.job, &Which::Latest).await?;
        let Proven { checked, stopped, .. } = self.how.clone().prove(cx, &repo, &self.job, id).await;
        if let Err(error) = stopped {
            cx.tell(Event::Warning { what: &error.chain() });
        }
        let counts = checked?.counts;
        let counts: Vec<String> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        Ok(Outcome::Done { line: format!("{id} is proven: equal in {}", counts.join(", ")), bytes: None })
    }
}

#[async_trait]
impl Work for Prove {
    async fn run(&self, cx: &Context, _: Why) -> Result<Outcome> {
        Box::pin(self.prove(cx)).await
    }

    fn is_proof(&self) -> bool {
        true
    }
}
