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
    let config = params.resolve(variable)?;
    for warning in &config.warnings {
        cx.tell(Event::Warning { what: warning });
    }
    Ok(config)
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
