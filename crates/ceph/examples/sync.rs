//! Copies what differs: `cargo run --example sync ~/.s3cfg STATE s3://BUCKET/ FOLDER/`, with a folder STATE for its records.

use backup_ceph::sync::{Options, Route, Server, sync};
use backup_ceph::{S3Cfg, connect};
use backup_core::{Context, Error, Result};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "printing is what this example is for")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, s3cfg, state, source, destination] = arguments.as_slice() else {
        return Err(Error::usage("give a file of s3cmd, a folder for records, a source and a destination"));
    };
    let (config, _) = S3Cfg::parse(&std::fs::read_to_string(s3cfg)?, &|_| None)?;
    let access = config.access(None, &|_| None)?;
    let server = Some(Server { gateway: connect(&access)?, endpoint: access.endpoint });
    let route = Route::new(source, destination)?;
    let synced = sync(&Context::default(), &route, server.clone(), server, Options::new(state)).await?;
    println!("{} copied, {} were there", synced.summary.copied, synced.summary.same);
    match synced.summary.failed {
        0 => Ok(()),
        failed => Err(Error::failed(format!("{failed} failed"))),
    }
}
