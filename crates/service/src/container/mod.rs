//! The configuration of the backup container, of both generations: its environment and its `backup.conf`.

mod conf;
mod environment;
mod settings;
mod spec;

pub use conf::{Conf, Cron};
pub use environment::{Found, Secret, UNSUPPORTED};
pub use settings::{Settings, Wanted};
pub use spec::Spec;
