//! The options that every program has.

use std::path::PathBuf;

use backup_core::{Compression, Doing, Error, Identity, Name, Passphrase, Recipient, Result, Seal, Unseal};
use clap::Args;

use crate::S3Args;

/// Options of every program; each has its environment variable.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Tell progress and results as JSON, a line each
    #[arg(long, global = true)]
    pub json: bool,
    /// Tell nothing but errors and results
    #[arg(short, long, conflicts_with = "verbose", global = true)]
    pub quiet: bool,
    /// Tell more: each part, and what the libraries log
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Where locks and journals of runs lie [default: the state folder of the user or system]
    #[arg(long, value_name = "DIR", global = true)]
    pub state: Option<PathBuf>,
}

/// Where backups lie: the options of programs that take them.
#[derive(Debug, Clone, Args)]
pub struct SinkArgs {
    /// Where backups lie: PATH, file:///PATH or s3://BUCKET/PREFIX, as far as the program knows it
    #[arg(long, value_name = "SINK", global = true)]
    pub to: Option<String>,
    /// What the backups of one thing are kept under, apart from others in the same sink
    #[arg(long, value_name = "NAME", global = true)]
    pub job: Option<String>,
    /// The options of S3 servers.
    #[command(flatten)]
    pub s3: S3Args,
}

impl SinkArgs {
    /// The job's name, or `fallback`.
    pub fn job(&self, fallback: &str) -> Result<Name> {
        self.job.as_deref().unwrap_or(fallback).parse()
    }
}

impl Common {
    /// Where locks and journals lie: `--state`, else the first that systemd gave, else `/var/lib/backup` for root and
    /// `~/.local/state/backup` for others.
    pub(crate) fn state(&self) -> Result<PathBuf> {
        let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let is_root = || std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
        self.state
            .clone()
            .or_else(|| std::env::split_paths(&var("STATE_DIRECTORY")?).next())
            .or_else(|| var("XDG_STATE_HOME").map(|home| home.join("backup")))
            .or_else(|| is_root().then(|| PathBuf::from("/var/lib/backup")))
            .or_else(|| var("HOME").map(|home| home.join(".local/state/backup")))
            .ok_or_else(|| Error::usage("there is no folder for locks and journals").with_hint("give one with --state DIR"))
    }
}

/// How a backup is sealed.
#[derive(Debug, Clone, Args)]
pub struct SealArgs {
    /// How parts are compressed: zstd, zstd:1 to zstd:22, gzip, gzip:1 to gzip:9, or none
    #[arg(long, value_name = "HOW", default_value = "zstd")]
    compress: Compression,
    /// Encrypt to this age recipient (age1…); may be given several times, or with commas between them
    #[arg(long = "recipient", value_name = "AGE1…", value_delimiter = ',')]
    recipients: Vec<String>,
    /// Encrypt with the passphrase that is the first line of this file
    #[arg(long, value_name = "FILE", conflicts_with = "recipients")]
    seal_passphrase_file: Option<PathBuf>,
}

impl SealArgs {
    /// What they say.
    pub fn seal(&self) -> Result<Seal> {
        let recipients = self.recipients.iter().map(|text| text.parse::<Recipient>()).collect::<Result<_>>()?;
        let passphrase = self.seal_passphrase_file.as_deref().map(passphrase).transpose()?;
        Ok(Seal { compression: self.compress, recipients, passphrase })
    }
}

/// How an encrypted backup is opened.
#[derive(Debug, Clone, Args)]
pub struct UnsealArgs {
    /// Open encrypted backups with the age identities in this file; may be given several times, or with commas between them
    #[arg(long = "identity", value_name = "FILE", value_delimiter = ',')]
    identities: Vec<PathBuf>,
    /// Open encrypted backups with the passphrase that is the first line of this file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl UnsealArgs {
    /// What they say.
    pub fn unseal(&self) -> Result<Unseal> {
        let mut identities = Vec::new();
        for path in &self.identities {
            let text = std::fs::read_to_string(path).doing(|| format!("read the identities in {}", path.display()))?;
            identities.extend(Identity::parse_file(&text).doing(|| format!("read the identities in {}", path.display()))?);
        }
        let passphrase = self.passphrase_file.as_deref().map(passphrase).transpose()?;
        Ok(Unseal { identities, passphrase })
    }

    /// Whether anything was given.
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty() && self.passphrase_file.is_none()
    }
}

/// The first line of a file, as a passphrase.
fn passphrase(path: &std::path::Path) -> Result<Passphrase> {
    let text = std::fs::read_to_string(path).doing(|| format!("read the passphrase in {}", path.display()))?;
    Passphrase::new(text.lines().next().unwrap_or_default())
}
