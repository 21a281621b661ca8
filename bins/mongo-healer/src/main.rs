//! Backs MongoDB up, whole or not at all.

mod args;
mod backup;
mod connection;
mod s3;

use std::process::ExitCode;

fn main() -> ExitCode {
    backup_cli::run::<args::MongoHealer>()
}
