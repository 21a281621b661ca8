//! Privileges to set parameters (`GRANT SET ON PARAMETER`, since 15).

use backup_core::Result;
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use super::rows;
use crate::acl;
use crate::quote::ident;
use crate::version::Version;

/// A parameter that roles were given privileges on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The statements that give the privileges.
    pub sql: String,
}

/// Reads them. All belong to `bootstrap`, the bootstrap superuser.
pub(super) async fn read(client: &Client, version: Version, bootstrap: &str) -> Result<Vec<Parameter>> {
    if !version.at_least(15) {
        return Ok(Vec::new());
    }
    let sql = "SELECT parname, paracl::text FROM pg_catalog.pg_parameter_acl ORDER BY parname COLLATE \"C\"";
    let mut parameters = Vec::new();
    for row in rows(client, "privileges on parameters", sql).await? {
        let (name, acl): (String, Option<String>) = (row.get(0), row.get(1));
        let what = format!("PARAMETER {}", ident(&name));
        let sql = acl::global_acl_sql(version, acl::Kind::Parameter, &what, bootstrap, acl.as_deref())?;
        parameters.push(Parameter { name, sql });
    }
    Ok(parameters)
}
