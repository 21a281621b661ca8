//! One thing that a service does: a job, with what its commands say of it.

use std::path::PathBuf;

use backup_service::Job;

/// A job of the service. Where jobs come from, the container's configuration or another, shows no more here.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) job: Job,
    /// What it does, as in "failed to …".
    pub(super) doing: String,
    /// Where it stores.
    pub(super) place: PathBuf,
}
