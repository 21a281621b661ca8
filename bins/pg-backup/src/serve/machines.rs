//! What a service has for machines: HTTP, and a file of metrics.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use backup_core::{Context, Doing, Name, Result};
use backup_service::http::{Server, Token};
use backup_service::{Desk, Metrics};
use clap::Args;

use super::asked::Doors;

/// Where machines ask.
#[derive(Debug, Clone, Args)]
pub(crate) struct MachineArgs {
    /// Answer HTTP here: /metrics, /healthz and /readyz
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// A file with a secret: clients of HTTP that show it may have jobs run, by POST /jobs/NAME/run
    #[arg(long, value_name = "FILE", requires = "listen")]
    token_file: Option<PathBuf>,
    /// Write the metrics into this file each minute, where node_exporter collects it; its name ends in .prom
    #[arg(long, value_name = "FILE")]
    textfile: Option<PathBuf>,
}

impl MachineArgs {
    /// What they say.
    pub(super) fn doors(&self) -> Result<Doors> {
        let token = self.token_file.as_deref().map(token).transpose()?;
        Ok(Doors { listen: self.listen, token, textfile: self.textfile.clone() })
    }
}

/// What is open for machines.
pub(super) struct Machines {
    server: Option<Server>,
    textfile: Option<PathBuf>,
    metrics: Metrics,
}

impl Machines {
    /// Listens, and writes the first metrics. `places` is where each job stores.
    pub(super) async fn open(doors: Doors, desk: Desk, places: Vec<(Name, PathBuf)>) -> Result<Self> {
        let metrics = Metrics::new(desk.clone());
        let metrics = places.into_iter().fold(metrics, |metrics, (job, place)| metrics.with_place(job, place));
        if let Some(file) = &doors.textfile {
            metrics.store(file)?;
        }
        let server = match doors.listen {
            None => None,
            Some(address) => {
                let server = Server::bind(address, desk, metrics.clone()).await?;
                Some(match doors.token {
                    Some(token) => server.with_token(token),
                    None => server,
                })
            }
        };
        Ok(Self { server, textfile: doors.textfile, metrics })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(Server::address)
    }

    /// Serves until `cx` is cancelled.
    pub(super) async fn run(self, cx: &Context) -> Result<()> {
        let Self { server, textfile, metrics } = self;
        let http = async {
            match server {
                Some(server) => server.run(cx).await,
                None => Ok(()),
            }
        };
        let keep = async {
            if let Some(file) = &textfile {
                metrics.keep(file, cx).await;
            }
        };
        tokio::join!(http, keep).0
    }
}

/// The secret in `file`.
fn token(file: &Path) -> Result<Token> {
    let text = std::fs::read_to_string(file).doing(|| format!("read the token in {}", file.display()))?;
    text.parse().doing(|| format!("take the token in {}", file.display()))
}
