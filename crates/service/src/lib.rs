//! Backups on a schedule, for programs that serve.
//!
//! A [`Job`] is some [`Work`] and a [`Schedule`]; a [`Service`] runs jobs when they are due, one run of a job at a time, some
//! jobs at once, and tells its [`Listener`]s: what succeeded, what failed, what recovered, and **what did not happen**. What
//! it knows of each job lies on disk, so that a restart catches up with what was missed.
//!
//! [`tell`] carries that to people, [`http`] and [`Metrics`] to machines.
//!
//! It knows no database and prints nothing.

mod clock;
pub mod config;
pub mod container;
mod desk;
mod drive;
pub mod http;
mod job;
mod metrics;
mod notice;
mod schedule;
mod service;
mod status;
pub mod tell;
pub mod testing;
pub mod tree;
mod wish;

pub use clock::{Clock, SystemClock};
pub use desk::Desk;
pub use job::{Job, Outcome, Why, Work};
pub use metrics::Metrics;
pub use notice::{Level, Listener, Notice, What};
pub use schedule::Schedule;
pub use service::Service;
pub use status::{Status, Statuses};
pub use wish::Wish;
