//! Roles and who is a member of what.

use backup_core::{Error, Result};
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use super::{Remarks, Secret, rows};
use crate::acl;
use crate::quote::{ident, literal};
use crate::version::Version;

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Whether initdb made it; every cluster has one such role, under one name or another.
    pub bootstrap: bool,
    /// In the order of [`FLAGS`].
    flags: [bool; 7],
    /// -1 for any number.
    connection_limit: i32,
    valid_until: Option<String>,
    password: Password,
    remarks: Remarks,
}

/// The hash of a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Password {
    /// It was not asked for.
    Unknown,
    /// There is none.
    None,
    /// This one.
    Hash(Secret),
}

impl Role {
    /// Whether it may be in the cluster before a restore by `restorer`.
    pub(super) fn exists_for(&self, restorer: &str) -> bool {
        self.bootstrap || self.name == restorer
    }

    /// Creates it with what there is to it, in one statement: what is changed later moves to the end of the catalog, and
    /// pg_dump prints the roles of policies in the order that they have there.
    pub(super) fn create_sql(&self) -> String {
        let name = ident(&self.name);
        format!("CREATE ROLE {name} WITH {};\n{}", self.attributes(), self.remarks.sql(&format!("ROLE {name}")))
    }

    /// Creates it if it is not there, as one who can restore.
    pub(super) fn create_if_missing_sql(&self) -> String {
        let block = format!(
            "BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {}) THEN CREATE ROLE {} SUPERUSER; END IF; END",
            literal(&self.name),
            ident(&self.name)
        );
        format!("DO {};\n", literal(&block))
    }

    /// Leads it from what it is to what it was, if that is anything else.
    pub(super) fn create_if_missing_as_it_was_sql(&self) -> String {
        let block = format!(
            "BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {}) THEN EXECUTE {}; END IF; END",
            literal(&self.name),
            literal(&self.create_sql())
        );
        format!("DO LANGUAGE plpgsql {};\n", literal(&block))
    }

    pub(super) fn alter_sql(&self) -> String {
        let mut same = vec![format!("rolname = {}", literal(&self.name))];
        same.extend(FLAGS.iter().zip(self.flags).map(|((column, _), flag)| format!("{column} = {flag}")));
        same.push(format!("rolconnlimit = {}", self.connection_limit));
        same.extend(self.valid_until.as_deref().map(|until| format!("rolvaliduntil = {}", literal(until))));
        match &self.password {
            Password::Unknown => {}
            Password::None => same.push("rolpassword IS NULL".to_owned()),
            Password::Hash(hash) => same.push(format!("rolpassword = {}", literal(&hash.0))),
        }
        let catalog = if self.password == Password::Unknown { "pg_roles" } else { "pg_authid" };
        let name = ident(&self.name);
        // One that has an end cannot be made never to have had one.
        let endless = format!(
            " IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {} AND rolvaliduntil < 'infinity') \
             THEN ALTER ROLE {name} VALID UNTIL 'infinity'; END IF;",
            literal(&self.name)
        );
        let block = format!(
            "BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.{catalog} WHERE {}) THEN ALTER ROLE {name} WITH {}; END IF;{} END",
            same.join(" AND "),
            self.attributes(),
            if self.valid_until.is_none() { &endless } else { "" }
        );
        format!("DO {};\n{}", literal(&block), self.remarks.sql(&format!("ROLE {name}")))
    }

    /// All of them, so that they also bring a role that is there to what it was; but for an end that it does not have.
    fn attributes(&self) -> String {
        let flags = FLAGS.iter().zip(self.flags).map(|((_, word), flag)| format!("{}{word}", if flag { "" } else { "NO" }));
        let limit = format!("CONNECTION LIMIT {}", self.connection_limit);
        let until = self.valid_until.as_deref().map(|until| format!("VALID UNTIL {}", literal(until)));
        let password = match &self.password {
            Password::Unknown => None,
            Password::None => Some("PASSWORD NULL".to_owned()),
            Password::Hash(hash) => Some(format!("PASSWORD {}", literal(&hash.0))),
        };
        flags.chain([limit]).chain(until).chain(password).collect::<Vec<_>>().join(" ")
    }
}

