//! Which director, and what is taken of it: the configuration, and the options beside it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backup_bosh::config::{Mode, Surroundings, beside};
use backup_bosh::{Backup, Config, Director as There, Filter, Postgres, Settings};
use backup_cli::{Face, Program};
use backup_core::{Doing, Error, Event, Journal, Result};
use backup_host::{Host, Ssh};
use clap::Args;
use jiff::{SignedDuration, Zoned};

use crate::args::BoshBackup;
use crate::ssh;

/// Which director, and how it is reached.
#[derive(Debug, Args)]
pub(crate) struct Director {
    /// Read this configuration on top of the one beside the program; may be given several times
    #[arg(short, long = "config", value_name = "FILE", global = true)]
    configs: Vec<PathBuf>,
    /// Stop nothing, whatever MODE says: files are copied while they change
    #[arg(long, global = true, conflicts_with = "offline")]
    online: bool,
    /// Stop services for the backup, whatever MODE says
    #[arg(long, global = true)]
    offline: bool,
    /// The port of the director's sshd, whatever HOST says
    #[arg(long, value_name = "PORT", global = true)]
    port: Option<u16>,
    /// Take the host key of a director of which none is known for right, and write it down
    #[arg(long, global = true)]
    accept_new_key: bool,
    /// How long the guard on the director waits for a sign of life before it starts what was stopped: 90s, 5m
    #[arg(long, env = "BOSH_BACKUP_LEASE", value_name = "TIME", value_parser = time, default_value = "5m", global = true)]
    lease: Duration,
    /// The longest that services may be stopped, whatever the backup does
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "1h", global = true)]
    max_pause: Duration,
    /// The socket's folder or the address of PostgreSQL on the director [default: what its programs take]
    #[arg(long, value_name = "HOST", global = true)]
    pg_host: Option<String>,
    /// The port of PostgreSQL on the director [default: what its programs take]
    #[arg(long, value_name = "PORT", global = true)]
    pg_port: Option<u16>,
    /// Who logs in to PostgreSQL on the director [default: who logs in to the director]
    #[arg(long, value_name = "NAME", global = true)]
    pg_user: Option<String>,
}

/// A whole number of seconds, at least one: `90s`, `5m`, `1h`, or a number alone.
fn time(text: &str) -> Result<Duration> {
    let bad = || Error::usage(format!("{text:?} is no time")).with_hint("write a number of seconds, or 90s, 5m, 1h");
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let time: SignedDuration = text.parse().map_err(|_| bad())?;
            u64::try_from(time.as_secs()).map_err(|_| bad())?
        }
    };
    // A month: no guard should wait longer.
    if (1..=31 * 86_400).contains(&seconds) { Ok(Duration::from_secs(seconds)) } else { Err(bad()) }
}

impl Director {
    /// The configuration: of the files beside the program the first that is there, then those of `-c`.
    pub(crate) fn config(&self, face: &Face) -> Result<(Config, Zoned)> {
        let mut files: Vec<PathBuf> = beside(&called_by()).into_iter().find(|path| path.is_file()).into_iter().collect();
        files.extend(self.configs.iter().cloned());
        if files.is_empty() {
            return Err(Error::usage("there is no configuration").with_hint("name one with -c FILE"));
        }
        let now = Zoned::now();
        let variable = |name: &str| std::env::var(name).ok();
        let (mut config, warnings) = Config::read(&files, &Surroundings { variable: &variable, now: now.clone() })?;
        for warning in warnings {
            face.cx.tell(Event::Warning { what: &warning });
        }
        match (self.online, self.offline) {
            (true, _) => config.mode = Mode::Online,
            (_, true) => config.mode = Mode::Offline,
            _ => {}
        }
        Ok((config, now))
    }

    /// The director that `config` and the options mean. Nobody was asked for anything yet.
    pub(crate) fn there(&self, config: &Config) -> Result<There> {
        let host = Ssh::new(ssh::config(config, self.port, self.accept_new_key)?)?;
        let (pg_host, port, user) = (self.pg_host.clone(), self.pg_port, self.pg_user.clone());
        Ok(There {
            name: host.name().parse()?,
            host: Arc::new(host),
            settings: Settings { time_limit: config.time_limit, ..Settings::default() },
            lease: self.lease,
            max_pause: self.max_pause,
            postgres: Postgres { host: pg_host, port, user, ..Postgres::default() },
        })
    }

    /// The backup that the configuration and the options mean. Nobody was asked for anything yet.
    pub(crate) fn backup(&self, face: &Face) -> Result<Backup> {
        let (config, started) = self.config(face)?;
        let there = self.there(&config)?;
        let cache = config.cache.ok_or_else(|| unsaid("CACHE", "the folder of the copy"))?;
        let filter = Filter::parse(&config.filter.unwrap_or_default()).doing(|| "read RSYNC_LIST")?;
        Ok(Backup {
            director: there,
            mode: config.mode,
            cache,
            filter,
            emptied: false,
            databases: config.databases,
            output: config.output,
            added: config.added,
            log_path: config.log_path,
            program: BoshBackup::NAME.to_owned(),
            started,
        })
    }

    /// The journal of the director's runs on this machine; whoever has it is the only one.
    pub(crate) fn journal(face: &Face, there: &There) -> Result<Arc<Journal>> {
        Ok(Arc::new(Journal::open(&face.state()?.join("bosh"), &there.name)?))
    }
}

/// What the configuration must say and does not.
pub(crate) fn unsaid(key: &str, what: &str) -> Error {
    Error::usage(format!("the configuration does not say {key}")).with_hint(format!("add a line {key}=…: {what}"))
}

/// The path that this program was called by, and what that links to, link by link.
fn called_by() -> Vec<PathBuf> {
    let Some(name) = std::env::args_os().next().map(PathBuf::from) else { return Vec::new() };
    let path = if name.components().count() > 1 {
        Some(name)
    } else {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).map(|folder| folder.join(&name)).find(|path| path.is_file())
    };
    let mut paths: Vec<PathBuf> = path.into_iter().collect();
    while let Some(target) = paths.last().and_then(|path| Some(path.parent()?.join(path.read_link().ok()?))) {
        // As many as the kernel follows.
        if paths.len() > 40 {
            break;
        }
        paths.push(target);
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_seconds() {
        for (text, seconds) in [("5", 5), ("90s", 90), ("5m", 300), ("1h 1s", 3601)] {
            assert_eq!(time(text).ok(), Some(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "0", "-5s", "10ms", "x", "32d", "9999999999999"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
