//! Which server.

use backup_core::{Context, Error, Event, Result};
use backup_pg::Config;
use backup_pg::config::Params;
use backup_service::container::Spec;
use clap::Args;

use crate::via::{Via, Way};

/// Which server, and as whom.
#[derive(Debug, Clone, Args)]
pub(crate) struct Connection {
    /// A connection string: postgresql://…, or key=value pairs. What it leaves out comes from the environment as libpq has it
    #[arg(long, value_name = "CONNINFO", hide_env_values = true, global = true)]
    server: Option<String>,
    #[command(flatten)]
    via: Via,
}

impl Connection {
    /// The way to the server.
    pub(crate) fn way(&self) -> Result<Way> {
        self.via.way()
    }

    /// The parameters; the database is `postgres` unless one is named. What they lead to lasts as long as `way`.
    pub(crate) fn config(&self, cx: &Context, way: &Way) -> Result<Config> {
        config(cx, way, self.server.as_deref().unwrap_or_default())
    }

    /// What a program is told that runs where the way ends: the server's address and the role, as far as they are given.
    ///
    /// Fails where more is given, which would have to be told on its command line, or cannot be.
    pub(crate) fn there(&self) -> Result<Params> {
        let mut params = Params::parse(self.server.as_deref().unwrap_or_default())?;
        for key in Params::keys() {
            if params.get(key).is_some() && !["host", "port", "user"].contains(&key) {
                return Err(Error::usage(format!("--server names {key}, which a program there cannot be told"))
                    .with_hint("name host, port and user; a password belongs into ~/.pgpass there"));
            }
        }
        for (key, name) in [("host", "PGHOST"), ("port", "PGPORT"), ("user", "PGUSER")] {
            if let (None, Some(value)) = (params.get(key), variable(name)) {
                params.set(key, &value)?;
            }
        }
        Ok(params)
    }
}

/// The parameters that `conninfo` and the environment give, by `way`.
pub(crate) fn config(cx: &Context, way: &Way, conninfo: &str) -> Result<Config> {
    let local = |name: &str| (name == "PGHOST" && !way.is_direct()).then(|| "127.0.0.1".to_owned());
    let config = Params::parse(conninfo)?.resolve(|name| variable(name).or_else(|| local(name)))?;
    way.lead(told(cx, config))
}

/// The parameters that `params` and the environment give.
pub(crate) fn resolve(cx: &Context, params: Params) -> Result<Config> {
    Ok(told(cx, params.resolve(variable)?))
}

/// `config`, of which people were told what was left aside.
fn told(cx: &Context, config: Config) -> Config {
    for warning in &config.warnings {
        cx.tell(Event::Warning { what: warning });
    }
    config
}

/// What the environment says, which counts last, after the string and the service; of the database `postgres` if it says nothing.
pub(crate) fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    value.or_else(|| (name == "PGDATABASE").then(|| "postgres".to_owned()))
}

/// `params` at the host and port that `spec` names, wherever they were before.
pub(crate) fn at(mut params: Params, spec: &Spec) -> Result<Params> {
    params.set("host", spec.host.trim_matches(['[', ']']))?;
    params.set("hostaddr", "")?;
    params.set("port", &spec.port.map(|port| port.to_string()).unwrap_or_default())?;
    Ok(params)
}
