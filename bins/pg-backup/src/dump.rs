//! `pg-backup dump` and `pg-backup extract`: plain SQL on standard output.

use std::path::{Path, PathBuf};

use backup_cli::Face;
use backup_core::{Doing, Error, Result, Source, body};
use backup_pg::{Cluster, ClusterOptions, Options, RANGE, dump, extract};
use clap::Args;
use tempfile::NamedTempFile;
use tokio::fs::File;
use tokio::io::{AsyncWrite, AsyncWriteExt, BufWriter};

use crate::backup::Reader;
use crate::connection::Connection;
use crate::there::Wanted;
use crate::via::Way;

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
    /// Who reads the server: pg_dumpall, or pg_dump for one database, runs where --via leads to
    #[arg(long, value_enum, default_value = "native")]
    source: Reader,
    /// Run pg_dumpall as this user there, by sudo
    #[arg(long, value_name = "USER")]
    run_as: Option<String>,
    /// Write this file instead of standard output; it is there once the dump is whole, and only its owner may read it
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Dump {
    pub(crate) async fn run(self, face: &Face, connection: &Connection, way: &Way) -> Result<()> {
        match &self.output {
            None => self.write(face, connection, way, tokio::io::stdout()).await,
            Some(path) => {
                let output = Output::create(path)?;
                self.write(face, connection, way, output.file()?).await?;
                output.commit()
            }
        }
    }

    async fn write(&self, face: &Face, connection: &Connection, way: &Way, out: impl AsyncWrite + Unpin) -> Result<()> {
        let mut out = BufWriter::with_capacity(256 * 1024, out);
        if self.source == Reader::PgDumpall {
            return self.there(face, connection, way, &mut out).await;
        }
        if self.run_as.is_some() {
            return Err(Error::usage("--run-as is for --source pg_dumpall: nothing runs there otherwise"));
        }
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
        let sources = cx.unless_cancelled(Cluster { config: connection.config(cx, way)?, options }.sources(cx)).await?;
        let last = sources.len().saturating_sub(1);
        let is_global = |at: usize| at == 0 || at == last;
        let wanted = |at: usize| if self.database.is_some() { !is_global(at) } else { !self.globals_only || is_global(at) };
        let sources: Vec<Box<dyn Source>> =
            sources.into_iter().enumerate().filter(|(at, _)| wanted(*at)).map(|(_, source)| source).collect();
        cx.unless_cancelled(dump(cx, &sources, &mut out)).await
    }

    /// The dump that PostgreSQL's own program prints where the way ends.
    async fn there(&self, face: &Face, connection: &Connection, way: &Way, out: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
        let given = [
            (self.globals_only, "--globals-only"),
            (self.schema_only, "--schema-only"),
            (self.no_role_passwords && self.database.is_none(), "--no-role-passwords"),
            (self.clean, "--clean"),
            (self.create, "--create"),
        ];
        let options = given.into_iter().filter(|(is_given, _)| *is_given).map(|(_, option)| option).collect();
        let wanted = Wanted { database: self.database.clone(), options, run_as: self.run_as.clone() };
        let params = connection.there()?;
        face.cx
            .unless_cancelled(async {
                let mut body = wanted.read(&*way.host(), &params).await?;
                tokio::io::copy(&mut body, out).await?;
                out.flush().await.doing(|| "write the dump")
            })
            .await
    }
}

/// A file that is there once it is whole.
struct Output {
    path: PathBuf,
    file: NamedTempFile,
}

impl Output {
    fn create(path: &Path) -> Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new().prefix(".pg-backup-").tempfile_in(folder);
        Ok(Self { path: path.to_owned(), file: file.doing(|| format!("make a file in {}", folder.display()))? })
    }

    fn file(&self) -> Result<File> {
        self.file.as_file().try_clone().map(File::from_std).doing(|| "write the dump")
    }

    /// Gives it its name, in the place of what was called so.
    fn commit(self) -> Result<()> {
        let doing = || format!("store {}", self.path.display());
        self.file.as_file().sync_all().doing(doing)?;
        self.file.persist(&self.path).map(drop).map_err(|error| error.error).doing(doing)
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
            let file = File::open(&self.file).await.map_err(|error| {
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
