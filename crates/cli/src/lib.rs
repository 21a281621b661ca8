//! The common face of the backup programs: flags, signals, progress, exit codes. The only place that prints.
//!
//! A program hands over the sinks it was built with and the commands that are its own; everything else is here.

mod commands;
mod common;
mod exit;
mod progress;
mod report;
mod run;
mod s3;
mod signals;
mod sinks;
mod variables;

pub use commands::{Manage, PruneArgs, Wanted, man};
pub use common::{Common, SealArgs, UnsealArgs};
pub use exit::exit_code;
pub use progress::{Progress, size};
pub use report::{Report, one_line};
pub use run::{Face, Program, run};
pub use s3::S3Args;
pub use sinks::{Opened, Opening, Sinks};
pub use variables::command;
