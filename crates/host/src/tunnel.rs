//! A port of a host as a socket of this machine, for programs and drivers that open connections by themselves.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use backup_core::{Doing, Error, Result};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::{Host, Port};

/// A Unix socket of this machine, for our user alone, behind which a port of a host listens.
///
/// Each connection to it is a [`Host::connect`] of its own. Dropping the tunnel ends all of them and removes the socket.
///
/// A socket knows no error but its end: where a connection was refused or cut, whoever is connected sees the end of file, and
/// [`failure`](Self::failure) says why. Only for protocols that say themselves when they are through, as those of databases do.
#[derive(Debug)]
pub struct Tunnel {
    path: PathBuf,
    failure: Arc<Mutex<Option<Error>>>,
    accepting: AbortHandle,
    _folder: TempDir,
}

impl Tunnel {
    /// Listens on a socket called `name` in a new folder that our user alone may enter; libpq wants `.s.PGSQL.5432`. Nothing is
    /// connected before somebody connects to it. Must be called within a Tokio runtime.
    pub fn open(host: Arc<dyn Host>, to: Port, name: &str) -> Result<Self> {
        let mut folder = tempfile::Builder::new();
        let folder = folder.prefix("backup-tunnel-").permissions(Permissions::from_mode(0o700));
        let folder = folder.tempdir().doing(|| "make a folder for a socket")?;
        let path = folder.path().join(name);
        let listener = UnixListener::bind(&path).doing(|| format!("listen on {}", path.display()))?;
        let failure = Arc::new(Mutex::new(None));
        let accepting = tokio::spawn(accept(listener, host, to, failure.clone())).abort_handle();
        Ok(Self { path, failure, accepting, _folder: folder })
    }

    /// Where to connect to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why the last connection ended that failed, once.
    pub fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Dropped, it ends the connections that it has taken.
async fn accept(listener: UnixListener, host: Arc<dyn Host>, to: Port, failure: Arc<Mutex<Option<Error>>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            taken = listener.accept() => {
                let (host, to, failure) = (host.clone(), to.clone(), failure.clone());
                connections.spawn(async move {
                    let carried = match taken {
                        Ok((near, _)) => carry(near, &*host, &to).await,
                        Err(error) => Err(error).doing(|| "take a connection"),
                    };
                    if let Err(error) = carried {
                        *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(mut near: UnixStream, host: &dyn Host, to: &Port) -> Result<()> {
    let mut far = host.connect(to).await?;
    copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}
