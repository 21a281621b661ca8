//! The configuration of a backup, as microbosh-simple-backup has it: a file of sh that is read and never run.

mod beside;
mod date;
mod script;
mod shell;
mod word;

use std::io::Read as _;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backup_core::{Doing, Error, Result};

pub use self::beside::beside;
pub use self::shell::Surroundings;
use self::shell::{Shell, unmeant};

/// The most bytes of a configuration file.
pub const LARGEST: usize = 256 << 10;

const KEYS: [&str; 12] = [
    "USER",
    "HOST",
    "SSH_PUBLIC_KEY",
    "SSH_PRIVATE_KEY",
    "MODE",
    "CACHE",
    "OUTPUT",
    "DBS",
    "LOG_PATH",
    "SSH_OPTIONS",
    "PROCESS_TIME_LIMIT",
    "DEBUG",
];

/// What is backed up, from where and to where. What a file does not say is `None` or the default that is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `USER`: who logs in; that of the environment by default.
    pub user: Option<String>,
    /// `HOST`: the machine of the director.
    pub host: Option<Address>,
    /// `SSH_PUBLIC_KEY`: the file of the key that `setup` copies.
    pub ssh_public_key: Option<PathBuf>,
    /// `SSH_PRIVATE_KEY`: the file of the key that logs in.
    pub ssh_private_key: Option<PathBuf>,
    /// `MODE`: `offline` by default.
    pub mode: Mode,
    /// `CACHE`: the folder that holds a copy of what the director has on disk.
    pub cache: Option<PathBuf>,
    /// `OUTPUT`: the archive that is made of the cache; its extension says how it is compressed.
    pub output: Option<PathBuf>,
    /// `DBS`: which databases are dumped.
    pub databases: Databases,
    /// `ADD_LIST`: files of this machine that go into the archive too. One with `*`, `?` or `[` is a pattern of files, as in sh.
    pub added: Vec<String>,
    /// `RSYNC_LIST`: the text of a [`Filter`](crate::Filter) of paths below `/var/vcap`; `None` if there is no such function.
    pub filter: Option<Vec<u8>>,
    /// `LOG_PATH`: the folder of the logs; that of the environment by default, else `/var/log/scripts`.
    pub log_path: PathBuf,
    /// `SSH_OPTIONS`: `NAME=VALUE` each; `ConnectTimeout=30` and `BatchMode=yes` by default.
    pub ssh_options: Vec<(String, String)>,
    /// `PROCESS_TIME_LIMIT`: how long services are waited for; two seconds for each of its number, which is 600 by default.
    pub time_limit: Duration,
    /// `DEBUG`: whether more is told; not with `0` and by default.
    pub debug: bool,
}

/// Where a machine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Its name or IP address, without brackets.
    pub name: String,
    /// The port of SSH, where it is told.
    pub port: Option<u16>,
}

/// Whether services are stopped for a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// They are, and are started again.
    #[default]
    Offline,
    /// They run on: files are copied while they change.
    Online,
}

/// Which databases are dumped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Databases {
    /// None.
    #[default]
    None,
    /// The whole cluster: `_all_`.
    All,
    /// These, in this order.
    Named(Vec<String>),
}

impl Config {
    /// Reads files, each on top of those before it.
    ///
    /// As sh reads them: `NAME=value`, `export`, quotes, `~`, `$NAME` and `${NAME}` of lines above and of the environment, comments.
    /// Of commands only `$(date …)` with a format, and in the functions `ADD_LIST` and `RSYNC_LIST` a here-document of `cat` and
    /// `echo`. Nothing is run: any other code is [`Kind::Usage`](backup_core::Kind::Usage) and names its line. No error shows a value.
    ///
    /// Also returns what a person should be warned of, a line each: keys that mean nothing here, variables that are not set.
    pub fn read(files: &[PathBuf], around: &Surroundings<'_>) -> Result<(Self, Vec<String>)> {
        let mut shell = Shell::new(around);
        for file in files {
            let text = text(file).doing(|| format!("read {}", file.display()))?;
            shell.read(&file.display().to_string(), &text)?;
        }
        Self::of(shell, around)
    }

    /// Reads the text of a file, as [`read`](Self::read) does with files. Errors and warnings call it `name`.
    pub fn parse(name: &str, text: &[u8], around: &Surroundings<'_>) -> Result<(Self, Vec<String>)> {
        let mut shell = Shell::new(around);
        within_limit(text).doing(|| format!("read {name}"))?;
        shell.read(name, text)?;
        Self::of(shell, around)
    }

