//! The names of collections that are being restored, and what runs that died have left of them.
//!
//! A name tells the run. A run tells the server its name with each connection, so the server knows which runs live.

use backup_core::{Context, Event, Result};
use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::{Client, Database};
use xxhash_rust::xxh3::xxh3_64;

use super::mark;
use crate::mongo_error::mongo_error;

/// What the names of collections begin with that are being restored.
pub const PREFIX: &str = "backup.restoring.";
/// What a run calls itself to the server, before its token.
const RUN: &str = "mongo-healer ";

/// One run of a restore or a healing, told from every other.
#[derive(Debug, Clone)]
pub struct Run {
    token: String,
}

impl Run {
    /// A run whose token no other has.
    #[expect(clippy::new_without_default, reason = "two of them are never the same")]
    pub fn new() -> Self {
        Self { token: bson::oid::ObjectId::new().to_hex() }
    }

    /// What its connections are called: set it as the application's name before it connects.
    pub fn app_name(&self) -> String {
        format!("{RUN}{}", self.token)
    }

    /// The name under which its collection number `number` is filled, on behalf of the user that `owner` tells.
    pub(crate) fn name(&self, owner: &str, number: usize) -> String {
        format!("{PREFIX}{owner}.{}.{number}", self.token)
    }
}

/// Whom the connection belongs to, as 16 digits: of other users' runs a user is not told.
pub(crate) async fn owner(client: &Client) -> Result<String> {
    let status = client.database("admin").run_command(doc! { "connectionStatus": 1 }).await;
    let status = status.map_err(|error| mongo_error("ask who is logged in", &error))?;
    let users =
        status.get_document("authInfo").and_then(|info| info.get_array("authenticatedUsers")).cloned().unwrap_or_default();
    Ok(format!("{:016x}", xxh3_64(Bson::Array(users).to_string().as_bytes())))
}

/// Drops what runs of the same user that are dead have left in `database`. Where the server does not tell which runs live, all
/// stays, and a warning names it.
pub(crate) async fn sweep(cx: &Context, client: &Client, database: &Database, owner: &str, run: &Run) -> Result<()> {
    let ours = format!("{PREFIX}{owner}.");
    let failed =
        |error: mongodb::error::Error| mongo_error(format!("list the collections of the database {}", database.name()), &error);
    let listed = mark::list(database).await.map_err(failed)?;
    let mut left: Vec<&str> = listed.iter().filter_map(|listed| listed.get_str("name").ok()).collect();
    left.retain(|name| name.starts_with(&ours) && token(name).is_some());
    // What is marked is not whole yet: its mark is taken off when it is.
    for mark in mark::marks(database, &listed).await.map_err(failed)?.iter().filter(|mark| mark.on.is_some()) {
        left.retain(|name| *name != mark.name);
    }
    if left.is_empty() {
        return Ok(());
    }
    let living = match living(client).await {
        // A server that does not see this run does not see others either.
        Ok(living) if living.contains(&run.token) => living,
        _ => {
            let what = format!("the server does not say whether {} is still being filled: it stays", left.len());
            cx.tell(Event::Warning { what: &what });
            return Ok(());
        }
    };
    for name in left.into_iter().filter(|name| !token(name).is_some_and(|token| living.iter().any(|run| run == token))) {
        let dropped = database.collection::<Document>(name).drop().await;
        dropped.map_err(|error| mongo_error(format!("drop {name}, which an earlier run has left"), &error))?;
    }
    Ok(())
}

/// Whether a collection is one that a run fills or has marked.
pub(crate) fn is_temporary(name: &str) -> bool {
    token(name).is_some()
}

/// The token in a name.
fn token(name: &str) -> Option<&str> {
    let (_, rest) = name.strip_prefix(PREFIX)?.split_once('.')?;
    let (token, number) = mark::plain(rest).split_once('.')?;
    let is_token = token.len() == 24 && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_token && number.parse::<usize>().is_ok()).then_some(token)
}

/// The tokens of the runs that are connected.
async fn living(client: &Client) -> mongodb::error::Result<Vec<String>> {
    let operations = doc! { "$currentOp": { "allUsers": false, "idleConnections": true } };
    let found: Vec<Document> = client.database("admin").aggregate([operations]).await?.try_collect().await?;
    let token = |operation: &Document| operation.get_str("appName").ok()?.strip_prefix(RUN).map(str::to_owned);
    Ok(found.iter().filter_map(token).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_run_and_no_other_name_does() {
        let run = Run::new();
        let name = run.name("00ff00ff00ff00ff", 7);
        assert_eq!(token(&name), Some(run.token.as_str()));
        assert_eq!(token(&format!("{name}.in-place")), Some(run.token.as_str()));
        assert_ne!(Run::new().token, run.token);
        for name in [
            "users",
            "backup.restoring.",
            "backup.restoring.x.y.z",
            "backup.restoring.x.0123456789abcdef01234567",
            "backup.restoring.x.0123456789abcdef01234567.1.x",
        ] {
            assert_eq!(token(name), None, "{name}");
        }
    }
}
