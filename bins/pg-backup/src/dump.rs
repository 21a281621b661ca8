//! `pg-backup dump` and `pg-backup extract`: plain SQL on standard output.

use std::path::PathBuf;

use backup_cli::Face;
use backup_core::{Doing, Error, Result, Source, body};
use backup_pg::{Cluster, ClusterOptions, Options, RANGE, dump, extract};
use clap::Args;
use tokio::io::{AsyncWriteExt, BufWriter};

use crate::connection::Connection;

/// What to write.
#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// Only this database, without roles
    #[arg(long, value_name = "NAME", conflicts_with = "globals_only")]
    database: Option<String>,
    /// Only roles and tablespaces
    #[arg(long)]
    globals_only: bool,
    /// Only definitions, no rows
    #[arg(long)]
    schema_only: bool,
    /// Leave out the hashes of the roles' passwords
    #[arg(long)]
    no_role_passwords: bool,
    /// Drop what is created before it is created
    #[arg(long)]
    clean: bool,
    /// With --database: create the database and connect to it
    #[arg(long, requires = "database")]
    create: bool,
    /// How many connections read rows at the same time
    #[arg(long, value_name = "N", default_value_t = 2)]
    jobs: usize,
}

impl Dump {
    pub(crate) async fn run(self, face: &Face, connection: &Connection) -> Result<()> {
        let cx = &face.cx;
        let database = Options {
            jobs: self.jobs,
            data: !self.schema_only,
            roles: false,
            create: self.database.is_none() || self.create,
            clean: self.clean,
            range: RANGE,
        };
        let options = ClusterOptions {
            database,
            only: self.database.iter().cloned().collect(),
            exclude: Vec::new(),
            no_role_passwords: self.no_role_passwords || self.database.is_some(),
        };
        let sources = cx.unless_cancelled(Cluster { config: connection.config(cx)?, options }.sources(cx)).await?;
        let last = sources.len().saturating_sub(1);
        let is_global = |at: usize| at == 0 || at == last;
        let wanted = |at: usize| if self.database.is_some() { !is_global(at) } else { !self.globals_only || is_global(at) };
        let sources: Vec<Box<dyn Source>> =
            sources.into_iter().enumerate().filter(|(at, _)| wanted(*at)).map(|(_, source)| source).collect();
        let mut out = BufWriter::with_capacity(256 * 1024, tokio::io::stdout());
        cx.unless_cancelled(dump(cx, &sources, &mut out)).await
    }
}

/// What to take out of which file.
#[derive(Debug, Args)]
pub(crate) struct Extract {
    /// The database to take out
    #[arg(long, value_name = "NAME")]
    database: String,
    /// What pg_dumpall wrote, also compressed by gzip or zstd; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Extract {
    pub(crate) async fn run(self, face: &Face) -> Result<()> {
        let input = if self.file.as_os_str() == "-" {
            body::sound(tokio::io::stdin())
        } else {
            let file = tokio::fs::File::open(&self.file).await.map_err(|error| {
                let kind = if error.kind() == std::io::ErrorKind::NotFound {
                    backup_core::Kind::NotFound
                } else {
                    backup_core::Kind::Failed
                };
                Error::new(kind, format!("failed to open {}", self.file.display())).with_source(error)
            })?;
            body::sound(file)
        };
        let mut out = BufWriter::with_capacity(256 * 1024, tokio::io::stdout());
        let extracted = face.cx.unless_cancelled(async {
            let input = extract::open(input).await?;
            extract::extract(input, self.database.as_bytes(), &mut out).await
        });
        let extracted = extracted.await?;
        out.flush().await.doing(|| "write the database")?;
        extracted.rest.map_or(Ok(()), Err)
    }
}
