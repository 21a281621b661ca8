//! How another machine is reached: what of it becomes an argument of `ssh`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use backup_core::{Error, Result};

use crate::command::quoted;

/// Who logs in where, and how. Plain data; what is left out is as in `~/.ssh/config` and as `ssh` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The program: a path, or a name to be looked up on the PATH.
    pub program: PathBuf,
    /// A name of DNS, an address, or a `Host` of the configuration file.
    pub host: String,
    /// The port; none: of the configuration file, else 22.
    pub port: Option<u16>,
    /// Who logs in.
    pub user: Option<String>,
    /// Files of private keys. Where there are any, no other key is shown. A key with a passphrase must be held by the agent.
    pub identities: Vec<PathBuf>,
    /// The one configuration file that is read; none: `~/.ssh/config` and the machine's.
    pub config: Option<PathBuf>,
    /// The one file of host keys that are known; none: those of the configuration.
    pub known_hosts: Option<PathBuf>,
    /// Whether the key of a host of which none is known is taken for right and written down. A changed key is refused always.
    pub accept_new: bool,
    /// The host that this one is reached through, with a configuration of its own.
    pub jump: Option<Box<Config>>,
    /// Further `-o` options, as `ssh_config` has them: `Ciphers=aes128-gcm@openssh.com`. None of those that the fields above and
    /// below set, nor of those that would ask somebody.
    pub options: Vec<String>,
    /// How long to wait for the connection, in whole seconds.
    pub connect_timeout: Duration,
    /// How often the host is asked whether it is there, in whole seconds.
    pub alive_interval: Duration,
    /// How many such questions stay unanswered until the connection is given up.
    pub alive_count: u32,
}

impl Config {
    /// `host` as the configuration file has it, given up after 30 seconds without a connection or 60 without an answer.
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            program: "ssh".into(),
            host: host.into(),
            port: None,
            user: None,
            identities: Vec::new(),
            config: None,
            known_hosts: None,
            accept_new: false,
            jump: None,
            options: Vec::new(),
            connect_timeout: Duration::from_secs(30),
            alive_interval: Duration::from_secs(15),
            alive_count: 4,
        }
    }

    /// Takes an option as `ssh_config` has it: one that has a field becomes that, any other is added to [`options`](Self::options).
    ///
    /// Fails with [`Kind::Usage`](backup_core::Kind::Usage) where a value is none; [`Ssh::new`](super::Ssh::new) where an option cannot be
    /// given.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let number = || {
            let number = value.parse::<u32>().ok();
            number.ok_or_else(|| Error::usage(format!("the ssh option {name} has a value that is no number")))
        };
        match (name.to_ascii_lowercase().as_str(), value) {
            // It is so, always.
            ("batchmode", "yes") | ("stricthostkeychecking", "yes") => {}
            ("stricthostkeychecking", "accept-new") => self.accept_new = true,
            ("connecttimeout", _) => self.connect_timeout = Duration::from_secs(number()?.into()),
            ("serveraliveinterval", _) => self.alive_interval = Duration::from_secs(number()?.into()),
            ("serveralivecountmax", _) => self.alive_count = number()?,
            ("userknownhostsfile", path) => self.known_hosts = Some(path.into()),
            ("port", _) if self.port.is_some() => {}
            _ => self.options.push(format!("{name}={value}")),
        }
        Ok(())
    }

    /// `core@director:22`, without what the configuration file says.
    pub(crate) fn name(&self) -> String {
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        match self.port {
            Some(port) if self.host.contains(':') => format!("{user}[{}]:{port}", self.host),
            Some(port) => format!("{user}{}:{port}", self.host),
            None => format!("{user}{}", self.host),
        }
    }

    /// The arguments of `ssh` up to the host.
    ///
    /// Fails with [`Kind::Usage`](backup_core::Kind::Usage) where a field has what cannot be meant.
    pub(crate) fn arguments(&self) -> Result<Vec<OsString>> {
        if self.host.is_empty()
            || self.host.starts_with('-')
            || self.host.contains(|c: char| c.is_control() || c.is_whitespace())
        {
            return Err(Error::usage(format!("{:?} is no host", self.host)));
        }
        let mut arguments: Vec<OsString> = ["-T", "-x"].map(OsString::from).to_vec();
        let mut option = |option: OsString| arguments.extend([OsString::from("-o"), option]);
        // Nobody is there to be asked, nothing else is to be done on the way, and no connection is shared.
        for fixed in [
            "BatchMode=yes",
            "ControlPath=none",
            "ClearAllForwardings=yes",
            "RemoteCommand=none",
            "PermitLocalCommand=no",
            "LogLevel=ERROR",
        ] {
            option(fixed.into());
        }
        option(if self.accept_new { "StrictHostKeyChecking=accept-new" } else { "StrictHostKeyChecking=yes" }.into());
        option(format!("ConnectTimeout={}", seconds(self.connect_timeout)).into());
        option(format!("ServerAliveInterval={}", seconds(self.alive_interval)).into());
        option(format!("ServerAliveCountMax={}", self.alive_count).into());
        if let Some(file) = &self.known_hosts {
            option(with_path("UserKnownHostsFile", file)?);
            option("GlobalKnownHostsFile=/dev/null".into());
        }
        for file in &self.identities {
            option(with_path("IdentityFile", file)?);
        }
        if !self.identities.is_empty() {
            option("IdentitiesOnly=yes".into());
        }
        if let Some(jump) = &self.jump {
            option(jump.as_proxy_command()?);
        }
        for own in &self.options {
            option(checked(own)?);
        }
        if let Some(file) = &self.config {
            arguments.extend([OsString::from("-F"), file.into()]);
        }
        if let Some(user) = &self.user {
            arguments.extend([OsString::from("-l"), user.into()]);
        }
        if let Some(port) = self.port {
            arguments.extend([OsString::from("-p"), port.to_string().into()]);
        }
        Ok(arguments)
    }

    /// `ProxyCommand=…`: what `ssh -J` does, with the jump's own keys and checks.
    fn as_proxy_command(&self) -> Result<OsString> {
        let mut words = vec![self.program.clone().into_os_string()];
        words.extend(self.arguments()?);
        // `ssh` puts an `exec` before it.
        let mut line = b"ProxyCommand=".to_vec();
        for word in words {
            line.extend(doubled(quoted(&word).as_bytes()));
            line.push(b' ');
        }
        line.extend(b"-W '[%h]:%p' -- ");
        line.extend(doubled(quoted(OsStr::new(&self.host)).as_bytes()));
        Ok(OsString::from_vec(line))
    }
}

