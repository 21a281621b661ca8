//! What the configuration says, and where each value came from.

use std::path::{Path, PathBuf};

use backup_cli::{Face, one_line};
use backup_core::{Error, Kind, Result};
use backup_service::container::Settings;
use clap::Subcommand;

use super::{container, own, telling};

/// What is understood of the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print each value of the configuration and where it came from, or what is wrong with it
    Check {
        /// The TOML file that serve would be given, in place of the container's environment and its backup.conf
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// Reads the configuration of the container.
pub(super) fn settings() -> Result<Settings> {
    Settings::read(&|name| std::env::var(name).ok(), &file)
}

/// What a file says.
pub(super) fn file(path: &Path) -> Result<String> {
    let kind = |error: &std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Kind::NotFound,
        _ => Kind::Failed,
    };
    let failed = |error| Error::new(kind(&error), format!("failed to read {}", path.display())).with_source(error);
    std::fs::read_to_string(path).map_err(failed)
}

impl Config {
    pub(crate) fn run(self, face: &Face) -> Result<()> {
        let Self::Check { config } = self;
        let found = match config {
            Some(path) => own::read(face, &path)?.found,
            None => {
                let settings = settings()?;
                telling::check(&settings)?;
                container::check(&settings)?;
                settings.found
            }
        };
        for found in &found {
            let text = one_line(&format!("{:<24}  {:<32}  {}", found.name, found.value, found.from));
            let value = serde_json::json!({"name": found.name, "value": found.value, "from": found.from});
            face.report.result(&text, &value)?;
        }
        Ok(())
    }
}
