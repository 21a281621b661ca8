//! A BOSH director is stopped, dumped, copied and started again, and never left down.
//!
//! A [`Backup`] is all of that, and makes an [`archive`]; a [`restore`] brings databases back out of one, and [`files`] brings files. [`config`] is what a user writes, [`Filter`] says what of the director's disk
//! is copied, and [`copy`] copies it. [`monit`] is what its services are doing, [`Services`] stops and starts them on a
//! [`Host`](backup_host::Host), and a [`Guard`] there brings them back if nobody else does.

pub mod archive;
mod backup;
pub mod config;
pub mod copy;
mod director;
pub mod files;
mod filter;
mod guard;
pub mod ids;
mod lifecycle;
mod log;
pub mod monit;
mod postgres;
pub mod restore;
mod told;

pub use backup::{Backup, Step, Taken};
pub use config::Config;
pub use copy::Copy;
pub use director::Director;
pub use filter::Filter;
pub use guard::{Guard, Guarded, Progress};
pub use lifecycle::{Services, Settings};
pub use log::Log;
pub use postgres::Postgres;
