//! One thing that a service does: a job, with what its commands say of it.

use std::path::PathBuf;

use backup_pg::Config;
use backup_service::Job;

/// A job of the service. Where jobs come from, the container's configuration or another, shows no more here.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) job: Job,
    /// What it does, as in "failed to …".
    pub(super) doing: String,
    /// Where it stores, if that is on this machine.
    pub(super) place: Option<PathBuf>,
    /// Which server it reads, if it reads one.
    pub(super) server: Option<Config>,
}