    fn of(mut shell: Shell<'_>, around: &Surroundings<'_>) -> Result<(Self, Vec<String>)> {
        let added = shell.list("ADD_LIST")?.unwrap_or_default();
        let added = String::from_utf8(added).map_err(|_| Error::usage("a file in ADD_LIST has a name that is not UTF-8"))?;
        let filter = shell.list("RSYNC_LIST")?;
        let from_outside = |name: &str| (around.variable)(name).filter(|value| !value.is_empty());
        let path = |name| Ok::<_, Error>(shell.value(name)?.map(|(value, _)| PathBuf::from(value)));
        let user = shell.value("USER")?;
        let user =
            user.map(|(value, place)| login(value).ok_or_else(|| unmeant(place, "USER", "the name of a user"))).transpose()?;
        let host = shell.value("HOST")?;
        let host = host
            .map(|(value, place)| address(&value).ok_or_else(|| unmeant(place, "HOST", "HOST or HOST:PORT")))
            .transpose()?;
        let mode = match shell.value("MODE")? {
            None => Mode::default(),
            Some((value, _)) if value == "offline" => Mode::Offline,
            Some((value, _)) if value == "online" => Mode::Online,
            Some((_, place)) => return Err(unmeant(place, "MODE", "offline or online")),
        };
        let databases = match shell.value("DBS")? {
            None => Databases::None,
            Some((value, _)) if value.contains("_all_") => Databases::All,
            Some((value, place)) => databases(&value).ok_or_else(|| unmeant(place, "DBS", "_all_ or names of databases"))?,
        };
        let ssh_options = match shell.value("SSH_OPTIONS")? {
            None => vec![("ConnectTimeout".to_owned(), "30".to_owned()), ("BatchMode".to_owned(), "yes".to_owned())],
            Some((value, place)) => {
                options(&value).ok_or_else(|| unmeant(place, "SSH_OPTIONS", "NAME=VALUE, with blanks between"))?
            }
        };
        let polls = match shell.value("PROCESS_TIME_LIMIT")? {
            None => 600,
            Some((value, place)) => {
                let number = value.trim().parse().ok().filter(|number| (1..=100_000).contains(number));
                number.ok_or_else(|| unmeant(place, "PROCESS_TIME_LIMIT", "a number from 1 to 100000"))?
            }
        };
        let config = Self {
            user: user.or_else(|| from_outside("USER").and_then(login)),
            host,
            ssh_public_key: path("SSH_PUBLIC_KEY")?,
            ssh_private_key: path("SSH_PRIVATE_KEY")?,
            mode,
            cache: path("CACHE")?,
            output: path("OUTPUT")?,
            databases,
            added: added.split_ascii_whitespace().map(str::to_owned).collect(),
            filter,
            log_path: path("LOG_PATH")?
                .or_else(|| from_outside("LOG_PATH").map(PathBuf::from))
                .unwrap_or("/var/log/scripts".into()),
            ssh_options,
            time_limit: Duration::from_secs(2 * polls),
            debug: shell.value("DEBUG")?.is_some_and(|(value, _)| value != "0"),
        };
        shell.warn_of_others(&KEYS);
        Ok((config, shell.warnings))
    }
}

/// The text of a file that is not larger than it may be.
fn text(file: &Path) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    std::fs::File::open(file)?.take(LARGEST as u64 + 1).read_to_end(&mut text)?;
    within_limit(&text)?;
    Ok(text)
}

fn within_limit(text: &[u8]) -> Result<()> {
    if text.len() > LARGEST {
        return Err(Error::usage("it is larger than 256 KiB, which no configuration is"));
    }
    Ok(())
}

/// A user; not what a program could take for an option or a host.
fn login(value: String) -> Option<String> {
    let is_good = |c: char| c.is_alphanumeric() || "_.-$+\\".contains(c);
    (value.chars().all(is_good) && !value.starts_with('-')).then_some(value)
}

/// `HOST`, `HOST:PORT`, `[IPV6]:PORT`, `IPV6`.
fn address(value: &str) -> Option<Address> {
    let (name, port) = match value.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, "")) => (name, None),
        Some((name, port)) => (name, Some(port.strip_prefix(':')?)),
        None if value.matches(':').count() == 1 => value.split_once(':').map(|(name, port)| (name, Some(port)))?,
        None => (value, None),
    };
    let is_good = |c: char| c.is_alphanumeric() || "_.-".contains(c);
    let is_name = !name.is_empty() && !name.starts_with('-') && name.chars().all(is_good);
    let (ip, zone) = name.split_once('%').unwrap_or((name, ""));
    let is_ip = ip.parse::<Ipv6Addr>().is_ok() && zone.chars().all(is_good);
    if !is_name && !is_ip {
        return None;
    }
    let port = match port {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok().filter(|port| *port > 0)?),
        Some(_) => return None,
        None => None,
    };
    Some(Address { name: name.to_owned(), port })
}

/// Names of databases, which become ends of names of files.
fn databases(value: &str) -> Option<Databases> {
    let names: Vec<String> = value.split_ascii_whitespace().map(str::to_owned).collect();
    let is_good = |name: &String| !name.starts_with('-') && !name.contains(|c: char| c == '/' || c.is_control());
    match names.as_slice() {
        [] => Some(Databases::None),
        names if names.iter().all(is_good) => Some(Databases::Named(names.to_vec())),
        _ => None,
    }
}

fn options(value: &str) -> Option<Vec<(String, String)>> {
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let option = |word: &str| {
        word.split_once('=').filter(|(name, _)| is_name(name)).map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    value.split_ascii_whitespace().map(option).collect()
}

#[cfg(test)]
mod tests;
