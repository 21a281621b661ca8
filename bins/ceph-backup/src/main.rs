//! Makes buckets and folders alike, and deletes nothing by mistake.

mod args;
mod check;
mod configure;
mod list;
mod names;
mod s3cmd;
mod server;
mod sync;

use std::process::ExitCode;

fn main() -> ExitCode {
    backup_cli::run::<args::CephBackup>()
}
