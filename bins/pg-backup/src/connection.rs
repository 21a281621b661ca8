//! Which server.

use backup_core::{Context, Event, Result};
use backup_pg::Config;
use backup_pg::config::Params;
use backup_service::container::Spec;
use clap::Args;

/// Which server, and as whom.
#[derive(Debug, Clone, Args)]
pub(crate) struct Connection {
    /// A connection string: postgresql://…, or key=value pairs. What it leaves out comes from the environment as libpq has it
    #[arg(long, value_name = "CONNINFO", hide_env_values = true, global = true)]
    server: Option<String>,
}

impl Connection {
    /// The parameters; the database is `postgres` unless one is named.
    pub(crate) fn config(&self, cx: &Context) -> Result<Config> {
        config(cx, self.server.as_deref().unwrap_or_default())
    }
}

/// The parameters that `conninfo` and the environment give.
pub(crate) fn config(cx: &Context, conninfo: &str) -> Result<Config> {
    resolve(cx, Params::parse(conninfo)?)
}

/// The parameters that `params` and the environment give.
pub(crate) fn resolve(cx: &Context, params: Params) -> Result<Config> {
    let variable = |name: &str| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        // What the environment says counts last, after the string and the service.
        value.or_else(|| (name == "PGDATABASE").then(|| "postgres".to_owned()))
    };
    told(cx, params.resolve(variable)?)
}

/// How to reach a database that the container's configuration names, as `user`; TLS and the like as libpq has them.
pub(crate) fn container(cx: &Context, spec: &Spec, user: Option<&str>, password: Option<&str>) -> Result<Config> {
    let mut params = Params::default();
    params.set("host", spec.host.trim_matches(['[', ']']))?;
    if let Some(port) = spec.port {
        params.set("port", &port.to_string())?;
    }
    params.set("dbname", &spec.database)?;
    if let Some(user) = user {
        params.set("user", user)?;
    }
    if let Some(password) = password {
        params.set("password", password)?;
    }
    told(cx, params.resolve(|name| std::env::var(name).ok())?)
}

fn told(cx: &Context, config: Config) -> Result<Config> {
    for warning in &config.warnings {
        cx.tell(Event::Warning { what: warning });
    }
    Ok(config)
}
