//! As whom a server is spoken to, and how.

use std::path::PathBuf;

use backup_core::{Doing, Error, Result};
use backup_mongo::{Config, Secret};
use clap::Args;

/// The variable with the password: no option, as everybody on the machine sees those.
const PASSWORD: &str = "BACKUP_PASSWORD";

/// As whom, and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct Connection {
    /// Who logs in, unless the connection string says it
    #[arg(long, value_name = "NAME", global = true)]
    username: Option<String>,
    /// The password is the first line of this file [else it is the variable BACKUP_PASSWORD]
    #[arg(long, value_name = "FILE", global = true)]
    password_file: Option<PathBuf>,
    /// The database that knows the user [default: admin]
    #[arg(long, value_name = "DATABASE", global = true)]
    auth_source: Option<String>,
    /// Speak to the server over TLS
    #[arg(long, global = true)]
    tls: bool,
    /// Trust the authorities in this file (PEM) for the server, over TLS
    #[arg(long, value_name = "FILE", global = true)]
    tls_ca: Option<PathBuf>,
    /// Show the server the certificate in this file, with its key (PEM), over TLS
    #[arg(long, value_name = "FILE", global = true)]
    tls_certificate: Option<PathBuf>,
}

impl Connection {
    /// The config of `server`, a host or a connection string.
    pub(crate) fn config(&self, server: &str) -> Result<Config> {
        let Self { username, password_file, auth_source, tls, tls_ca, tls_certificate } = self.clone();
        let mut config = Config { username, auth_source, tls, tls_ca, tls_certificate, ..Config::new(server) };
        if config.has_password_in_server() {
            return Err(Error::usage("a password stands in the connection string, where everybody on the machine sees it")
                .with_hint(format!("leave it out, and give --password-file FILE or set {PASSWORD}")));
        }
        config.password = match password_file {
            Some(file) => {
                let text = std::fs::read_to_string(&file).doing(|| format!("read the password in {}", file.display()))?;
                Some(Secret::from(text.lines().next().unwrap_or_default()))
            }
            None => {
                std::env::var(PASSWORD).ok().filter(|password| !password.is_empty()).map(|text| Secret::from(text.as_str()))
            }
        };
        Ok(config)
    }
}
