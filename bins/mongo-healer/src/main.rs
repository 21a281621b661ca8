//! Backs MongoDB up, whole or not at all, and heals what is lost.

mod archive;
mod args;
mod backup;
mod connection;
mod heal;
mod load;
mod memory;
mod prove;
mod restore;
mod s3;
mod words;

use std::process::ExitCode;

fn main() -> ExitCode {
    memory::give_back();
    backup_cli::run::<args::MongoHealer>()
}