fn seconds(duration: Duration) -> u64 {
    // 0 would mean never.
    duration.as_secs().max(1)
}

/// Bytes in which `ssh` takes no percent sign for one of its tokens.
fn doubled(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| std::iter::repeat_n(*byte, if *byte == b'%' { 2 } else { 1 })).collect()
}

/// `key="path"`, of which `ssh` takes nothing for what it is not.
fn with_path(key: &str, path: &Path) -> Result<OsString> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.iter().any(|byte| matches!(byte, b'"' | b'\\' | b'\n' | b'\r' | 0)) || bytes.windows(2).any(|two| two == b"${") {
        return Err(Error::usage(format!("ssh cannot be told of a file with such a name: {}", path.display())));
    }
    Ok(OsString::from_vec([key.as_bytes(), b"=\"", &doubled(bytes), b"\""].concat()))
}

/// An option that the user adds. One that is set already would be passed over by `ssh` without a word.
fn checked(option: &str) -> Result<OsString> {
    let key = option.split(['=', ' ', '\t']).next().unwrap_or_default().to_ascii_lowercase();
    let instead = match key.as_str() {
        "stricthostkeychecking" => "host keys are always checked; accept-new must be asked for by itself",
        "batchmode" | "numberofpasswordprompts" => "nobody is there to be asked",
        "userknownhostsfile" | "globalknownhostsfile" => "name the file of known hosts by itself",
        "connecttimeout" | "serveraliveinterval" | "serveralivecountmax" => "it has a setting of its own",
        "controlmaster" | "controlpath" | "controlpersist" => "each command has a connection of its own",
        "proxyjump" | "proxycommand" => "name the host to jump through by itself, or in the configuration file of ssh",
        "remotecommand"
        | "requesttty"
        | "sessiontype"
        | "stdinnull"
        | "forkafterauthentication"
        | "localcommand"
        | "permitlocalcommand"
        | "clearallforwardings"
        | "loglevel" => "the command needs it as it is",
        _ if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            "it must be Key=Value, as ssh_config has it"
        }
        _ if option.contains(['\n', '\0']) => "it must be one line",
        _ => return Ok(option.into()),
    };
    Err(Error::usage(format!("the ssh option {option:?} cannot be given")).with_hint(instead))
}
