//! Tablespaces.

use std::fmt::Write;

use backup_core::Result;
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use super::{Remarks, rows};
use crate::acl;
use crate::quote::{ident, literal};
use crate::version::Version;

/// A tablespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tablespace {
    /// Its name.
    pub name: String,
    /// Its folder on the server; empty for one within the data directory (`allow_in_place_tablespaces`, since 15).
    pub location: String,
    /// Who owns it.
    pub owner: String,
    /// As `name=value`.
    pub options: Vec<String>,
    acl: String,
    remarks: Remarks,
}

impl Tablespace {
    /// Whether every cluster has it.
    pub fn predefined(&self) -> bool {
        self.name.starts_with("pg_")
    }

    /// Creates it in `location`; within the data directory where that is empty. Of a predefined one only what was changed.
    pub fn sql(&self, location: &str) -> String {
        let name = ident(&self.name);
        let mut sql = String::new();
        if !self.predefined() {
            let create = format!("CREATE TABLESPACE {name} OWNER {} LOCATION {};\n", ident(&self.owner), literal(location));
            if location.is_empty() {
                let _ = write!(sql, "SET allow_in_place_tablespaces = on;\n{create}RESET allow_in_place_tablespaces;\n");
            } else {
                sql.push_str(&create);
            }
        }
        let options = self.options.iter().filter_map(|option| option.split_once('='));
        let options: Vec<_> = options.map(|(name, value)| format!("{} = {}", ident(name), literal(value))).collect();
        if !options.is_empty() {
            let _ = writeln!(sql, "ALTER TABLESPACE {name} SET ({});", options.join(", "));
        }
        sql.push_str(&self.acl);
        sql.push_str(&self.remarks.sql(&format!("TABLESPACE {name}")));
        sql
    }
}

/// Reads all of them, in the order in which they were made, as pg_dumpall does.
pub(super) async fn read(client: &Client, version: Version) -> Result<Vec<Tablespace>> {
    let mut remarks = Remarks::read(client, "pg_tablespace").await?;
    let sql = "SELECT oid, spcname::text, pg_catalog.pg_get_userbyid(spcowner)::text, pg_catalog.pg_tablespace_location(oid), \
               spcoptions, spcacl::text FROM pg_catalog.pg_tablespace ORDER BY oid";
    let mut tablespaces = Vec::new();
    for row in rows(client, "tablespaces", sql).await? {
        let (name, owner, location): (String, String, String) = (row.get(1), row.get(2), row.get(3));
        let (options, acl): (Option<Vec<String>>, Option<String>) = (row.get(4), row.get(5));
        let what = format!("TABLESPACE {}", ident(&name));
        tablespaces.push(Tablespace {
            acl: acl::global_acl_sql(version, acl::Kind::Tablespace, &what, &owner, acl.as_deref())?,
            remarks: remarks.remove(&row.get(0)).unwrap_or_default(),
            // The server calls one in place by its path within the data directory.
            location: if location.starts_with("pg_tblspc/") { String::new() } else { location },
            options: options.unwrap_or_default(),
            name,
            owner,
        });
    }
    Ok(tablespaces)
}