/// What a role can and may: the columns of `pg_authid` and the keywords.
const FLAGS: [(&str, &str); 7] = [
    ("rolsuper", "SUPERUSER"),
    ("rolinherit", "INHERIT"),
    ("rolcreaterole", "CREATEROLE"),
    ("rolcreatedb", "CREATEDB"),
    ("rolcanlogin", "LOGIN"),
    ("rolreplication", "REPLICATION"),
    ("rolbypassrls", "BYPASSRLS"),
];

/// The roles in the order of the catalog, all but the predefined ones.
pub(super) async fn roles(client: &Client, passwords: bool) -> Result<Vec<Role>> {
    if passwords {
        let sql = "SELECT pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT')";
        let allowed = rows(client, "rights", sql).await?.first().is_some_and(|row| row.get(0));
        if !allowed {
            return Err(Error::failed("the role may not read the password hashes of the cluster's roles")
                .with_hint("connect as a superuser, or leave the passwords out"));
        }
    }
    let (catalog, password, order) =
        if passwords { ("pg_authid", "rolpassword", "ctid") } else { ("pg_roles", "NULL::text", "oid") };
    let flags = FLAGS.map(|(column, _)| column).join(", ");
    let sql = format!(
        "SELECT oid, rolname::text, rolconnlimit, rolvaliduntil::text, {password}, {flags} FROM pg_catalog.{catalog} \
         WHERE rolname !~ '^pg_' ORDER BY {order}"
    );
    let mut remarks = Remarks::read(client, "pg_authid").await?;
    let mut roles = Vec::new();
    for row in rows(client, "roles", &sql).await? {
        let oid: u32 = row.get(0);
        roles.push(Role {
            name: row.get(1),
            bootstrap: oid == BOOTSTRAP,
            flags: std::array::from_fn(|place| row.get(5 + place)),
            connection_limit: row.get(2),
            valid_until: row.get(3),
            password: match row.get::<_, Option<String>>(4) {
                Some(hash) => Password::Hash(Secret(hash)),
                None if passwords => Password::None,
                None => Password::Unknown,
            },
            remarks: remarks.remove(&oid).unwrap_or_default(),
        });
    }
    Ok(roles)
}

/// `BOOTSTRAP_SUPERUSERID` of `catalog/pg_authid.dat`.
const BOOTSTRAP: u32 = 10;

/// That one role is a member of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// In which role.
    pub role: String,
    /// Which role.
    pub member: String,
    sql: String,
}

impl Membership {
    /// The statement.
    pub(super) fn sql(&self) -> String {
        self.sql.clone()
    }
}

/// One row of `pg_auth_members`.
struct Row {
    role: String,
    member: String,
    grantor: Option<String>,
    admin: bool,
    inherit: bool,
    set: bool,
}

/// Who is a member of what. Since 16 every grantor needs its admin option first, as with privileges.
pub(super) async fn memberships(client: &Client, version: Version, bootstrap: &str) -> Result<Vec<Membership>> {
    let options = if version.at_least(16) { "inherit_option, set_option" } else { "true, true" };
    let sql = format!(
        "SELECT r.rolname::text, m.rolname::text, g.rolname::text, admin_option, {options} FROM pg_catalog.pg_auth_members \
         JOIN pg_catalog.pg_roles r ON r.oid = roleid JOIN pg_catalog.pg_roles m ON m.oid = member \
         LEFT JOIN pg_catalog.pg_roles g ON g.oid = grantor \
         WHERE NOT (r.rolname ~ '^pg_' AND m.rolname ~ '^pg_') \
         ORDER BY r.rolname COLLATE \"C\", m.rolname COLLATE \"C\", g.rolname COLLATE \"C\""
    );
    let rows: Vec<Row> = rows(client, "memberships", &sql)
        .await?
        .iter()
        .map(|row| Row {
            role: row.get(0),
            member: row.get(1),
            grantor: row.get(2),
            admin: row.get(3),
            inherit: row.get(4),
            set: row.get(5),
        })
        .collect();
    let mut memberships = Vec::new();
    for group in rows.chunk_by(|a, b| a.role == b.role) {
        if version.at_least(16) {
            granted(group, bootstrap, &mut memberships);
        } else {
            let sql = |row: &Row| {
                let admin = if row.admin { " WITH ADMIN OPTION" } else { "" };
                let by = row.grantor.as_ref().map_or(String::new(), |by| format!(" GRANTED BY {}", ident(by)));
                format!("GRANT {} TO {}{admin}{by};\n", ident(&row.role), ident(&row.member))
            };
            memberships.extend(group.iter().map(|row| membership(&row.role, &row.member, sql(row))));
        }
    }
    Ok(memberships)
}

