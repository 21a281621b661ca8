//! `[[job]]`: what is backed up, whereto, when, and what stays.

use std::path::PathBuf;

use backup_core::{Compression, Error, Keep, Key, Name, Passphrase, Recipient, Result};
use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::Secret;
use super::keep::{keep, layout};
use super::table::{Entry, Table, duration};
use crate::Schedule;
use crate::tell::Address;
use crate::tree::Layout;

/// A job as it is configured.
#[derive(Debug)]
pub struct Plan {
    /// What it is called; its backups lie under this name.
    pub name: Name,
    /// Which server, as a connection string; empty: as the environment says.
    pub server: String,
    /// Who logs in with it.
    pub password: Option<Secret>,
    /// Which databases; none: all.
    pub databases: Vec<String>,
    /// Where its backups go.
    pub to: String,
    /// In which form.
    pub form: Form,
    /// When it is due.
    pub schedule: Schedule,
    /// Whether it is due when the service starts too.
    pub at_start: bool,
    /// By how much a run is put off at most.
    pub jitter: SignedDuration,
    /// How long after its time a run that has not ended is late.
    pub late: SignedDuration,
    /// How often it is tried again after a failure.
    pub retries: u32,
    /// Who is pinged when it begins and ends.
    pub ping: Option<Address>,
}

/// What a job makes.
#[derive(Debug)]
pub enum Form {
    /// Backups, as the command `backup` takes them.
    Backups(Box<Backups>),
    /// A tree of dump files, of one database.
    Dumps(Dumps),
}

/// How dump files lie, how many of them stay, and how they are proven.
#[derive(Debug)]
pub struct Dumps {
    /// How they lie and what stays.
    pub layout: Layout,
    /// When and how the newest one is proven; without identities, and of no other database.
    pub proof: Option<Proof>,
}

/// How backups are taken, sealed, kept and proven.
#[derive(Debug)]
pub struct Backups {
    /// Which databases are left out, of all.
    pub exclude: Vec<String>,
    /// Whether the hashes of the roles' passwords are taken.
    pub role_passwords: bool,
    /// Whether the server's own programs read it.
    pub external: bool,
    /// How many connections read rows at the same time.
    pub connections: usize,
    /// How parts are compressed.
    pub compression: Compression,
    /// To whom they are encrypted.
    pub recipients: Vec<Recipient>,
    /// With what they are encrypted otherwise.
    pub passphrase: Option<Passphrase>,
    /// Which backups stay.
    pub keep: Keep,
    /// When and how the newest one is proven.
    pub proof: Option<Proof>,
}

/// When and how backups are proven.
#[derive(Debug)]
pub struct Proof {
    /// When.
    pub schedule: Schedule,
    /// Queries that must succeed on what was restored.
    pub check_sql: Vec<String>,
    /// In which database, if there are several.
    pub check_database: Option<String>,
    /// Files of identities that open encrypted backups.
    pub identities: Vec<PathBuf>,
    /// Where the programs of PostgreSQL are.
    pub pg_bin: Option<PathBuf>,
    /// Where the files of the scratch server go.
    pub scratch_dir: Option<PathBuf>,
}

const JOB: &[&str] = &[
    "at_start",
    "compress",
    "connections",
    "databases",
    "every",
    "exclude_databases",
    "format",
    "jitter",
    "keep",
    "late",
    "layout",
    "name",
    "passphrase",
    "password",
    "ping",
    "prove",
    "recipients",
    "recipients_file",
    "retries",
    "role_passwords",
    "schedule",
    "server",
    "source",
    "to",
];
/// What has a meaning for backups, and none for dump files.
const BACKUPS_ONLY: &[&str] = &[
    "compress",
    "connections",
    "exclude_databases",
    "passphrase",
    "recipients",
    "recipients_file",
    "role_passwords",
    "source",
];
/// The same of a proof: dump files are not encrypted, and of one database.
const PROVE_BACKUPS_ONLY: &[&str] = &["check_database", "identities"];
const PROVE: &[&str] = &["check_database", "check_sql", "every", "identities", "pg_bin", "schedule", "scratch_dir"];

impl Plan {
    pub(super) fn read(entry: &Entry<'_>, zone: &TimeZone) -> Result<Self> {
        let mut job = entry.table(JOB)?;
        let name = job.with("name", name)?;
        let name = name.ok_or_else(|| job.wrong("it has no name", "write name = \"NAME\", under which its backups lie"))?;
        job.path = format!("job.{name}");
        let outside = job.outside();
        let to = job.checked("to", outside.sink)?;
        let to = to.ok_or_else(|| job.wrong("it is not said where its backups go", "write to = \"PATH\""))?;
        let databases = job.texts("databases")?;
        if databases.as_ref().is_some_and(Vec::is_empty) {
            return Err(job.wrong("it has databases, and names none", "leave databases out for all of them"));
        }
        let schedule = schedule(&job, zone)?;
        let plan = Self {
            server: job.checked("server", outside.server)?.unwrap_or_default(),
            password: job.secret("password")?,
            at_start: job.flag_or("at_start", false)?,
            jitter: job.duration_or("jitter", "0s")?,
            late: job.duration_or("late", "1h")?,
            retries: job.number_or("retries", 3, 0, 100)?,
            ping: job.secret_with("ping", str::parse)?,
            form: form(&job, databases.as_deref().unwrap_or_default(), zone)?,
            databases: databases.unwrap_or_default(),
            name,
            to,
            schedule,
        };
        if plan.server.is_empty() {
            job.default("server", "as the environment says");
        }
        if plan.databases.is_empty() {
            job.default("databases", "all");
        }
        Ok(plan)
    }
}

