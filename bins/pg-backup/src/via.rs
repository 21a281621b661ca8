//! `--via`: the way to a server that is not reached from here.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use backup_core::{Error, Kind, Result};
use backup_host::via::{Hop, reach};
use backup_host::{Host, Local, Port, Tunnel, ssh};
use backup_pg::Config;
use backup_pg::config::Address;
use clap::Args;

/// The way to the server.
#[derive(Debug, Clone, Args)]
pub(crate) struct Via {
    /// Reach the server through this host: `ssh://[USER@]HOST[:PORT]`, and behind it `docker://[USER@]CONTAINER`; may be given several
    /// times, or with commas between them, each reached from the one before. The server's address is as the last one sees it
    #[arg(long = "via", value_name = "URL", value_delimiter = ',', hide_env_values = true, global = true)]
    hops: Vec<String>,
    /// On the way, log in with the private key in this file and no other; may be given several times
    #[arg(long = "ssh-key", value_name = "FILE", global = true)]
    keys: Vec<PathBuf>,
    /// An option of ssh as its configuration file has it; may be given several times
    #[arg(long = "ssh-option", value_name = "NAME=VALUE", global = true)]
    options: Vec<String>,
    /// On the way, take the host key of a machine of which none is known for right, and write it down
    #[arg(long, global = true)]
    accept_new_key: bool,
}

impl Via {
    /// What the options say. Nobody is asked for anything yet.
    pub(crate) fn way(&self) -> Result<Way> {
        if self.hops.is_empty() {
            return Ok(Way::default());
        }
        let hops = self.hops.iter().map(|hop| hop.parse()).collect::<Result<Vec<Hop>>>();
        let mut told = ssh::Config::new("");
        told.identities.clone_from(&self.keys);
        told.accept_new = self.accept_new_key;
        for option in &self.options {
            let (name, value) = option.split_once('=').ok_or_else(|| {
                Error::usage(format!("the ssh option {option:?} cannot be given")).with_hint("it must be NAME=VALUE")
            })?;
            told.set(name.trim(), value.trim())?;
        }
        let hops = hops.map_err(|error| Error::usage("--via leads nowhere").with_source(error))?;
        let host = reach(&hops, &told).map_err(|error| Error::usage("--via leads nowhere").with_source(error))?;
        Ok(Way { host: Some(host), tunnels: Mutex::default() })
    }
}

/// The way itself: straight ahead, or by tunnels that last as long as this.
#[derive(Debug, Default)]
pub(crate) struct Way {
    host: Option<Arc<dyn Host>>,
    tunnels: Mutex<Vec<Tunnel>>,
}

impl Way {
    /// Whether the server is reached from here.
    pub(crate) fn is_direct(&self) -> bool {
        self.host.is_none()
    }

    /// Where it leads to, for commands.
    pub(crate) fn host(&self) -> Arc<dyn Host> {
        self.host.clone().unwrap_or_else(|| Arc::new(Local))
    }

    /// The same servers, reached through tunnels. They go by the same names, for their certificates, passwords and messages.
    pub(crate) fn lead(&self, mut config: Config) -> Result<Config> {
        let Some(host) = &self.host else { return Ok(config) };
        for server in &mut config.hosts {
            let Address::Tcp(name) = &server.address else {
                return Err(Error::usage(format!("--via leads to no socket of {}", host.name()))
                    .with_hint("give an address of the server as it is seen there: 127.0.0.1"));
            };
            let machine = server.hostaddr.map_or_else(|| name.clone(), |address| address.to_string());
            let tunnel = Tunnel::open(host.clone(), Port { machine, number: server.port }, ".s.PGSQL.5432")?;
            server.through = Some(tunnel.path().to_owned());
            self.tunnels.lock().unwrap_or_else(PoisonError::into_inner).push(tunnel);
        }
        Ok(config)
    }

    /// `done`; where it failed and the way did, too, with the reason that the way has behind it.
    pub(crate) fn explain<T>(&self, done: Result<T>) -> Result<T> {
        done.map_err(|error| {
            let tunnels = self.tunnels.lock().unwrap_or_else(PoisonError::into_inner);
            match tunnels.iter().find_map(Tunnel::failure).filter(|_| error.kind() == Kind::Failed) {
                Some(why) => Error::failed(error.chain()).with_source(why),
                None => error,
            }
        })
    }
}
