//! Where a server is, who we are there, and how the way to it is protected.
//!
//! The words and their meaning are libpq's: PostgreSQL documentation, "Connection Strings", "Parameter Key Words",
//! "Environment Variables", "The Password File" and "The Connection Service File" of the chapter "libpq — C Library".
//! What libpq knows and this crate does not honour is refused when leaving it out would weaken a promise
//! (`require_auth`, `sslcrl`, …) and otherwise ignored (`client_encoding` is always UTF8).

mod params;
mod passfile;
mod resolve;
mod secret;
mod service;
mod uri;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backup_core::Result;

pub use params::{Params, quote_value};
pub use passfile::Passfile;
pub use secret::Secret;

/// How to reach one database of a server. Plain data; its debug output shows no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Tried in this order until one lets us in.
    pub hosts: Vec<Host>,
    /// The role to log in as.
    pub user: String,
    /// The password, where one was given outright. [`password_for`](Self::password_for) also asks the password file.
    pub password: Option<Secret>,
    /// Passwords by host, port, database and user.
    pub passfile: Arc<Passfile>,
    /// The database to log in to.
    pub dbname: String,
    /// Told to the server as `application_name`.
    pub application_name: String,
    /// Command-line options for the server process, as `-c geqo=off`.
    pub options: Option<String>,
    /// How long one host may take from the first packet to the end of the login. `None` waits without limit.
    pub connect_timeout: Option<Duration>,
    /// How the way to the server is protected. Nothing of it applies to a Unix socket.
    pub tls: Tls,
    /// Whether the login is to be bound to the TLS connection.
    pub channel_binding: ChannelBinding,
    /// What the server has to be.
    pub target_session_attrs: TargetSessionAttrs,
    /// TCP keepalives.
    pub keepalives: Keepalives,
    /// What was found and left aside on the way here, as a password file that others can read: for people to be told.
    pub warnings: Vec<String>,
}

/// One place a server may be at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The name by which it is known, to people and to its certificate.
    pub address: Address,
    /// Where to connect, if not to what `address` resolves to.
    pub hostaddr: Option<IpAddr>,
    /// The TCP port, or the number in the name of the socket.
    pub port: u16,
    /// A Unix socket of this machine that leads there, in place of a connection from here. `address` stays what certificates, password
    /// files and messages know.
    pub through: Option<PathBuf>,
}

/// A name on the network or a folder of sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A host name or an IP address.
    Tcp(String),
    /// The folder that holds `.s.PGSQL.<port>`.
    Socket(PathBuf),
}

/// How the way to the server is protected ("SSL Support" in libpq's chapter).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// What is asked for.
    pub mode: SslMode,
    /// Whose certificates are trusted. [`RootCert::None`] checks nothing.
    pub root: RootCert,
    /// Our own certificate chain and its key, both PEM files.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Start with TLS at once instead of asking for it (PostgreSQL 17 and later).
    pub direct: bool,
}

/// `sslmode`: what is asked of the way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// TLS if the server does not take us without.
    Allow,
    /// TLS if the server has it.
    #[default]
    Prefer,
    /// TLS, whoever the server is; with a root file as [`VerifyCa`](Self::VerifyCa).
    Require,
    /// TLS, and the certificate is of somebody we trust.
    VerifyCa,
    /// TLS, and the certificate is of somebody we trust and made for this host.
    VerifyFull,
}

/// Whose certificates are trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RootCert {
    /// Nobody's: certificates are not checked.
    #[default]
    None,
    /// Those that the certificates of a PEM file have signed.
    File(PathBuf),
    /// Those that the operating system trusts.
    System,
}

/// `channel_binding`: whether the login is bound to the TLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where both sides can.
    #[default]
    Prefer,
    /// Or the login fails.
    Require,
}

/// `target_session_attrs`: what the server has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetSessionAttrs {
    /// Anything.
    #[default]
    Any,
    /// A server whose sessions can write.
    ReadWrite,
    /// A server whose sessions cannot write.
    ReadOnly,
    /// Not in recovery.
    Primary,
    /// In recovery.
    Standby,
    /// In recovery if one of the hosts is, else anything.
    PreferStandby,
}

/// TCP keepalives; `None` is the operating system's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalives {
    /// Whether they are sent.
    pub on: bool,
    /// Silence before the first one.
    pub idle: Option<Duration>,
    /// Time between two.
    pub interval: Option<Duration>,
    /// How many may be lost.
    pub count: Option<u32>,
    /// How long sent data may stay unacknowledged.
    pub user_timeout: Option<Duration>,
}

impl Default for Keepalives {
    fn default() -> Self {
        Self { on: true, idle: None, interval: None, count: None, user_timeout: None }
    }
}

impl Config {
    /// `user` at `dbname` on `host`, and libpq's defaults for everything else. Reads nothing.
    pub fn new(host: Host, user: impl Into<String>, dbname: impl Into<String>) -> Self {
        Self {
            hosts: vec![host],
            user: user.into(),
            password: None,
            passfile: Arc::default(),
            dbname: dbname.into(),
            application_name: "pg-backup".to_owned(),
            options: None,
            connect_timeout: None,
            tls: Tls::default(),
            channel_binding: ChannelBinding::default(),
            target_session_attrs: TargetSessionAttrs::default(),
            keepalives: Keepalives::default(),
            warnings: Vec::new(),
        }
    }

    /// Reads a `postgresql://` URI or a `key=value` string; what it leaves out has libpq's defaults.
    ///
    /// No environment variable is read, and no file but those that `text` names.
    pub fn parse(text: &str) -> Result<Self> {
        Params::parse(text)?.resolve(|_| None)
    }

    /// What the environment says, as `lookup` tells it: `PGHOST` and the others, `HOME` for the files in it.
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        Params::default().resolve(lookup)
    }

    /// Reads `text` as [`parse`](Self::parse) does; for what it leaves out asks the service file, then the environment.
    pub fn resolve(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        Params::parse(text)?.resolve(lookup)
    }

    /// The same server and user, another database.
    pub fn with_database(&self, name: impl Into<String>) -> Self {
        Self { dbname: name.into(), ..self.clone() }
    }

    /// The password for `host`: the one given outright, else what the password file has for it.
    pub fn password_for(&self, host: &Host) -> Option<&Secret> {
        self.password.as_ref().or_else(|| self.passfile.find(host, &self.dbname, &self.user))
    }

    /// The target on one line, without secrets: `admin@db1:5432,db2:5432/app`.
    pub fn describe(&self) -> String {
        let mut line = format!("{}@", self.user);
        for (n, host) in self.hosts.iter().enumerate() {
            let _ = write!(line, "{}{}", if n > 0 { "," } else { "" }, host.describe());
        }
        let _ = write!(line, "/{}", self.dbname);
        line.replace(char::is_control, " ")
    }

    /// The same settings for a program that uses libpq, as environment variables. Among the values is the password:
    /// they are for a child's environment and nothing else. Remove [`Params::environment_variables`] from it first.
    pub fn to_env(&self) -> Vec<(&'static str, String)> {
        resolve::to_env(self)
    }
}

impl Host {
    /// `db1:5432`, `[::1]:5432` or `/run/postgresql:5432`.
    pub fn describe(&self) -> String {
        match &self.address {
            Address::Tcp(name) if name.contains(':') => format!("[{name}]:{}", self.port),
            Address::Tcp(name) => format!("{name}:{}", self.port),
            Address::Socket(folder) => format!("{}:{}", folder.display(), self.port),
        }
    }
}
