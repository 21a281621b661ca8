//! `check`: whether a server, its keys and a bucket are good for a sync, and whether a bucket is enough to restore from.

mod features;
mod segment;
mod timelines;
mod uploads;
mod wal_e;

use backup_ceph::sync::bucket;
use backup_cli::{Face, escaped};
use backup_core::{Error, Result};
use clap::Args;
use serde_json::json;

use crate::server::{server, settings};

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// s3://BUCKET[/PREFIX]; without one only server and keys are looked at
    place: Option<String>,
    /// Store nothing: it is not tried whether these keys may write
    #[arg(long)]
    read_only: bool,
    /// Look whether the newest base backup of WAL-E in there is whole, and every WAL segment since: whether it is enough to restore
    #[arg(long, requires = "place", conflicts_with = "read_only")]
    wal_e: bool,
    /// Look at nothing but uploads in there that were begun this many hours ago or earlier and not finished, and give them up
    #[arg(long, value_name = "HOURS", requires = "place", conflicts_with_all = ["read_only", "wal_e"])]
    abort_uploads: Option<u32>,
}

impl Check {
    pub(crate) async fn run(self, face: &Face) -> Result<()> {
        let settings = settings(&face.s3);
        let Some(place) = &self.place else {
            let named = server(face, &settings, None)?.server;
            let buckets = face.cx.unless_cancelled(named.gateway.buckets()).await?.len();
            return good(face, "keys", &format!("{} takes them and shows {buckets} buckets", named.endpoint));
        };
        let (bucket, prefix) = bucket(place)?;
        let gateway = server(face, &settings, Some(&bucket))?.server.gateway;
        if self.wal_e {
            return wal_e::check(face, &gateway, &bucket, &prefix).await;
        }
        if self.abort_uploads.is_none() {
            features::check(face, &gateway, &bucket, &prefix, self.read_only).await?;
        }
        uploads::check(face, &gateway, &bucket, &prefix, self.abort_uploads).await
    }
}

/// Tells what is as it should be.
fn good(face: &Face, what: &str, says: &str) -> Result<()> {
    tell(face, true, what, says)
}

fn tell(face: &Face, is_good: bool, what: &str, says: &str) -> Result<()> {
    let mark = if is_good { "ok" } else { "no" };
    let line = format!("{mark:3} {what:14} {says}");
    Ok(face.report.result(&escaped(&line), &json!({"check": what, "ok": is_good, "says": says}))?)
}

/// An error on one line, with what to do.
fn words(error: &Error) -> String {
    let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{}{hint}", error.chain())
}
