//! Which roles and tablespaces are there before a restore.

use std::collections::HashSet;

use backup_core::Result;
use tokio_postgres::Client;

use crate::pg_error::pg_error;
use crate::quote::ident;
use crate::script::Item;

/// What is there already.
#[derive(Debug)]
pub(super) struct Existing {
    /// Names of roles, as identifiers.
    roles: HashSet<String>,
    /// Names of tablespaces.
    pub(super) tablespaces: HashSet<String>,
}

impl Existing {
    pub(super) async fn read(client: &Client) -> Result<Self> {
        let roles = names(client, "SELECT rolname::text FROM pg_catalog.pg_roles").await?;
        let tablespaces = names(client, "SELECT spcname::text FROM pg_catalog.pg_tablespace").await?;
        Ok(Self { roles: roles.iter().map(|name| ident(name)).collect(), tablespaces: tablespaces.into_iter().collect() })
    }

    /// Whether a statement about roles makes or changes one that was not there; settings of the session pass.
    pub(super) fn is_missing_role(&self, item: &Item) -> bool {
        let Item::Statement(statement) = item else { return true };
        let Ok(text) = statement.text() else { return true };
        let text = text.trim_start();
        let heads = ["CREATE ROLE ", "ALTER ROLE ", "COMMENT ON ROLE "];
        if let Some(rest) = heads.iter().find_map(|head| text.strip_prefix(head)) {
            return !self.roles.iter().any(|role| is_next(rest, role));
        }
        // Memberships of roles that were there stay as they are; a grant to a new role says who it is.
        match text.strip_prefix("GRANT ").and_then(|rest| rest.split_once(" TO ")) {
            Some((_, member)) => !self.roles.iter().any(|role| is_next(member, role)),
            None => !text.starts_with("DO ") && !text.starts_with("DROP "),
        }
    }
}

async fn names(client: &Client, sql: &str) -> Result<Vec<String>> {
    let rows = client.query(sql, &[]).await.map_err(|error| pg_error("list roles and tablespaces", error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Whether `rest` begins with the identifier `name`, and not with a longer one.
fn is_next(rest: &str, name: &str) -> bool {
    rest.strip_prefix(name).is_some_and(|after| after.starts_with([' ', ';', '\n']) || after.is_empty())
}
