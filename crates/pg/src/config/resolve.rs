//! From parameters to a configuration: connection string, then service, then environment, then defaults.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backup_core::{Error, Result};

use super::passfile::SOCKET_FOLDERS;
use super::{
    Address, ChannelBinding, Config, Host, Keepalives, Params, Passfile, RootCert, Secret, SslMode, TargetSessionAttrs, Tls,
    service,
};

/// What Debian's and upstream's libpq were built with.
const SYSTEM_SERVICE_FOLDERS: [&str; 2] = ["/etc/postgresql-common", "/usr/local/pgsql/etc"];

impl Params {
    /// Fills in what is not set: from the service file if a service is named, else from the environment as `lookup`
    /// tells it, else with libpq's defaults.
    ///
    /// `lookup` also tells `HOME`, without which no file of the user's is looked for, and `PGSYSCONFDIR`.
    pub fn resolve(mut self, lookup: impl Fn(&str) -> Option<String>) -> Result<Config> {
        let lookup = |key: &str| lookup(key).filter(|value| !value.is_empty());
        let home = lookup("HOME").map(PathBuf::from);
        let environment = Params::from_env(lookup)?;
        let named = |key: &str| self.get(key).or_else(|| environment.get(key)).map(str::to_owned);
        if let Some(name) = named("service") {
            let files = match named("servicefile") {
                Some(file) => vec![file.into()],
                None => service_files(home.as_deref(), lookup("PGSYSCONFDIR").map(PathBuf::from)),
            };
            self.fill_from(service::find(&name, &files)?);
        }
        self.fill_from(environment);

        let mut warnings = Vec::new();
        let passfile = self.get("passfile").map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(".pgpass")));
        let passfile = passfile.map(|path| Passfile::read(&path, &mut warnings)).unwrap_or_default();
        let user = match self.get("user") {
            Some(user) => user.to_owned(),
            None => os_user()?,
        };
        Ok(Config {
            hosts: hosts(&self)?,
            password: self.get("password").map(Secret::from),
            passfile: Arc::new(passfile),
            dbname: self.get("dbname").unwrap_or(&user).to_owned(),
            user,
            application_name: self
                .get("application_name")
                .or_else(|| self.get("fallback_application_name"))
                .unwrap_or("pg-backup")
                .to_owned(),
            options: self.get("options").map(str::to_owned),
            connect_timeout: number(&self, "connect_timeout")?.and_then(seconds),
            tls: tls(&self, home.as_deref())?,
            channel_binding: one_of(&self, "channel_binding", CHANNEL_BINDINGS)?,
            target_session_attrs: one_of(&self, "target_session_attrs", TARGETS)?,
            keepalives: Keepalives {
                on: number(&self, "keepalives")?.is_none_or(|on| on != 0),
                idle: number(&self, "keepalives_idle")?.and_then(seconds),
                interval: number(&self, "keepalives_interval")?.and_then(seconds),
                count: number(&self, "keepalives_count")?
                    .and_then(|count| u32::try_from(count).ok())
                    .filter(|&count| count > 0),
                user_timeout: number(&self, "tcp_user_timeout")?
                    .and_then(|milliseconds| u64::try_from(milliseconds).ok())
                    .filter(|&milliseconds| milliseconds > 0)
                    .map(Duration::from_millis),
            },
            warnings,
        })
    }
}

const SSL_MODES: &[(&str, SslMode)] = &[
    ("disable", SslMode::Disable),
    ("allow", SslMode::Allow),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

const CHANNEL_BINDINGS: &[(&str, ChannelBinding)] =
    &[("disable", ChannelBinding::Disable), ("prefer", ChannelBinding::Prefer), ("require", ChannelBinding::Require)];

const TARGETS: &[(&str, TargetSessionAttrs)] = &[
    ("any", TargetSessionAttrs::Any),
    ("read-write", TargetSessionAttrs::ReadWrite),
    ("read-only", TargetSessionAttrs::ReadOnly),
    ("primary", TargetSessionAttrs::Primary),
    ("standby", TargetSessionAttrs::Standby),
    ("prefer-standby", TargetSessionAttrs::PreferStandby),
];

/// The meaning of `key` among `words`; the default if it is not set.
fn one_of<T: Copy + Default>(params: &Params, key: &str, words: &[(&str, T)]) -> Result<T> {
    let Some(value) = params.get(key) else { return Ok(T::default()) };
    words.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        Error::usage(format!("the value of {key} has no meaning")).with_hint(format!("use one of {}", words.join(", ")))
    })
}