/// A name under which backups can lie.
fn name(text: &str) -> Result<Name> {
    let wrong = || {
        Error::usage(format!("a job cannot be called {text:?}"))
            .with_hint("use letters, digits and . _ - + only, no dot at the start, and 200 of them at most")
    };
    if text.len() > 200 || text.contains('/') || text.parse::<Key>().is_err() {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

/// `schedule`, one or several, or `every`.
fn schedule(table: &Table<'_>, zone: &TimeZone) -> Result<Schedule> {
    let every = table.with("every", |text| Schedule::every(duration(text)?))?;
    let crons = table.crons("schedule", zone)?;
    match (every, crons) {
        (Some(every), None) => Ok(every),
        (None, Some(crons)) => Ok(Schedule::any(crons)),
        (Some(_), Some(_)) => Err(table.wrong("it has a schedule and an every", "keep one of them")),
        (None, None) => Err(table.wrong(
            "it is not said when it is due",
            "write schedule = \"0 3 * * *\", every = \"6h\", or schedule = [] for when it is asked for",
        )),
    }
}

fn form(job: &Table<'_>, databases: &[String], zone: &TimeZone) -> Result<Form> {
    if job.choice_or("format", true, &[("backup", true), ("sql.gz", false)])? {
        if let Some(layout) = job.entry("layout") {
            return Err(layout
                .wrong("it is the layout of dump files, and backups have none", "leave it out, or write format = \"sql.gz\""));
        }
        return Ok(Form::Backups(Box::new(backups(job, databases, zone)?)));
    }
    without(job, BACKUPS_ONLY)?;
    if databases.len() != 1 {
        return Err(job.wrong("a tree of dump files is of one database", "write databases = [\"NAME\"], and a job for each"));
    }
    if let Some(prove) = job.entry("prove") {
        without(&prove.table(PROVE)?, PROVE_BACKUPS_ONLY)?;
    }
    Ok(Form::Dumps(Dumps { layout: layout(job)?, proof: proof(job, false, zone)? }))
}

/// Refuses what has no meaning for dump files.
fn without(table: &Table<'_>, keys: &[&str]) -> Result<()> {
    match keys.iter().find_map(|key| table.entry(key)) {
        Some(entry) => Err(entry.wrong("it is not for dump files", "leave it out, or write format = \"backup\"")),
        None => Ok(()),
    }
}

fn backups(job: &Table<'_>, databases: &[String], zone: &TimeZone) -> Result<Backups> {
    let exclude = job.texts("exclude_databases")?.unwrap_or_default();
    if !exclude.is_empty() && !databases.is_empty() {
        return Err(job.wrong("it has databases and exclude_databases", "keep one of them"));
    }
    let compression = job.with("compress", str::parse)?.unwrap_or_else(|| {
        job.default("compress", "zstd");
        Compression::default()
    });
    let passphrase = job.secret_with("passphrase", |text| Passphrase::new(text))?;
    let recipients = recipients(job)?;
    if passphrase.is_some() && !recipients.is_empty() {
        return Err(job.wrong("it has recipients and a passphrase", "keep one of them"));
    }
    Ok(Backups {
        role_passwords: job.flag_or("role_passwords", true)?,
        external: job.choice_or("source", false, &[("native", false), ("pg_dumpall", true)])?,
        connections: usize::try_from(job.number_or("connections", 4, 1, 64)?).unwrap_or(1),
        keep: keep(job)?,
        proof: proof(job, !recipients.is_empty(), zone)?,
        exclude,
        compression,
        recipients,
        passphrase,
    })
}

/// Those in the list, and those in the file, one a line.
fn recipients(job: &Table<'_>) -> Result<Vec<Recipient>> {
    let mut recipients = Vec::new();
    for (entry, text) in job.each_text("recipients")? {
        recipients.push(text.parse().map_err(|error| entry.explain(&error))?);
    }
    let file = job.outside().file;
    let of_file = job.with("recipients_file", |path| {
        let text = file(path.as_ref())?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let read = lines.map(str::parse).collect::<Result<Vec<Recipient>>>()?;
        let none = || Error::usage(format!("there is no recipient in {path}")).with_hint("write age1… into it, one a line");
        if read.is_empty() { Err(none()) } else { Ok(read) }
    })?;
    recipients.extend(of_file.into_iter().flatten());
    Ok(recipients)
}

fn proof(job: &Table<'_>, needs_identity: bool, zone: &TimeZone) -> Result<Option<Proof>> {
    let Some(entry) = job.entry("prove") else { return Ok(None) };
    let prove = entry.table(PROVE)?;
    let identities: Vec<PathBuf> = prove.texts("identities")?.unwrap_or_default().into_iter().map(PathBuf::from).collect();
    if needs_identity && identities.is_empty() {
        return Err(prove.wrong(
            "the backups are encrypted to recipients, and nothing opens them",
            "write identities = [\"FILE\"], or prove them on a machine that has the key",
        ));
    }
    Ok(Some(Proof {
        schedule: schedule(&prove, zone)?,
        check_sql: prove.texts("check_sql")?.unwrap_or_default(),
        check_database: prove.text("check_database")?,
        pg_bin: prove.path("pg_bin")?,
        scratch_dir: prove.path("scratch_dir")?,
        identities,
    }))
}
