//! `pg-backup backup`.

use backup_cli::{Face, SealArgs};
use backup_core::{Name, Options, Result, Source, Unseal, backup, verify};
use backup_pg::{Cluster, ClusterOptions, ExternalCluster, needs_external};
use clap::{Args, ValueEnum};

use crate::connection::Connection;

/// Who reads the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reader {
    /// pg-backup itself, over the wire
    Native,
    /// The program pg_dumpall, for what is not covered
    #[value(name = "pg_dumpall", alias = "pg_dump")]
    PgDumpall,
}

/// What to take, and how it is stored.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Only this database, with the roles; may be given several times
    #[arg(long = "database", value_name = "NAME")]
    databases: Vec<String>,
    /// All but this database; may be given several times
    #[arg(long = "exclude-database", value_name = "NAME")]
    exclude: Vec<String>,
    /// Leave out the hashes of the roles' passwords
    #[arg(long)]
    no_role_passwords: bool,
    /// How many connections read rows at the same time
    #[arg(long, value_name = "N", default_value_t = 4)]
    jobs: usize,
    /// Who reads the server
    #[arg(long, value_enum, default_value = "native")]
    source: Reader,
    /// The cluster may be another one than that of the job's newest backup
    #[arg(long)]
    new_source: bool,
    /// Read the backup back and compare it with its digests when it is taken
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    seal: SealArgs,
}

impl Backup {
    pub(crate) async fn run(self, face: &Face, job: &Name, connection: &Connection) -> Result<()> {
        let cx = &face.cx;
        let repo = face.repository(self.seal.seal()?, Unseal::default())?;
        let held = face.hold(job)?;
        let config = connection.config(cx)?;
        let Self { databases: only, exclude, no_role_passwords, .. } = self;
        let sources = Box::pin(async {
            if self.source == Reader::PgDumpall || needs_external(cx, &config).await? {
                let external = ExternalCluster { config, programs: None, only, exclude, no_role_passwords };
                return Ok(vec![Box::new(external) as Box<dyn Source>]);
            }
            let database = backup_pg::Options { jobs: self.jobs, ..backup_pg::Options::default() };
            let options = ClusterOptions { database, only, exclude, no_role_passwords };
            Cluster { config, options }.sources(cx).await
        });
        let manifest = backup(cx, &repo, job, sources, Options { new_source: self.new_source }).await?;
        let _reading = if self.verify { face.reading(job)? } else { None };
        drop(held);
        if self.verify {
            verify(cx, &repo, job, manifest.id, false).await?;
        }
        Ok(face.report.taken(&manifest)?)
    }
}
