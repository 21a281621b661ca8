//! Backs a PostgreSQL cluster up, restores it, and proves that the restore is equal.

mod args;
mod backup;
mod check;
mod connection;
mod down;
mod dump;
mod dumps;
mod prove;
mod restore;
mod s3;
mod serve;
mod shelf;
mod there;
mod via;
mod what;

use std::process::ExitCode;

fn main() -> ExitCode {
    backup_cli::run::<args::PgBackup>()
}
