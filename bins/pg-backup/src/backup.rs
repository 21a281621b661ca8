//! `pg-backup backup`.

use backup_cli::{Face, SealArgs};
use backup_core::{Context, Name, Options, Result, Source, Unseal, backup, verify};
use backup_pg::{Cluster, ClusterOptions, Config, ExternalCluster, needs_external};
use clap::{Args, ValueEnum};

use crate::connection::Connection;
use crate::via::Way;

/// Who reads a server.
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
    pub(crate) async fn run(self, face: &Face, job: &Name, connection: &Connection, way: &Way) -> Result<()> {
        let cx = &face.cx;
        let repo = face.repository(self.seal.seal()?, Unseal::default())?;
        let held = face.hold(job)?;
        let wanted = Reading {
            config: connection.config(cx, way)?,
            only: self.databases,
            exclude: self.exclude,
            role_passwords: !self.no_role_passwords,
            jobs: self.jobs,
            external: self.source == Reader::PgDumpall,
        };
        let sources = Box::pin(wanted.sources(cx));
        let manifest = backup(cx, &repo, job, sources, Options { new_source: self.new_source }).await?;
        let _reading = if self.verify { face.reading(job)? } else { None };
        drop(held);
        if self.verify {
            verify(cx, &repo, job, manifest.id, false).await?;
        }
        Ok(face.report.taken(&manifest)?)
    }
}

/// What of which server is read, and by whom.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) config: Config,
    pub(crate) only: Vec<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) role_passwords: bool,
    pub(crate) jobs: usize,
    /// Whether pg_dumpall reads it although pg-backup itself could.
    pub(crate) external: bool,
}

impl Reading {
    /// The sources of a backup of it.
    pub(crate) async fn sources(self, cx: &Context) -> Result<Vec<Box<dyn Source>>> {
        let Self { config, only, exclude, role_passwords, jobs, external } = self;
        let no_role_passwords = !role_passwords;
        if external || needs_external(cx, &config).await? {
            let external = ExternalCluster { config, programs: None, only, exclude, no_role_passwords };
            return Ok(vec![Box::new(external) as Box<dyn Source>]);
        }
        let database = backup_pg::Options { jobs, ..backup_pg::Options::default() };
        let options = ClusterOptions { database, only, exclude, no_role_passwords };
        Cluster { config, options }.sources(cx).await
    }
}
