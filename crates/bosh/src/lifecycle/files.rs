//! Files that a restore puts in place while services are stopped: all are in place, or all back, before services start.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::{Error, Lifecycle, Result, Unit};
use backup_host::{Command, Host};

use super::unit;

/// The folder of a director in which a restore of files notes what it does.
pub(crate) const WORK: &str = "/var/vcap/.bosh-backup-restore";

/// Runs the script that a restore has left, if it has: whether what it began is done, or as before.
const SETTLE: &str = r#"[ ! -e "$0" ] || exec sh "$0" settle"#;

/// The services of a director, and the files that a restore puts in place: these are the first of the units, and are settled before
/// any service starts, by whoever starts them.
#[derive(Debug)]
pub(crate) struct WithFiles(pub(crate) Arc<dyn Lifecycle>);

#[async_trait]
impl Lifecycle for WithFiles {
    async fn running(&self) -> Result<Vec<Unit>> {
        let services = self.0.running().await?;
        Ok([unit::of_files()].into_iter().chain(services).collect())
    }

    async fn pause(&self, units: &[Unit]) -> Result<()> {
        self.0.pause(units).await
    }

    async fn held(&self, units: &[Unit]) -> Result<()> {
        self.0.held(units).await
    }

    async fn resume(&self, units: &[Unit]) -> Result<()> {
        self.0.resume(units).await
    }

    fn resume_script(&self, units: &[Unit]) -> Option<String> {
        self.0.resume_script(units)
    }
}

/// Puts back what a restore has begun to put in place and not finished. Where there is nothing of one, nothing is done.
pub(super) async fn settle(host: &dyn Host) -> Result<()> {
    let command = Command::new("sh").args(["-c", SETTLE]).arg(format!("{WORK}/swap")).sudo();
    let answer = host.answer(&command).await?;
    match answer.status {
        0 => Ok(()),
        _ => Err(Error::failed(format!("files of {} are half put in place, and cannot be put back", host.name()))
            .with_source(answer.stderr.split_whitespace().collect::<Vec<_>>().join(" "))
            .with_hint(format!("see there why, in {WORK}, then resume"))),
    }
}
