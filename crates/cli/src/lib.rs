//! The common face of the backup programs: flags, signals, progress, exit codes. The only place that prints.
//!
//! A program hands over the sinks it was built with and the commands that are its own; everything else is here.

mod ask;
mod commands;
mod common;
mod exit;
mod print;
mod progress;
mod report;
mod run;
mod s3;
mod signals;
mod sinks;
mod variables;

pub use ask::{Answers, line, secret};
pub use commands::{KeepArgs, Manage, PruneArgs, Wanted};
pub use common::{Common, SealArgs, SinkArgs, UnsealArgs};
pub use exit::exit_code;
pub use print::{Print, man};
pub use progress::{Progress, size};
pub use report::{Report, escaped, one_line};
pub use run::{Face, Program, run};
pub use s3::S3Args;
pub use sinks::{Opening, Place, Sinks};
pub use variables::command;
