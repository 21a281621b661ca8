//! `mongo-healer backup`.

use backup_cli::{Face, SealArgs};
use backup_core::{
    Context, Doing, Event, Key, Kind, Manifest, Name, Options, Plain, Repository, Result, Unseal, backup, verify,
};
use backup_mongo::{Deployment, dump_tar};
use clap::Args;
use jiff::{Timestamp, tz::TimeZone};

use crate::connection::Connection;

/// What to take, where it goes, and how it is stored.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Where backups lie: PATH, file:///PATH or s3://BUCKET/PREFIX
    #[arg(value_name = "SINK")]
    pub(crate) sink: String,
    /// The server: HOST, HOST:PORT, SET/HOST:PORT,…, mongodb://… or mongodb+srv://…
    #[arg(value_name = "HOST[:PORT]|URL")]
    server: String,
    /// The database; all of them, with users and roles, if none is named
    #[arg(value_name = "DATABASE")]
    pub(crate) database: Option<String>,
    /// How many cursors read at the same time
    #[arg(long, value_name = "N", default_value_t = 4)]
    jobs: usize,
    /// Read a secondary of the replica set, if there is one
    #[arg(long)]
    secondary: bool,
    /// Leave the oplog out: each collection is then as it was while it was read
    #[arg(long)]
    no_oplog: bool,
    /// The server may be another one than that of the job's newest backup
    #[arg(long)]
    new_source: bool,
    /// Store the folder of mongodump too, as one file beside the jobs: YYYY-MM-DD-HH-MM-SS-mongodb-dump.tar.gz (local time)
    #[arg(long)]
    tar: bool,
    /// Read the backup back and compare it with its digests when it is taken
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    seal: SealArgs,
}

impl Backup {
    pub(crate) async fn run(self, face: &Face, job: &Name, connection: &Connection) -> Result<()> {
        let cx = &face.cx;
        let mut config = connection.config(&self.server)?;
        config.secondary = self.secondary;
        let repo = face.repository(self.seal.seal()?, Unseal::default())?;
        let held = face.hold(job)?;
        let (jobs, oplog) = (self.jobs, !self.no_oplog);
        let options = backup_mongo::Options { database: self.database, jobs, oplog, ..backup_mongo::Options::default() };
        let sources = async { Ok([Box::new(Deployment { config, options })]) };
        let manifest = backup(cx, &repo, job, sources, Options { new_source: self.new_source }).await?;
        let is = |fact: &str, value: &str| manifest.origin.facts.get(fact).is_some_and(|told| told == value);
        if is("instant", "none") && !self.no_oplog {
            let what = "each collection is as it was when it was read: there is no one instant without an oplog";
            if is("shape", "replica set") {
                cx.tell(Event::Warning { what: &format!("{what}, which this user may not read (the role backup may)") });
            } else {
                cx.tell(Event::Stage { what });
            }
        }
        if self.tar {
            cx.unless_cancelled(Box::pin(store_tar(cx, &repo, job, &manifest))).await.doing(|| "store the .tar.gz")?;
        }
        let _reading = if self.verify { face.reading(job)? } else { None };
        drop(held);
        if self.verify {
            verify(cx, &repo, job, manifest.id, false).await?;
        }
        Ok(face.report.taken(&manifest)?)
    }
}

/// How many databases may be stored in the same second.
const SECONDS: i64 = 60;

/// Stores the folder of mongodump beside the jobs, made from what was stored: nothing is read from the server again.
async fn store_tar(cx: &Context, repo: &Plain, job: &Name, manifest: &Manifest) -> Result<()> {
    cx.tell(Event::Stage { what: "store the folder of mongodump as one file" });
    let backup = repo.open(job, manifest.id).await?;
    let mut last = None;
    // A name of another database is never replaced: the next second is free, or the one after it.
    for second in 0..SECONDS {
        match repo.sink.put(&tar_name(manifest.started, second)?, dump_tar(backup.clone())?).await {
            Err(error) if error.kind() == Kind::AlreadyExists => last = Some(error),
            stored => return stored.map(drop),
        }
    }
    last.map_or(Ok(()), Err)
}

fn tar_name(started: Timestamp, second: i64) -> Result<Key> {
    let started = started.checked_add(jiff::SignedDuration::from_secs(second)).doing(|| "name the file")?;
    started.to_zoned(TimeZone::system()).strftime("%Y-%m-%d-%H-%M-%S-mongodb-dump.tar.gz").to_string().parse()
}
