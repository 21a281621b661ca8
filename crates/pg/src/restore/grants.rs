//! Privileges that a database has and its successor has not: given again on what has the same name there.

use std::collections::BTreeSet;
use std::fmt;

use backup_core::Result;

use crate::config::Config;
use crate::connect::{Purpose, connect};
use crate::pg_error::pg_error;
use crate::quote::ident;

/// One privilege of somebody who is not the owner, on a schema, a table or what is like one, a column, or a sequence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Grant {
    /// `SCHEMA`, `TABLE` or `SEQUENCE`, and the name.
    on: String,
    column: Option<String>,
    /// `SELECT`.
    privilege: String,
    /// `None` for the public.
    to: Option<String>,
    /// Whether it may be passed on.
    option: bool,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.column.as_ref().map(|column| format!(" ({})", ident(column))).unwrap_or_default();
        let to = self.to.as_deref().map_or("PUBLIC".to_owned(), ident);
        let option = if self.option { " WITH GRANT OPTION" } else { "" };
        write!(f, "GRANT {}{column} ON {} TO {to}{option}", self.privilege, self.on)
    }
}

/// What is in the database, and the privileges on it. What extensions brought is theirs to say.
const SQL: &str = "WITH things (on_what, owner, acl, attname, oid) AS ( \
    SELECT 'SCHEMA ' || pg_catalog.quote_ident(nspname), nspowner, nspacl, NULL::pg_catalog.name, oid \
    FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' \
    UNION ALL \
    SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || pg_catalog.quote_ident(nspname) || '.' || \
    pg_catalog.quote_ident(relname), relowner, relacl, NULL, c.oid FROM pg_catalog.pg_class c \
    JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace \
    WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND nspname !~ '^pg_' AND nspname <> 'information_schema' \
    UNION ALL \
    SELECT 'TABLE ' || pg_catalog.quote_ident(nspname) || '.' || pg_catalog.quote_ident(relname), relowner, attacl, attname, c.oid \
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = attrelid \
    JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace \
    WHERE attacl IS NOT NULL AND NOT attisdropped AND nspname !~ '^pg_' AND nspname <> 'information_schema') \
    SELECT on_what, attname::text, privilege_type::text, r.rolname::text, COALESCE(is_grantable, false), g.grantee IS NOT NULL \
    FROM things t LEFT JOIN LATERAL pg_catalog.aclexplode(t.acl) g ON g.grantee <> t.owner \
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee \
    WHERE (g.grantee IS NULL OR g.grantee = 0 OR r.rolname IS NOT NULL) AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
    WHERE d.objid = t.oid AND d.deptype = 'e' AND d.classid IN ('pg_catalog.pg_class'::pg_catalog.regclass, \
    'pg_catalog.pg_namespace'::pg_catalog.regclass))";

/// All privileges in the database that `config` names.
pub(super) async fn read(config: &Config) -> Result<Vec<Grant>> {
    Ok(all(config).await?.0)
}

/// All privileges, and all that one can have them on.
async fn all(config: &Config) -> Result<(Vec<Grant>, BTreeSet<String>)> {
    let session = connect(config, Purpose::Restore).await?;
    let rows = session.client.query(SQL, &[]).await.map_err(|error| pg_error("read the privileges in the database", error))?;
    let grants = rows.iter().filter(|row| row.get(5)).map(|row| Grant {
        on: row.get(0),
        column: row.get(1),
        privilege: row.get(2),
        to: row.get(3),
        option: row.get(4),
    });
    let (grants, things) = (grants.collect(), rows.iter().map(|row| row.get(0)).collect());
    session.close().await;
    Ok((grants, things))
}

/// Gives in the database that `config` names those of `had` that are missing there, on what is there under the same name. Returns
/// what was given, and what could not be.
pub(super) async fn give(config: &Config, had: &[Grant]) -> Result<(Vec<String>, Vec<String>)> {
    let missing = async || {
        let (has, things) = all(config).await?;
        // Who may pass it on has it as well.
        let has_more = |grant: &Grant| has.contains(&Grant { option: true, ..grant.clone() });
        let is_missing = |grant: &&Grant| things.contains(&grant.on) && !has.contains(grant) && !has_more(grant);
        Ok::<BTreeSet<Grant>, backup_core::Error>(had.iter().filter(is_missing).cloned().collect())
    };
    let before = missing().await?;
    if before.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let session = connect(config, Purpose::Restore).await?;
    for grant in &before {
        // What cannot be given, such as on a column that is not there, shows below.
        let _ = session.client.batch_execute(&grant.to_string()).await;
    }
    session.close().await;
    let after = missing().await?;
    let given = before.iter().filter(|grant| !after.contains(grant)).map(ToString::to_string).collect();
    Ok((given, after.iter().map(ToString::to_string).collect()))
}