fn number(params: &Params, key: &str) -> Result<Option<i32>> {
    let parse = |value: &str| value.trim().parse().map_err(|_| Error::usage(format!("the value of {key} is not a number")));
    params.get(key).map(parse).transpose()
}

/// A span of time; nothing and less is no limit.
fn seconds(number: i32) -> Option<Duration> {
    u64::try_from(number).ok().filter(|&seconds| seconds > 0).map(Duration::from_secs)
}

fn hosts(params: &Params) -> Result<Vec<Host>> {
    let list = |key| params.get(key).map(|value| value.split(',').map(str::trim).collect::<Vec<_>>()).unwrap_or_default();
    let (names, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    let count = if addresses.is_empty() { names.len() } else { addresses.len() };
    if !names.is_empty() && names.len() != count {
        return Err(Error::usage(format!("there are {} in host and {count} in hostaddr", names.len())));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(Error::usage(format!("there are {} in port and {count} in host", ports.len()))
            .with_hint("give one port for all hosts, or one for each"));
    }
    let mut hosts = Vec::new();
    for n in 0..count.max(1) {
        let port = port(ports.get(n).or(ports.first()).copied().unwrap_or(""))?;
        let hostaddr = addresses.get(n).copied().unwrap_or("");
        let hostaddr: Option<IpAddr> = if hostaddr.is_empty() {
            None
        } else {
            Some(
                hostaddr
                    .parse()
                    .map_err(|_| Error::usage("a value of hostaddr is not an IP address").with_hint("use host for names"))?,
            )
        };
        let address = match (names.get(n).copied().unwrap_or(""), hostaddr) {
            ("", Some(address)) => Address::Tcp(address.to_string()),
            ("", None) => {
                hosts.extend(default_addresses(port).into_iter().map(|address| Host {
                    address,
                    hostaddr: None,
                    port,
                    through: None,
                }));
                continue;
            }
            (name, _) if name.starts_with('@') => {
                return Err(Error::usage("sockets in the abstract namespace are not supported")
                    .with_hint("give the folder of the socket"));
            }
            (name, _) if name.starts_with('/') => Address::Socket(name.into()),
            (name, _) => Address::Tcp(name.to_owned()),
        };
        hosts.push(Host { address, hostaddr, port, through: None });
    }
    Ok(hosts)
}

fn port(text: &str) -> Result<u16> {
    match text {
        "" => Ok(5432),
        text => text.parse().ok().filter(|&port| port > 0).ok_or_else(|| {
            // Not shown: in a URI with a stray : it is the password.
            Error::usage("a value of port is not a number from 1 to 65535")
        }),
    }
}

/// The default folders that hold a socket; if none does, the first that exists, so that the error names it; else `localhost`.
fn default_addresses(port: u16) -> Vec<Address> {
    let folders = [SOCKET_FOLDERS[0], SOCKET_FOLDERS[2]].map(PathBuf::from);
    let live: Vec<_> = folders.iter().filter(|folder| folder.join(format!(".s.PGSQL.{port}")).exists()).collect();
    match &live[..] {
        [] if folders[0].is_dir() => vec![Address::Socket(folders[0].clone())],
        [] => vec![Address::Tcp("localhost".to_owned())],
        live => live.iter().map(|folder| Address::Socket((*folder).clone())).collect(),
    }
}

fn tls(params: &Params, home: Option<&Path>) -> Result<Tls> {
    let in_home = |name: &str| home.map(|home| home.join(".postgresql").join(name)).filter(|path| path.exists());
    let mut mode: SslMode = one_of(params, "sslmode", SSL_MODES)?;
    let root = match params.get("sslrootcert") {
        Some("system") => RootCert::System,
        Some(path) => RootCert::File(path.into()),
        None => in_home("root.crt").map_or(RootCert::None, RootCert::File),
    };
    if root == RootCert::System {
        if params.get("sslmode").is_some() && mode < SslMode::VerifyFull {
            return Err(Error::usage("sslrootcert=system asks for sslmode=verify-full")
                .with_hint("anybody can have a certificate that the system trusts: only the host's name tells them apart"));
        }
        mode = SslMode::VerifyFull;
    }
    if mode >= SslMode::VerifyCa && root == RootCert::None {
        return Err(Error::usage("there is no root certificate to verify the server with")
            .with_hint("give sslrootcert=FILE or sslrootcert=system, or put root.crt into ~/.postgresql"));
    }
    let cert = params.get("sslcert").map(PathBuf::from).or_else(|| in_home("postgresql.crt"));
    let key = params.get("sslkey").map(PathBuf::from).or_else(|| in_home("postgresql.key"));
    let client = match (cert, key) {
        (None, _) => None,
        (Some(cert), Some(key)) => Some((cert, key)),
        (Some(cert), None) => {
            return Err(Error::usage(format!("the certificate {} has no key", cert.display())).with_hint("give sslkey=FILE"));
        }
    };
    let direct = match params.get("sslnegotiation") {
        None | Some("postgres") => false,
        Some("direct") if mode >= SslMode::Require => true,
        Some("direct") => return Err(Error::usage("sslnegotiation=direct asks for sslmode=require or stricter")),
        Some(_) => return Err(Error::usage("the value of sslnegotiation has no meaning").with_hint("use postgres or direct")),
    };
    Ok(Tls { mode, root, client, direct })
}

fn service_files(home: Option<&Path>, system: Option<PathBuf>) -> Vec<PathBuf> {
    let own = home.map(|home| home.join(".pg_service.conf"));
    let system = system.map_or_else(|| SYSTEM_SERVICE_FOLDERS.map(PathBuf::from).to_vec(), |folder| vec![folder]);
    own.into_iter().chain(system.into_iter().map(|folder| folder.join("pg_service.conf"))).collect()
}

/// The name of the user that we run as.
fn os_user() -> Result<String> {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    named
        .ok_or_else(|| Error::usage(format!("user {uid} has no name here")).with_hint("give the name of the role to log in as"))
}

/// The socket that leads to `host` as libpq knows it: by its folder, and the number behind `.s.PGSQL.`.
fn socket(host: &Host) -> Option<(&str, &str)> {
    let path = host.through.as_ref()?;
    Some((path.parent()?.to_str()?, path.extension()?.to_str()?))
}

/// See [`Config::to_env`].
pub(super) fn to_env(config: &Config) -> Vec<(&'static str, String)> {
    fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> String {
        words.iter().find(|(_, meaning)| meaning == value).map_or_else(String::new, |(word, _)| (*word).to_owned())
    }
    let join = |of: &dyn Fn(&Host) -> String| config.hosts.iter().map(of).collect::<Vec<_>>().join(",");
    let mut env = vec![
        (
            "PGHOST",
            join(&|host| match (&host.address, socket(host)) {
                (_, Some((folder, _))) => folder.to_owned(),
                (Address::Tcp(name), None) => name.clone(),
                (Address::Socket(folder), None) => folder.display().to_string(),
            }),
        ),
        ("PGPORT", join(&|host| socket(host).map_or_else(|| host.port.to_string(), |(_, number)| number.to_owned()))),
        ("PGUSER", config.user.clone()),
        ("PGDATABASE", config.dbname.clone()),
        ("PGAPPNAME", config.application_name.clone()),
        ("PGSSLMODE", word(SSL_MODES, &config.tls.mode)),
        ("PGCHANNELBINDING", word(CHANNEL_BINDINGS, &config.channel_binding)),
        ("PGTARGETSESSIONATTRS", word(TARGETS, &config.target_session_attrs)),
    ];
    if config.hosts.iter().any(|host| host.hostaddr.is_some() && host.through.is_none()) {
        env.push(("PGHOSTADDR", join(&|host| host.hostaddr.map(|address| address.to_string()).unwrap_or_default())));
    }
    // One password for all hosts is all that the environment can say.
    if let Some(password) = config.hosts.first().and_then(|host| config.password_for(host)) {
        env.push(("PGPASSWORD", password.reveal().to_owned()));
    }
    match &config.tls.root {
        RootCert::None => {}
        RootCert::File(path) => env.push(("PGSSLROOTCERT", path.display().to_string())),
        RootCert::System => env.push(("PGSSLROOTCERT", "system".to_owned())),
    }
    if let Some((cert, key)) = &config.tls.client {
        env.push(("PGSSLCERT", cert.display().to_string()));
        env.push(("PGSSLKEY", key.display().to_string()));
    }
    if config.tls.direct {
        env.push(("PGSSLNEGOTIATION", "direct".to_owned()));
    }
    if let Some(options) = &config.options {
        env.push(("PGOPTIONS", options.clone()));
    }
    if let Some(timeout) = config.connect_timeout {
        env.push(("PGCONNECT_TIMEOUT", timeout.as_secs().to_string()));
    }
    env
}

#[cfg(test)]
mod tests;
