//! `mongo-healer heal`.

use std::time::Duration;

use backup_cli::{Face, UnsealArgs};
use backup_core::{Error, Event, Kind, Name, Plain, Result, Seal};
use backup_mongo::diagnose::{Asked, Remedy};
use backup_mongo::heal::{Chained, Done, Healed, Healer, LAST, Verified, examine, heal};
use backup_mongo::restore::{RestoreOptions, Run};
use backup_mongo::tar_dump::Archives;
use backup_mongo::{Config, Server, connect};
use clap::Args;
use jiff::SignedDuration;

use crate::connection::Connection;
use crate::words;

/// What must be there, and what may be done where it is not.
#[derive(Debug, Args)]
pub(crate) struct Heal {
    /// Where backups lie: PATH, file:///PATH or s3://BUCKET/PREFIX
    #[arg(value_name = "SINK")]
    pub(crate) sink: String,
    /// The server: HOST, HOST:PORT, SET/HOST:PORT,…, mongodb://… or mongodb+srv://…
    #[arg(value_name = "HOST[:PORT]|URL")]
    server: String,
    /// The database
    #[arg(value_name = "DATABASE")]
    pub(crate) database: String,
    /// The collections that must be there; without any, those of the backups are looked at and none is healed
    #[arg(value_name = "COLLECTION")]
    collections: Vec<String>,
    /// Heal all collections that the backups have, without a list
    #[arg(long, conflicts_with = "collections")]
    all: bool,
    /// Fill collections that are there and empty
    #[arg(long)]
    emptied: bool,
    /// Add to collections that have shrunk the documents that they have not, by _id
    #[arg(long)]
    merge: bool,
    /// Build indexes that are missing
    #[arg(long)]
    indexes: bool,
    /// A collection has shrunk that has less than this share of the backup's documents, in percent
    #[arg(long, value_name = "SHARE", default_value_t = 50, value_parser = clap::value_parser!(u8).range(0..=100))]
    shrunk: u8,
    /// How many backups of the database are looked at: a number, or all
    #[arg(long, value_name = "N|all", default_value_t = Last(Some(LAST)))]
    last: Last,
    /// Say what is lost and would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Stay, and look again so long after each time, such as 5m
    #[arg(long, value_name = "DURATION", value_parser = pause)]
    watch: Option<Duration>,
    #[command(flatten)]
    unseal: UnsealArgs,
}

/// How many backups are looked at.
#[derive(Debug, Clone, Copy)]
struct Last(Option<usize>);

impl std::str::FromStr for Last {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self(None)),
            _ => match text.parse() {
                Ok(number) if number > 0 => Ok(Self(Some(number))),
                _ => Err("use a number from 1 on, or all".to_owned()),
            },
        }
    }
}

impl std::fmt::Display for Last {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(number) => number.fmt(f),
            None => f.write_str("all"),
        }
    }
}

fn pause(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|_| "use a duration such as 30s, 5m or 1h".to_owned())?;
    match Duration::try_from(duration) {
        Ok(duration) if duration >= Duration::from_secs(1) => Ok(duration),
        _ => Err("use a second or more".to_owned()),
    }
}

impl Heal {
    pub(crate) async fn run(self, face: &Face, job: &Name, connection: &Connection) -> Result<()> {
        let cx = &face.cx;
        let repo = face.repository(Seal::default(), self.unseal.unseal()?)?;
        let config = connection.config(&self.server)?;
        let mut archives = Archives::new(repo.sink.clone());
        let Some(pause) = self.watch else { return Box::pin(self.once(face, &repo, job, &config, &mut archives)).await };
        loop {
            match Box::pin(self.once(face, &repo, job, &config, &mut archives)).await {
                Ok(()) => {}
                Err(error) if [Kind::Usage, Kind::Cancelled].contains(&error.kind()) => return Err(error),
                // The next time may do better.
                Err(error) => cx.tell(Event::Warning { what: &error.chain() }),
            }
            let rested = cx.unless_cancelled(async {
                tokio::time::sleep(pause).await;
                Ok(())
            });
            // Who is asked to stop while nothing is at work has ended well.
            if rested.await.is_err() {
                return Ok(());
            }
        }
    }

    /// Looks, decides and heals once.
    async fn once(&self, face: &Face, repo: &Plain, job: &Name, config: &Config, archives: &mut Archives) -> Result<()> {
        let cx = &face.cx;
        let _reading = face.reading(job)?;
        let run = Run::new();
        let config = Config { app_name: Some(run.app_name()), ..config.clone() };
        // Where the server is away nothing is known of its collections.
        let Server { client, .. } = cx.unless_cancelled(connect(&config)).await.map_err(unproven)?;
        let (database, options) = (self.database.clone(), RestoreOptions::default());
        let healer = Healer { client: &client, run: &run, database, asked: self.asked(), last: self.last.0, options };
        archives.again();
        let mut backups = Verified::new(repo, job.clone());
        let mut backups = Chained(&mut backups, archives);
        let diagnosis = Box::pin(examine(cx, &healer, &mut backups)).await.map_err(|error| no_backup(error, job))?;
        let healed = match self.dry_run {
            true => diagnosis.into_healed(),
            false => Box::pin(heal(cx, &healer, diagnosis)).await?,
        };
        for (name, verdict) in &healed.verdicts {
            // A service tells what is not as it should be.
            if self.watch.is_some() && verdict.is_healthy() {
                continue;
            }
            let (state, done) = (words::state(verdict), words::done(verdict, healed.done.get(name)));
            let both: Vec<&str> = [Some(state.as_str()), done.as_deref()].into_iter().flatten().collect();
            let text = backup_cli::escaped(&format!("{name}: {}", both.join("; ")));
            face.report.result(&text, &serde_json::json!({"collection": name, "state": state, "done": done}))?;
        }
        self.end(&healed)
    }

    fn asked(&self) -> Asked {
        Asked {
            collections: self.collections.iter().cloned().collect(),
            all: self.all,
            emptied: self.emptied,
            merge: self.merge,
            indexes: self.indexes,
            share: f64::from(self.shrunk) / 100.0,
        }
    }

    /// How it ended: a failure if something that should be there is not.
    fn end(&self, healed: &Healed) -> Result<()> {
        let sick = healed.still_sick();
        if sick.is_empty() {
            return Ok(());
        }
        let error = Error::new(Kind::StillSick, format!("still sick: {}", sick.join(", ")));
        let failed = sick.iter().any(|name| matches!(healed.done.get(*name), Some(Done::Failed(_))));
        let is_unknown = |name: &&str| healed.verdicts.get(*name).is_some_and(|verdict| verdict.remedy == Remedy::NoBackup);
        Err(match (failed, sick.iter().any(is_unknown), self.dry_run) {
            (true, ..) => error.with_hint("see above why, and run again: what is healed is not touched"),
            (_, true, _) => error.with_hint("look further back with --last all"),
            (_, _, true) => error.with_hint("run it without --dry-run"),
            _ => error,
        })
    }
}

fn unproven(error: Error) -> Error {
    match error.kind() {
        Kind::Usage | Kind::Cancelled => error,
        _ => error.with_kind(Kind::Unproven),
    }
}

fn no_backup(error: Error, job: &Name) -> Error {
    match error.kind() {
        Kind::NotFound => {
            error.with_hint(format!("looked under the job {job}: --job names another, such as mongo for whole deployments"))
        }
        _ => error,
    }
}
