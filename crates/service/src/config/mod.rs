//! A configuration of our own: one TOML file that says what is backed up, whereto, when, and who is told.
//!
//! It is strict: a key that is not known, a value that cannot be meant and a secret that is written out are errors that name the
//! line. Secrets come from files and from variables of the environment.

mod file;
mod job;
mod keep;
mod nearest;
mod table;
mod tell;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use backup_core::{Error, Result};
use jiff::tz::TimeZone;

pub use crate::container::{Found, Secret};
use crate::http::Token;
use file::File;
pub use job::{Backups, Dumps, Form, Plan, Proof};
use table::Table;
pub use tell::{Hook, Pager, Tell};

/// What a configuration is read with, and what only a program knows.
pub struct Outside<'a> {
    /// The value of a variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// What a file says; [`Kind::NotFound`](backup_core::Kind::NotFound) if it is not there.
    pub file: &'a dyn Fn(&Path) -> Result<String>,
    /// Refuses text that names no server, or that holds a password.
    pub server: &'a dyn Fn(&str) -> Result<()>,
    /// Refuses text that names no sink.
    pub sink: &'a dyn Fn(&str) -> Result<()>,
}

/// What is to be done, and how.
#[derive(Debug)]
pub struct Config {
    /// Where what is known of the jobs is kept, if it is said.
    pub state: Option<PathBuf>,
    /// How many jobs run at the same time.
    pub at_once: usize,
    /// Where HTTP is answered.
    pub listen: Option<SocketAddr>,
    /// Who may ask for a run over HTTP.
    pub token: Option<Token>,
    /// The file for node_exporter's textfile collector.
    pub textfile: Option<PathBuf>,
    /// Whose local time counts.
    pub zone: TimeZone,
    /// Whether backups may lie on a file system that is gone with the container.
    pub ephemeral: bool,
    /// The jobs, in their order; each has a name of its own.
    pub jobs: Vec<Plan>,
    /// Who is told.
    pub tell: Tell,
    /// Each value and where it came from.
    pub found: Vec<Found>,
}

const ALL: &[&str] = &["job", "service", "tell"];
const SERVICE: &[&str] = &["at_once", "ephemeral", "listen", "state", "textfile", "token", "zone"];

impl Config {
    /// Reads `text`, what the file called `name` says. The first thing that is wrong is the error: it names file and line.
    pub fn read(name: &str, text: &str, outside: &Outside<'_>) -> Result<Self> {
        let file = File::new(name, text, outside);
        let root = file.parse()?;
        let all = Table::root(&file, root.get_ref(), ALL)?;
        let service = all.table_or_none("service", SERVICE)?;
        let zone = service.with("zone", zone)?;
        let zone = zone.unwrap_or_else(|| {
            service.default("zone", "that of the machine");
            TimeZone::system()
        });
        let mut config = Self {
            state: service.path("state")?,
            at_once: usize::try_from(service.number_or("at_once", 2, 1, 1000)?).unwrap_or(1),
            listen: service.with("listen", address)?,
            token: service.secret_with("token", str::parse)?,
            textfile: service.path("textfile")?,
            ephemeral: service.flag_or("ephemeral", false)?,
            jobs: Vec::new(),
            tell: Tell::read(&all)?,
            zone,
            found: Vec::new(),
        };
        let tables = all.tables("job")?;
        if tables.is_empty() {
            return Err(Error::usage(format!("{name} has no job")).with_hint("write [[job]], and its name, to and schedule"));
        }
        for entry in tables {
            let plan = Plan::read(&entry, &config.zone)?;
            if config.jobs.iter().any(|other| other.name == plan.name) {
                let twice = format!("there is another job called {} above", plan.name);
                return Err(entry.wrong(&twice, "give each a name of its own"));
            }
            config.jobs.push(plan);
        }
        config.found = file.found.into_inner();
        Ok(config)
    }
}

fn zone(name: &str) -> Result<TimeZone> {
    // A name such as Europe/Berlin, or rules such as PST8PDT,M3.2.0,M11.1.0.
    TimeZone::get(name).or_else(|_| TimeZone::posix(name)).map_err(|error| {
        Error::usage(format!("{name:?} is no time zone")).with_source(error).with_hint("write a name such as Europe/Berlin")
    })
}

fn address(text: &str) -> Result<SocketAddr> {
    text.parse().map_err(|_| {
        Error::usage(format!("{text:?} is no address to listen at"))
            .with_hint("write an address of this machine and a port, such as 127.0.0.1:8080 or [::]:8080")
    })
}
