//! Chores of the workspace. `cargo run -p xtask --release -- bench pg` measures pg-backup against PostgreSQL's own programs.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

mod bench;

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
}

#[derive(Debug, Subcommand)]
enum What {
    /// pg-backup against pg_dumpall, pg_dump and psql
    Pg(bench::Options),
}

fn main() -> ExitCode {
    let Xtask { chore: Chore::Bench { what: What::Pg(options) } } = Xtask::parse();
    match bench::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
