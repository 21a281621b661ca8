//! Where commands run and files lie: this machine, or another one.
//!
//! A [`Host`] runs a [`Command`], an argument vector that no shell takes apart. What it prints is a
//! [`Body`](backup_core::Body), whose end says that the command ended with exit status 0. A command ends with whoever
//! asked for it: dropping the body kills its group, there too, and so does a connection that is cut or a program of ours that is
//! killed. Nothing is installed there for that: a script of `sh`, `wrapper.sh`, stands beside each command.
//!
//! ```
//! use backup_core::{Result, body};
//! use backup_host::{Command, Host, Local};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let host = Local;
//! let words = body::from_bytes("banana\napple\n");
//! let sorted = host.run(&Command::new("sort"), Some(words)).await?;
//! assert_eq!(body::to_vec(sorted, 1024).await?, b"apple\nbanana\n");
//!
//! let answer = host.answer(&Command::new("test").args(["1", "-gt", "2"])).await?;
//! assert_eq!(answer.status, 1);
//! # Ok(())
//! # }
//! ```

mod command;
pub mod docker;
mod frames;
mod host;
mod local;
mod relay;
pub mod ssh;
pub mod testing;
mod tunnel;
pub mod via;
mod wrapped;

pub use command::Command;
pub use docker::Docker;
pub use host::{Answer, Connection, Host, Port, ReadWrite};
pub use local::Local;
pub use ssh::Ssh;
pub use tunnel::Tunnel;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
