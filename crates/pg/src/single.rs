//! One database as a dump that stands for itself: the roles that it may need, then what is in it.

use backup_core::{Context, Result};
use tokio::io::AsyncWrite;

use crate::config::Config;
use crate::connect::Session;
use crate::dump::dump_snapshot;
use crate::snapshot::{Database, Options};

/// Writes the database that `config` names to `out`, to be played into an empty database of any name, as [`dump`](crate::dump())
/// does; over `session`, which is connected to it to dump, and over others as `jobs` says if it is large.
///
/// With `roles`, they come first, of the same instant: those that the server has not are created, without passwords, and no role
/// that is there is changed. It needs no more rights than reading the database does.
pub async fn single(
    cx: &Context,
    config: &Config,
    session: Session,
    roles: bool,
    jobs: usize,
    out: &mut (impl AsyncWrite + Unpin),
) -> Result<()> {
    let options = Options { jobs, roles, create: false, range: crate::RANGE, ..Options::default() };
    let database = Database { config: config.clone(), options, record: None, folder: None };
    dump_snapshot(cx, database.snapshot_over(cx, session).await?, out).await
}
