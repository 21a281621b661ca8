//! Backs a BOSH director up, and never leaves it down.

mod args;
mod backup;
mod director;
mod files;
mod ids;
mod list;
mod prune;
mod replace;
mod restore;
mod resume;
mod sql;
mod ssh;
mod verify;

use std::process::ExitCode;

fn main() -> ExitCode {
    backup_cli::run::<args::BoshBackup>()
}
