//! Databases: what each is created with, and the properties that it has beside its objects.

use std::fmt::Write;

use backup_core::Result;
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use super::{Remarks, Setting, rows, setting};
use crate::acl;
use crate::quote::{ident, literal};
use crate::version::Version;

/// A database. It goes into the manifest: that it existed is known even where it could not be dumped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseRecord {
    /// Its name.
    pub name: String,
    /// Who owns it.
    pub owner: String,
    /// Its encoding, as PostgreSQL calls it: `UTF8`.
    pub encoding: String,
    /// `LC_COLLATE`.
    pub collate: String,
    /// `LC_CTYPE`.
    pub ctype: String,
    /// Who compares its strings: `libc`, `icu` or `builtin`.
    pub provider: String,
    /// The locale of `icu` or `builtin`.
    pub locale: Option<String>,
    /// Further collation rules of `icu`.
    pub icu_rules: Option<String>,
    /// Its tablespace.
    pub tablespace: String,
    /// How many may connect, -1 for any number.
    pub connection_limit: i32,
    /// Whether every role that may create databases may copy it.
    pub is_template: bool,
    /// Whether anybody may connect. Where not, it cannot be dumped, and a restore does not make it.
    pub allows_connections: bool,
    /// Its settings, also those of single roles in it.
    pub settings: Vec<Setting>,
    acl: Option<String>,
    remarks: Remarks,
}

impl DatabaseRecord {
    /// Whether every cluster has it: it is not created, and what initdb gave it is taken back where need be.
    pub fn predefined(&self) -> bool {
        matches!(self.name.as_str(), "template1" | "postgres")
    }

    /// `CREATE DATABASE` under `name`, for a server of `version`.
    pub fn create_sql(&self, version: Version, name: &str) -> String {
        let mut sql = format!("CREATE DATABASE {} WITH TEMPLATE = template0", ident(name));
        let mut option = |keyword: &str, value: &str| {
            let _ = write!(sql, " {keyword} = {}", literal(value));
        };
        option("ENCODING", &self.encoding);
        if version.at_least(15) {
            option("LOCALE_PROVIDER", &self.provider);
        }
        option("LC_COLLATE", &self.collate);
        option("LC_CTYPE", &self.ctype);
        if let Some(locale) = &self.locale {
            option(if self.provider == "builtin" { "BUILTIN_LOCALE" } else { "ICU_LOCALE" }, locale);
        }
        if let Some(rules) = &self.icu_rules {
            option("ICU_RULES", rules);
        }
        if self.tablespace != "pg_default" {
            let _ = write!(sql, " TABLESPACE = {}", ident(&self.tablespace));
        }
        sql.push_str(";\n");
        sql
    }

    /// All else about it, under `name`; to be run when its objects and rows are there, since it may shut everybody out.
    ///
    /// # Errors
    /// Privileges that cannot be read.
    pub fn properties_sql(&self, name: &str) -> Result<String> {
        let what = format!("DATABASE {}", ident(name));
        let mut sql = format!("ALTER {what} OWNER TO {};\n", ident(&self.owner));
        if self.predefined() && self.remarks.comment.is_none() {
            let _ = writeln!(sql, "COMMENT ON {what} IS NULL;");
        }
        sql.push_str(&self.remarks.sql(&what));
        // initdb takes from the public what it may do in template1 by default; one that was made anew has another name yet.
        let base = (name == "template1").then_some("{=c/o,o=CTc/o}");
        sql.push_str(&acl::database_acl_sql(&what, &self.owner, base, self.acl.as_deref())?);
        if self.connection_limit != -1 || self.predefined() {
            let _ = writeln!(sql, "ALTER {what} CONNECTION LIMIT {};", self.connection_limit);
        }
        if self.is_template || self.predefined() {
            let _ = writeln!(sql, "ALTER {what} IS_TEMPLATE {};", self.is_template);
        }
        sql.extend(self.settings.iter().map(|setting| setting.sql(Some(name))));
        if !self.allows_connections {
            let _ = writeln!(sql, "ALTER {what} ALLOW_CONNECTIONS false;");
        }
        Ok(sql)
    }

    /// `DROP DATABASE`, for a restore into a cluster that has it; templates are made ordinary first. Empty for predefined ones.
    pub fn drop_sql(&self, name: &str) -> String {
        if self.predefined() {
            return String::new();
        }
        let block = format!(
            "BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = {} AND datistemplate) THEN \
             ALTER DATABASE {} IS_TEMPLATE false; END IF; END",
            literal(name),
            ident(name)
        );
        format!("DO {};\nDROP DATABASE IF EXISTS {};\n", literal(&block), ident(name))
    }
}

/// The databases by name, without template0, and a line for every one of them that cannot be dumped.
///
/// A database that a crash left half-dropped is not among them. One that allows no connections is: real dumps leave it out
/// without a word.
pub async fn databases(client: &Client, version: Version) -> Result<(Vec<DatabaseRecord>, Vec<String>)> {
    // Before 15 the only provider was libc; the column of the locale was renamed in 17.
    let provider = if version.at_least(15) { "datlocprovider::text" } else { "'c'" };
    let locale = match version.major() {
        17.. => "datlocale",
        15..=16 => "daticulocale",
        _ => "NULL::text",
    };
    let rules = if version.at_least(16) { "daticurules" } else { "NULL::text" };
    let sql = format!(
        "SELECT d.oid, datname::text, pg_catalog.pg_get_userbyid(datdba)::text, pg_catalog.pg_encoding_to_char(encoding)::text, \
         datcollate::text, datctype::text, {provider}, {locale}, {rules}, spcname::text, datconnlimit, datistemplate, datallowconn, \
         datacl::text FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = dattablespace \
         WHERE datname <> 'template0' ORDER BY datname COLLATE \"C\""
    );
    let mut remarks = Remarks::read(client, "pg_database").await?;
    let mut settings = setting::of_each(client).await?;
    let (mut records, mut warnings) = (Vec::new(), Vec::new());
    for row in rows(client, "databases", &sql).await? {
        let (oid, name, limit): (u32, String, i32) = (row.get(0), row.get(1), row.get(10));
        // DATCONNLIMIT_INVALID_DB of catalog/pg_database.h.
        if limit == -2 {
            warnings.push(format!("database {name} is left out: dropping it was interrupted, drop it again"));
            continue;
        }
        if !row.get::<_, bool>(12) {
            warnings.push(format!(
                "database {name} is left out: it allows no connections (ALTER DATABASE … ALLOW_CONNECTIONS true)"
            ));
        }
        records.push(DatabaseRecord {
            owner: row.get(2),
            encoding: row.get(3),
            collate: row.get(4),
            ctype: row.get(5),
            provider: match row.get(6) {
                "i" => "icu",
                "b" => "builtin",
                _ => "libc",
            }
            .to_owned(),
            locale: row.get(7),
            icu_rules: row.get(8),
            tablespace: row.get(9),
            connection_limit: limit,
            is_template: row.get(11),
            allows_connections: row.get(12),
            settings: settings.remove(&oid).unwrap_or_default(),
            acl: row.get(13),
            remarks: remarks.remove(&oid).unwrap_or_default(),
            name,
        });
    }
    Ok((records, warnings))
}
