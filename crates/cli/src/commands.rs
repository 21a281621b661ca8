//! The commands of every program that takes backups: list, show, verify, prune, pin, unpin.

use backup_core::{Doing, Error, Keep, Kind, Name, Record, Repository, Result, Seal, Which, prune, verify};
use clap::{Args, CommandFactory, Subcommand};
use jiff::{Timestamp, tz::TimeZone};

use crate::common::UnsealArgs;
use crate::print::Print;
use crate::run::Face;

/// Which backup.
#[derive(Debug, Clone, Args)]
pub struct Wanted {
    /// An ID, a unique beginning of one, `latest`, `latest-verified` or `latest-proven`
    #[arg(value_name = "ID")]
    pub which: Which,
}

/// The commands of every program that takes backups.
#[derive(Debug, Clone, Subcommand)]
pub enum Manage {
    /// List the backups of the job, oldest first, and attempts that failed
    List,
    /// Show what a backup holds
    Show {
        /// Which backup
        #[command(flatten)]
        wanted: Wanted,
        /// How it is opened
        #[command(flatten)]
        unseal: UnsealArgs,
    },
    /// Read every byte of a backup and compare it with its digest; needs no key
    Verify {
        /// Which backup
        #[command(flatten)]
        wanted: Wanted,
        /// Open what is sealed too, and compare the plain digests
        #[arg(long)]
        unseal_too: bool,
        /// How it is opened
        #[command(flatten)]
        unseal: UnsealArgs,
    },
    /// Delete backups that no rule keeps, and print each verdict with its reason
    Prune(PruneArgs),
    /// Keep a backup whatever the rules say
    Pin {
        /// Which backup
        #[command(flatten)]
        wanted: Wanted,
        /// Why, for whoever finds it
        #[arg(long)]
        why: Option<String>,
    },
    /// Take the pin away
    Unpin {
        /// Which backup
        #[command(flatten)]
        wanted: Wanted,
    },
    /// What every program prints of itself
    #[command(flatten)]
    Print(Print),
}

/// Which backups to keep. Without any rule nothing is deleted.
#[derive(Debug, Clone, Args)]
pub struct KeepArgs {
    /// Keep the newest N
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_last: u32,
    /// Keep those of the last duration, such as 14d or 2w
    #[arg(long, value_name = "DURATION")]
    keep_within: Option<jiff::Span>,
    /// Keep the newest of each of the last N hours that have one
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_hourly: u32,
    /// … of the last N days
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_daily: u32,
    /// … of the last N weeks
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_weekly: u32,
    /// … of the last N months
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_monthly: u32,
    /// … of the last N years
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_yearly: u32,
    /// Keep at least the newest N, whatever their age
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_minimum: u32,
}

impl KeepArgs {
    /// The rules that they are; failed attempts let nothing go.
    pub fn keep(&self) -> Keep {
        Keep {
            last: self.keep_last,
            within: self.keep_within,
            hourly: self.keep_hourly,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
            yearly: self.keep_yearly,
            minimum: self.keep_minimum,
            after_failure: false,
        }
    }
}

/// What a prune deletes, and whether it does.
#[derive(Debug, Clone, Args)]
pub struct PruneArgs {
    #[command(flatten)]
    keep: KeepArgs,
    /// Prune although the newest attempt failed
    #[arg(long)]
    after_failure: bool,
    /// Print the verdicts and delete nothing
    #[arg(long)]
    dry_run: bool,
}

impl PruneArgs {
    fn keep(&self) -> Keep {
        Keep { after_failure: self.after_failure, ..self.keep.keep() }
    }
}

impl Manage {
    /// Does it for `job`.
    pub async fn run<P: CommandFactory>(self, face: &Face, job: &Name) -> Result<()> {
        let told = match self {
            Self::List => {
                let repo = face.repository(Seal::default(), Default::default())?;
                let records = face.cx.unless_cancelled(repo.records(job)).await?;
                if records.is_empty() {
                    return Err(none(job));
                }
                face.report.list(&records)
            }
            Self::Show { wanted, unseal } => {
                let repo = face.repository(Seal::default(), unseal.unseal()?)?;
                let id = face.which(&repo, job, &wanted.which).await?;
                // Without a key the parts of an encrypted backup stay unknown, and the rest is shown.
                let open = if unseal.is_empty() { repo.open_sealed(job, id) } else { repo.open(job, id) };
                let stored = face.cx.unless_cancelled(open).await?;
                let records = face.cx.unless_cancelled(repo.records(job)).await?;
                face.report.show(stored.manifest(), records.iter().find(|record| record.id == id))
            }
            Self::Verify { wanted, unseal_too, unseal } => {
                let repo = face.repository(Seal::default(), unseal.unseal()?)?;
                let _reading = face.reading(job)?;
                let id = face.which(&repo, job, &wanted.which).await?;
                let unseal_too = unseal_too || !unseal.is_empty();
                let bytes = face.cx.unless_cancelled(verify(&face.cx, &repo, job, id, unseal_too)).await?;
                let text = format!("verified {id}: {bytes} bytes are what was written");
                face.report.result(&text, &serde_json::json!({"id": id, "bytes": bytes, "unsealed": unseal_too}))
            }
            Self::Prune(args) => {
                let repo = face.repository(Seal::default(), Default::default())?;
                let _held = face.hold(job)?;
                let _deleting = if args.dry_run { None } else { Some(face.deleting(job)?) };
                // The verdicts and what was deleted are told as they happen, so that they are known if it fails.
                prune(&face.cx, &repo, job, &args.keep(), Timestamp::now(), &TimeZone::system(), args.dry_run).await?;
                Ok(())
            }
            Self::Pin { wanted, why } => {
                let repo = face.repository(Seal::default(), Default::default())?;
                let _reading = face.reading(job)?;
                let id = face.which(&repo, job, &wanted.which).await?;
                repo.record(job, id, &Record::Pinned { at: Timestamp::now(), why }).await?;
                face.report.done(id, "pinned")
            }
            Self::Unpin { wanted } => {
                let repo = face.repository(Seal::default(), Default::default())?;
                let id = face.which(&repo, job, &wanted.which).await?;
                repo.unpin(job, id).await?;
                face.report.done(id, "unpinned")
            }
            Self::Print(print) => return print.run::<P>(),
        };
        told.doing(|| "write the result")
    }
}

fn none(job: &Name) -> Error {
    Error::new(Kind::NotFound, format!("there is no backup of job {job} and there was no attempt"))
        .with_hint("check --to and --job, or take one with the backup command")
}
