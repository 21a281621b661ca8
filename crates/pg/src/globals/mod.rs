//! What a cluster holds outside of its databases: roles, tablespaces, privileges on parameters; and which databases there are.
//!
//! A restore runs [`Globals::roles_sql`], the tablespaces, the databases, and at the very end [`Globals::last_sql`]: until
//! then it connects with the password and the settings that it came with.

mod database;
mod parameter;
mod role;
mod setting;
mod tablespace;

use std::collections::HashMap;
use std::fmt;

use backup_core::{Error, Result};
use serde::{Deserialize, Serialize};
use tokio_postgres::types::FromSql;
use tokio_postgres::{Client, Row};

pub use database::{DatabaseRecord, databases};
pub use parameter::Parameter;
pub use role::{Membership, Role};
pub use setting::Setting;
pub use tablespace::Tablespace;

use crate::quote::{ident, literal};
use crate::version::Version;

/// What is read of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlobalsOptions {
    /// Whether to read the hashes of passwords, which only superusers can.
    pub passwords: bool,
}

impl Default for GlobalsOptions {
    fn default() -> Self {
        Self { passwords: true }
    }
}

/// What a cluster holds outside of its databases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Globals {
    /// Of the server that it was read from.
    version: u32,
    /// All but the predefined ones (`pg_…`), in the order of the catalog.
    pub roles: Vec<Role>,
    /// Who is a member of what, in an order in which every grantor has its admin option by then.
    pub memberships: Vec<Membership>,
    /// All, the two predefined ones included.
    pub tablespaces: Vec<Tablespace>,
    /// Privileges on parameters; since 15.
    pub parameters: Vec<Parameter>,
    /// Settings of roles in every database, and of everybody.
    pub settings: Vec<Setting>,
}

/// Reads what is shared by all databases, through a connection to any of them.
///
/// # Errors
/// Kind `Failed` with a hint where passwords are asked for and the role may not read them.
pub async fn read(client: &Client, version: Version, options: &GlobalsOptions) -> Result<Globals> {
    let roles = role::roles(client, options.passwords).await?;
    let bootstrap = bootstrap(&roles);
    Ok(Globals {
        version: version.0,
        memberships: role::memberships(client, version, bootstrap).await?,
        tablespaces: tablespace::read(client, version).await?,
        parameters: parameter::read(client, version, bootstrap).await?,
        settings: setting::of_all(client).await?,
        roles,
    })
}

/// Creates the roles that are missing, without a password, and says who is a member of what: SQL that can be played into a
/// server that has some of them. Those that the server has stay as they are; initdb's own and `user` are left out.
pub(crate) async fn missing_roles_sql(client: &Client, version: Version, user: &str) -> Result<String> {
    let roles = role::roles(client, false).await?;
    let memberships = role::memberships(client, version, bootstrap(&roles)).await?;
    let missing = roles.iter().filter(|role| !role.exists_for(user)).map(Role::create_if_missing_as_it_was_sql);
    Ok(missing.chain(memberships.iter().map(Membership::sql)).collect())
}

/// The name of the bootstrap superuser.
fn bootstrap(roles: &[Role]) -> &str {
    roles.iter().find(|role| role.bootstrap).map_or("", |role| role.name.as_str())
}

impl Globals {
    /// Creates the roles and says who is a member of what.
    ///
    /// `restorer` is the role that restores. It and the bootstrap superuser may exist, and keep their attributes until
    /// [`Globals::last_sql`].
    pub fn roles_sql(&self, restorer: &str) -> String {
        let create = |role: &Role| if role.exists_for(restorer) { role.create_if_missing_sql() } else { role.create_sql() };
        let mut sql: String = self.roles.iter().map(create).collect();
        sql.extend(self.memberships.iter().map(Membership::sql));
        sql
    }

