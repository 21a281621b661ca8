//! What a configuration asks for, whichever it is.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup_cli::Face;
use backup_core::{Name, Result};
use backup_service::http::Token;
use backup_service::tell::Channel;

use super::task::Task;
use super::{container, own};
use crate::shelf::Shelf;

/// All that a service goes by.
#[derive(Debug)]
pub(super) struct Asked {
    /// What is to be done.
    pub(super) tasks: Vec<Task>,
    /// Who is told.
    pub(super) channels: Vec<Arc<dyn Channel>>,
    /// Where machines ask.
    pub(super) doors: Doors,
    /// Where it is kept how the jobs stand.
    pub(super) state: PathBuf,
    /// How many jobs run at the same time.
    pub(super) at_once: usize,
    /// Whether backups may be gone with the container.
    pub(super) ephemeral: bool,
    /// What the service says when it starts, and of how many jobs.
    pub(super) line: (String, usize),
}

/// Where machines ask.
#[derive(Debug, Default)]
pub(super) struct Doors {
    pub(super) listen: Option<SocketAddr>,
    pub(super) token: Option<Token>,
    pub(super) textfile: Option<PathBuf>,
}

/// The dump files that a configuration keeps: those of the TOML file, or of the container's configuration.
pub(crate) fn shelf(face: &Face, config: Option<&Path>) -> Result<Shelf> {
    match config {
        Some(file) => own::shelf(face, file),
        None => container::shelf(face),
    }
}

/// What the backups of a service are called, and where it keeps how they stand.
pub(super) fn backups(face: &Face, config: Option<&Path>) -> Result<(Vec<Name>, PathBuf)> {
    match config {
        Some(file) => own::backups(face, file),
        None => container::backups(face),
    }
}
