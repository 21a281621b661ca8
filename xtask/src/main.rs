//! Chores of the workspace. `cargo run -p xtask --release -- bench pg` measures pg-backup against PostgreSQL's own programs.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

mod bench;
mod faults;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "Chores of the workspace")]
struct Xtask {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Measure a program of the workspace against its peers, on servers of its own
    Bench {
        #[command(subcommand)]
        what: What,
    },
    /// What stands beside a measured program
    #[command(hide = true, subcommand)]
    Peer(bench::Peer),
    /// Write what faults do to a sync: ceph-backup beside s3cmd and s5cmd
    Faults(faults::Options),
}

#[derive(Debug, Subcommand)]
enum What {
    /// pg-backup against pg_dumpall, pg_dump and psql
    Pg(bench::Options),
    /// pg-backup serve --once of many small databases against a loop of pg_dump and gzip
    Serve(bench::ServeOptions),
    /// ceph-backup against s5cmd, rclone and s3cmd
    S3(bench::S3Options),
    /// mongo-healer's backups against other ways to read the same documents, and its restores with several workers against one
    Mongo(bench::MongoOptions),
    /// bosh-backup's copies, archives and downtime against OpenSSH, rsync and tar -z
    Bosh(bench::BoshOptions),
}

fn main() -> ExitCode {
    let done = match Xtask::parse().chore {
        Chore::Bench { what: What::Pg(options) } => bench::run(&options),
        Chore::Bench { what: What::Serve(options) } => bench::serve(&options),
        Chore::Bench { what: What::S3(options) } => bench::s3(&options),
        Chore::Bench { what: What::Mongo(options) } => bench::mongo(&options),
        Chore::Bench { what: What::Bosh(options) } => bench::bosh(&options),
        Chore::Peer(peer) => bench::peer(&peer),
        Chore::Faults(options) => faults::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