fn membership(role: &str, member: &str, sql: String) -> Membership {
    Membership { role: role.to_owned(), member: member.to_owned(), sql }
}

/// The memberships of one role in an order in which the server accepts them.
fn granted(group: &[Row], bootstrap: &str, memberships: &mut Vec<Membership>) {
    let given: Vec<_> = group
        .iter()
        .map(|row| acl::Given { to: &row.member, by: row.grantor.as_deref().unwrap_or(bootstrap), option: row.admin })
        .collect();
    for (verb, to, by) in acl::order(bootstrap, &given) {
        // The bootstrap superuser, under whatever name, is who grants where nobody is named.
        let named = if by == bootstrap { String::new() } else { format!(" GRANTED BY {}", ident(&by)) };
        let row = group.iter().find(|row| row.member == to && row.grantor.as_deref().unwrap_or(bootstrap) == by);
        let (inherit, set) = row.map_or((true, true), |row| (row.inherit, row.set));
        let Some(role) = group.first().map(|row| row.role.as_str()) else { return };
        let (role_name, member) = (ident(role), ident(&to));
        let sql = match verb {
            acl::Verb::Grant | acl::Verb::GrantWithOption => {
                let admin = if verb == acl::Verb::GrantWithOption { "ADMIN TRUE, " } else { "" };
                let (inherit, set) = (word(inherit), word(set));
                format!("GRANT {role_name} TO {member} WITH {admin}INHERIT {inherit}, SET {set}{named};\n")
            }
            acl::Verb::Revoke => format!("REVOKE {role_name} FROM {member}{named};\n"),
            acl::Verb::RevokeOption => format!("REVOKE ADMIN OPTION FOR {role_name} FROM {member}{named};\n"),
        };
        memberships.push(membership(role, &to, sql));
    }
}

fn word(value: bool) -> &'static str {
    if value { "TRUE" } else { "FALSE" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(member: &str, grantor: &str, admin: bool) -> Row {
        let (role, member, grantor) = ("r".to_owned(), member.to_owned(), Some(grantor.to_owned()));
        Row { role, member, grantor, admin, inherit: false, set: true }
    }

    #[test]
    fn grantors_come_before_what_they_granted() {
        let mut memberships = Vec::new();
        granted(&[row("a", "b", false), row("b", "c", true), row("c", "postgres", true)], "postgres", &mut memberships);
        let sql: String = memberships.iter().map(Membership::sql).collect();
        assert_eq!(
            sql,
            "GRANT r TO c WITH ADMIN TRUE, INHERIT FALSE, SET TRUE;\n\
             GRANT r TO b WITH ADMIN TRUE, INHERIT FALSE, SET TRUE GRANTED BY c;\n\
             GRANT r TO a WITH INHERIT FALSE, SET TRUE GRANTED BY b;\n"
        );
    }

    #[test]
    fn a_password_shows_in_no_message() {
        let password = Password::Hash(Secret("SCRAM-SHA-256$4096:secret".to_owned()));
        let role = Role {
            name: "a".to_owned(),
            bootstrap: false,
            flags: [false; 7],
            connection_limit: -1,
            valid_until: None,
            password,
            remarks: Remarks::default(),
        };
        assert!(!format!("{role:?}").contains("secret"));
        assert!(role.create_sql().contains("secret"));
    }
}