    /// Creates the tablespaces where they were.
    pub fn tablespaces_sql(&self) -> String {
        self.tablespaces.iter().map(|tablespace| tablespace.sql(&tablespace.location)).collect()
    }

    /// What must come after everything else: the attributes of the role that restores (its password among them), privileges
    /// on parameters, and the settings of roles.
    pub fn last_sql(&self, restorer: &str) -> String {
        let parameters = self.parameters.iter().map(|parameter| parameter.sql.clone());
        let settings = self.settings.iter().map(|setting| setting.sql(None));
        let roles = self.roles.iter().filter(|role| role.exists_for(restorer)).map(Role::alter_sql);
        parameters.chain(settings).chain(roles).collect()
    }

    /// Drops what [`Globals::roles_sql`] and [`Globals::tablespaces_sql`] create, databases being gone already.
    pub fn drop_sql(&self, restorer: &str) -> String {
        let tablespaces = self.tablespaces.iter().filter(|tablespace| !tablespace.predefined());
        let mut sql: String =
            tablespaces.map(|tablespace| format!("DROP TABLESPACE IF EXISTS {};\n", ident(&tablespace.name))).collect();
        let roles = self.roles.iter().filter(|role| !role.exists_for(restorer));
        sql.extend(roles.map(|role| format!("DROP ROLE IF EXISTS {};\n", ident(&role.name))));
        sql
    }

    /// The version of the server that it was read from.
    pub fn version(&self) -> Version {
        Version(self.version)
    }
}

/// A secret that no message shows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The comment and the security labels of something shared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Remarks {
    comment: Option<String>,
    labels: Vec<(String, String)>,
}

impl Remarks {
    /// The remarks on all rows of the shared catalog called `catalog`, by OID.
    async fn read(client: &Client, catalog: &str) -> Result<HashMap<u32, Self>> {
        let mut found: HashMap<u32, Self> = HashMap::new();
        let of = format!("classoid = 'pg_catalog.{catalog}'::pg_catalog.regclass");
        let sql = format!("SELECT objoid, description FROM pg_catalog.pg_shdescription WHERE {of}");
        for row in rows(client, "comments", &sql).await? {
            found.entry(row.get(0)).or_default().comment = Some(row.get(1));
        }
        let sql = format!("SELECT objoid, provider, label FROM pg_catalog.pg_shseclabel WHERE {of} ORDER BY 1, 2");
        for row in rows(client, "security labels", &sql).await? {
            found.entry(row.get(0)).or_default().labels.push((row.get(1), row.get(2)));
        }
        Ok(found)
    }

    /// `COMMENT ON what …` and `SECURITY LABEL …`.
    fn sql(&self, what: &str) -> String {
        let comment = self.comment.iter().map(|text| format!("COMMENT ON {what} IS {};\n", literal(text)));
        let labels = self.labels.iter();
        let labels = labels.map(|(by, label)| format!("SECURITY LABEL FOR {} ON {what} IS {};\n", ident(by), literal(label)));
        comment.chain(labels).collect()
    }
}

/// The rows of `sql`; `what` completes "failed to read the … of the cluster".
async fn rows(client: &Client, what: &str, sql: &str) -> Result<Vec<Row>> {
    let rows = client.query_typed(sql, &[]).await;
    let rows = rows.map_err(|error| crate::pg_error(format!("read the {what} of the cluster"), error))?;
    // Whoever writes from a database of another encoding leaves bytes that are no text in this one.
    let is_text = |row: &Row, at: usize| {
        row.columns().get(at).is_none_or(|column| !<&str>::accepts(column.type_()))
            || row.try_get::<_, Option<&str>>(at).is_ok()
    };
    if rows.iter().all(|row| (0..row.len()).all(|at| is_text(row, at))) {
        return Ok(rows);
    }
    Err(Error::failed(format!("the {what} of the cluster are not all UTF-8"))
        .with_hint("write the names, comments or settings anew from a database of encoding UTF8"))
}
