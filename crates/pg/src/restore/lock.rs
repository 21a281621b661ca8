//! How restores of one database are kept apart: by a lock that lasts as long as anything is done for one of them.

use std::time::{Duration, Instant};

use backup_core::{Error, Kind, Result};
use xxhash_rust::xxh3::xxh3_64;

use super::place::Place;
use crate::config::Config;
use crate::connect::{Purpose, Session, connect};
use crate::pg_error::pg_error;
use crate::quote::ident;

/// How long what the server still does for a run that was killed may outlive it.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

impl Place {
    /// A connection for commands on databases. The server carries them out though the program is killed meanwhile: until then the
    /// lock stays, and no other restore begins.
    pub(super) async fn commands(&self, config: &Config) -> Result<Session> {
        let session = self.beside(config).await?;
        self.share(&session).await?;
        Ok(session)
    }

    /// Keeps other restores that come through the same database away from this one, for as long as the session lives, or a command.
    ///
    /// [`Kind::Busy`] if there is one already.
    pub(crate) async fn lock(&self, config: &Config) -> Result<Session> {
        let session = if self.in_place() { connect(config, Purpose::Restore).await? } else { self.beside(config).await? };
        let begun = Instant::now();
        loop {
            let row = session.client.query_one("SELECT pg_catalog.pg_try_advisory_lock($1)", &[&self.key()]).await;
            if row.map_err(|error| pg_error("lock the restore", error))?.get(0) {
                // From alone to shared, with no moment in between: the sessions of this run may have it too.
                self.share(&session).await?;
                session.execute(&format!("SELECT pg_catalog.pg_advisory_unlock({})", self.key())).await?;
                return Ok(session);
            }
            if begun.elapsed() > LOCK_PATIENCE {
                let what = format!("another restore of the database {} is under way", ident(&self.name));
                return Err(Error::new(Kind::Busy, what).with_hint("wait for its end, or end it"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn share(&self, session: &Session) -> Result<()> {
        session.execute(&format!("SELECT pg_catalog.pg_advisory_lock_shared({})", self.key())).await
    }

    /// The number of the lock.
    fn key(&self) -> i64 {
        xxh3_64(format!("backup: restore of {}", self.name).as_bytes()).cast_signed()
    }
}
