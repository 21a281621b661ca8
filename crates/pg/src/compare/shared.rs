//! Whether a cluster has the roles, memberships, tablespaces and settings that were counted when it was backed up.

use backup_core::{Checked, Result, Stored, body};
use memchr::memmem;

use super::number;
use crate::config::Config;
use crate::connect::{Purpose, connect};
use crate::counts;
use crate::facts::{PartFacts, Stage};
use crate::pg_error::pg_error;
use crate::quote::ident;

pub(super) async fn compare(config: &Config, backup: &dyn Stored, checked: &mut Checked) -> Result<()> {
    let manifest = backup.manifest();
    for part in &manifest.parts {
        let facts = PartFacts::from_facts(&part.name, &part.facts)?;
        if facts.stage != Stage::Roles || facts.counts.is_empty() {
            continue;
        }
        let session = connect(config, Purpose::Restore).await?;
        let row = session.client.query_one("SELECT session_user::text", &[]).await;
        let us: String = row.map_err(|error| pg_error("ask who we are", error))?.get(0);
        // Who was not counted and may be there: the first superuser, whatever its name is here, and who restores.
        let superuser = manifest.origin.facts.get("superuser").and_then(|name| name.as_str()).map(str::to_owned);
        let mut but: Vec<String> = superuser.into_iter().collect();
        let roles = body::to_vec(backup.read(&part.name).await?, part.size).await?;
        if memmem::find(&roles, format!("CREATE ROLE {} ", ident(&us)).as_bytes()).is_none() {
            but.push(us);
        }
        let found = counts::shared(&session.client, session.version, &but).await?;
        for (kind, expected) in &facts.counts {
            number(checked, format!("number of {kind}"), *expected, found.get(kind));
        }
        session.close().await;
    }
    Ok(())
}
