//! Where a server of this machine keeps its data.

use std::net::IpAddr;
use std::path::PathBuf;

use backup_core::Result;
use tokio_postgres::error::SqlState;

use crate::config::{Address, Config, Host};
use crate::connect::{Purpose, Session, connect};
use crate::pg_error::pg_error;

const DOING: &str = "ask for the data directory";

/// The data directory of the server at `config`, as the server names it.
///
/// `None` if it is on another machine, or if the user may not know: that takes `pg_read_all_settings`. A server in a container
/// that is reached over loopback names a folder of its container.
pub async fn data_directory(config: &Config) -> Result<Option<PathBuf>> {
    if !config.hosts.iter().any(is_local) {
        return Ok(None);
    }
    let session = Box::pin(connect(config, Purpose::Ask)).await?;
    let asked = session.data_directory().await;
    session.close().await;
    asked
}

impl Session {
    /// The data directory of the server, as [`data_directory`] says.
    pub async fn data_directory(&self) -> Result<Option<PathBuf>> {
        if !is_local(&self.host) {
            return Ok(None);
        }
        match self.client.query_one("SHOW data_directory", &[]).await {
            Ok(row) => match row.try_get::<_, &str>(0) {
                Ok(folder) => Ok(Some(PathBuf::from(folder))),
                Err(error) => Err(pg_error(DOING, error)),
            },
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Ok(None),
            Err(error) => Err(pg_error(DOING, error)),
        }
    }
}

/// Whether a host is this machine by what it is called.
fn is_local(host: &Host) -> bool {
    match &host.address {
        _ if host.through.is_some() => false,
        Address::Socket(_) => true,
        Address::Tcp(_) if host.hostaddr.is_some() => host.hostaddr.is_some_and(|address| address.is_loopback()),
        Address::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
    }
}
