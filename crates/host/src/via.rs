//! The way to a host by way of others: `ssh://` and `docker://`.

use std::str::FromStr;
use std::sync::Arc;

use backup_core::{Error, Result};

use crate::command::is_name;
use crate::{Docker, Host, Local, Ssh, docker, ssh};

/// One step of the way: `ssh://[USER@]HOST[:PORT]` or `docker://[USER@]CONTAINER`. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hop {
    /// A machine where one logs in by ssh.
    Ssh {
        /// Who logs in; none: as the configuration file of ssh has it.
        user: Option<String>,
        /// A name of DNS, an address, or a `Host` of the configuration file.
        host: String,
        /// Its port; none: of the configuration file, else 22.
        port: Option<u16>,
    },
    /// A container of the machine before, else of this one.
    Docker {
        /// As whom commands run in it, by `docker exec --user`; none: as the container's own user.
        user: Option<String>,
        /// Its name or id.
        container: String,
    },
}

/// Fails with [`Kind::Usage`](backup_core::Kind::Usage). What is wrong is not repeated: it may have a password in it.
impl FromStr for Hop {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::usage("a step of the way is neither ssh://[USER@]HOST[:PORT] nor docker://[USER@]CONTAINER")
                .with_hint("no password and no path stands in it")
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) if is_name(user) => (Some(user.to_owned()), rest),
            Some(_) => return Err(bad()),
            None => (None, rest),
        };
        match scheme {
            "ssh" => {
                let (host, port) = host_and_port(rest).ok_or_else(bad)?;
                Ok(Self::Ssh { user, host, port })
            }
            "docker" if is_name(rest) => Ok(Self::Docker { user, container: rest.to_owned() }),
            _ => Err(bad()),
        }
    }
}

/// `name`, `name:22`, `10.0.0.6:22`, `[::1]:22`.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (Some(host).filter(|host| host.parse::<std::net::Ipv6Addr>().is_ok())?, rest)
        }
        None => {
            let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            (Some(host).filter(|host| is_name(host))?, rest)
        }
    };
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
        None if rest.is_empty() => None,
        None => return None,
    };
    Some((host.to_owned(), port))
}

/// Where `hops` lead to, the first of them from this machine: no step is this machine itself. Nobody is asked for anything yet.
///
/// Machines are logged in to as `ssh` says, but for their user, name and port; each but the first is reached through the one before.
/// Fails with [`Kind::Usage`](backup_core::Kind::Usage) where a container is not the last step.
pub fn reach(hops: &[Hop], ssh: &ssh::Config) -> Result<Arc<dyn Host>> {
    let mut machine: Option<ssh::Config> = None;
    for (at, hop) in hops.iter().enumerate() {
        match hop {
            Hop::Ssh { user, host, port } => {
                let (user, jump) = (user.clone().or_else(|| ssh.user.clone()), machine.map(Box::new));
                machine = Some(ssh::Config { user, host: host.clone(), port: *port, jump, ..ssh.clone() });
            }
            Hop::Docker { user, container } if at + 1 == hops.len() => {
                let config = docker::Config { user: user.clone(), ..docker::Config::new(container.clone()) };
                return Ok(match machine {
                    Some(machine) => Arc::new(Docker::on(Ssh::new(machine)?, config)?),
                    None => Arc::new(Docker::here(config)?),
                });
            }
            Hop::Docker { .. } => {
                return Err(Error::usage("a container is on the way to something else").with_hint("name it last"));
            }
        }
    }
    Ok(match machine {
        Some(machine) => Arc::new(Ssh::new(machine)?),
        None => Arc::new(Local),
    })
}

#[cfg(test)]
mod tests {
    use backup_core::Kind;

    use super::*;

    fn name(hops: &[&str]) -> Result<String> {
        let hops = hops.iter().map(|hop| hop.parse()).collect::<Result<Vec<Hop>>>()?;
        Ok(reach(&hops, &ssh::Config::new(""))?.name().to_owned())
    }

    #[test]
    fn steps_lead_one_to_the_next() {
        for (hops, expected) in [
            (&[][..], "this machine"),
            (&["ssh://deis-1"], "deis-1"),
            (&["ssh://core@10.0.0.6:2222"], "core@10.0.0.6:2222"),
            (&["ssh://core@[fe80::1]:22"], "core@[fe80::1]:22"),
            (&["docker://deis-database"], "container deis-database on this machine"),
            (&["ssh://core@deis-1", "docker://deis-database"], "container deis-database on core@deis-1"),
            (&["ssh://bastion", "ssh://core@deis-1:22"], "core@deis-1:22"),
        ] {
            assert_eq!(name(hops).expect("they lead somewhere"), expected);
        }
    }

    #[test]
    fn what_is_no_step_is_refused_and_not_repeated() {
        for bad in [
            "",
            "deis-1",
            "ssh://",
            "ssh:///",
            "ssh://a/",
            "ssh://a/b",
            "ssh://a?b",
            "ssh://a:",
            "ssh://a:0",
            "ssh://a:x",
            "ssh://a:65536",
            "ssh://-oProxyCommand=id",
            "ssh://@a",
            "ssh://-l@a",
            "ssh://user:secret@a",
            "ssh://a b",
            "ssh://[a]",
            "ssh://[::1",
            "ssh://::1",
            "ssh://$(id)",
            "ssh://a\nb",
            "docker://",
            "docker://a/b",
            "docker://--privileged",
            "docker://a:1",
            "docker://user:secret@a",
            "http://user:secret@a",
            "SSH://a",
        ] {
            let error = name(&[bad]).expect_err(bad);
            assert_eq!(error.kind(), Kind::Usage, "{bad}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
        assert_eq!(name(&["docker://a", "ssh://b"]).expect_err("no way").hint(), Some("name it last"));
        assert_eq!(name(&["docker://a", "docker://b"]).expect_err("no way").hint(), Some("name it last"));
    }
}
