//! Privileges: the statements that lead from those an object has by default to those it has.

mod item;
mod step;

use std::fmt::Write;

use backup_core::Result;

use self::item::Item;
pub(crate) use self::step::Verb;
use self::step::{Step, steps};
use crate::catalog::Reader;
use crate::object::class;
use crate::quote::ident;
use crate::version::Version;

/// What privileges are on, as `acldefault()` tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Tables, views, and all else with rows.
    Table,
    Column,
    Sequence,
    Database,
    /// Functions, procedures and aggregates.
    Function,
    Language,
    LargeObject,
    Schema,
    Tablespace,
    /// Types and domains.
    Type,
    ForeignDataWrapper,
    ForeignServer,
    Parameter,
}

/// The `REVOKE`s and `GRANT`s for `what` (keyword and name, `TABLE app.users`), or for its `column`, whose privileges are `acl`.
///
/// `column` is the bare name. Privileges of columns go behind those of their table, on whose grant options they may rest.
/// What initdb or an extension gave (`pg_init_privs`) is taken as given.
#[expect(clippy::too_many_arguments, reason = "they are the columns of the catalogs' rows")]
pub(crate) fn acl_sql(
    reader: &Reader<'_>,
    kind: Kind,
    what: &str,
    column: Option<&str>,
    class: u32,
    oid: u32,
    sub: i32,
    owner: u32,
    acl: Option<&str>,
) -> Result<String> {
    let initial = reader.initial.get(&(class, oid, sub));
    if acl.is_none() && initial.is_none() {
        return Ok(String::new());
    }
    let owner = reader.role(owner)?;
    let default = item::defaults(kind, owner, reader.version);
    let mut base = initial.map_or(Ok(default.clone()), |text| item::parse(text))?;
    let mut current = acl.map_or(Ok(default), item::parse)?;
    // Of a dropped role the server prints the OID.
    let exists = |role: &str| !role.bytes().all(|byte| byte.is_ascii_digit()) || reader.roles.values().any(|name| name == role);
    for items in [&mut base, &mut current] {
        items.retain(|item| (item.grantee.is_empty() || exists(&item.grantee)) && exists(&item.grantor));
    }
    if class == class::PG_NAMESPACE {
        handed_over(&mut base, owner);
    }
    // No extension knows a cluster's own roles: where one is among them, default privileges gave it, and will not again.
    base.retain(|item| item.grantee.is_empty() || item.grantee == owner || item.grantee.starts_with("pg_"));
    let target = Target { kind, prefix: "", what, column, owner, version: reader.version };
    Ok(target.sql(&base, &current))
}

/// The same from `acldefault()` alone, for what is in no database: tablespaces, databases, parameters.
pub(crate) fn global_acl_sql(version: Version, kind: Kind, what: &str, owner: &str, acl: Option<&str>) -> Result<String> {
    let Some(acl) = acl else { return Ok(String::new()) };
    let target = Target { kind, prefix: "", what, column: None, owner, version };
    Ok(target.sql(&item::defaults(kind, owner, version), &item::parse(acl)?))
}

/// The same for a database. `base` is what it has in a fresh cluster instead, with `o` as its owner.
pub(crate) fn database_acl_sql(what: &str, owner: &str, base: Option<&str>, acl: Option<&str>) -> Result<String> {
    // No version has changed these privileges.
    let version = Version(0);
    let default = item::defaults(Kind::Database, owner, version);
    let mut given = base.map_or(Ok(default.clone()), item::parse)?;
    handed_over(&mut given, owner);
    let target = Target { kind: Kind::Database, prefix: "", what, column: None, owner, version };
    Ok(target.sql(&given, &acl.map_or(Ok(default), item::parse)?))
}

/// What one role gave to another of a thing that is given by the same rules as a single privilege: membership in a role.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a> {
    /// Bare name.
    pub(crate) to: &'a str,
    /// Bare name.
    pub(crate) by: &'a str,
    /// Whether it may be passed on.
    pub(crate) option: bool,
}

/// An order in which `given` can be given, `owner` being who needs nobody's leave: what to do, to whom, and by whom.
pub(crate) fn order(owner: &str, given: &[Given<'_>]) -> Vec<(Verb, String, String)> {
    let right = item::Rights::of("r");
    let item = |given: &Given<'_>| Item {
        grantee: given.to.to_owned(),
        grantor: given.by.to_owned(),
        rights: right,
        options: if given.option { right } else { item::Rights::default() },
    };
    let items: Vec<Item> = given.iter().map(item).collect();
    steps(owner, &[], &items, false).into_iter().map(|step| (step.verb, step.grantee, step.by)).collect()
}

/// `ALTER DEFAULT PRIVILEGES …` for `what` (`TABLES`): `prefix` ends in a blank. Those of a schema add to the global ones.
pub(crate) fn default_acl_sql(
    version: Version,
    kind: Kind,
    prefix: &str,
    what: &str,
    role: &str,
    in_schema: bool,
    acl: &str,
) -> Result<String> {
    let base = if in_schema { Vec::new() } else { item::defaults(kind, role, version) };
    let target = Target { kind, prefix, what, column: None, owner: role, version };
    Ok(target.sql(&base, &item::parse(acl)?))
}

/// Makes `owner` the owner in what initdb gave: a schema takes its privileges along when it changes hands (`aclnewowner`).
fn handed_over(base: &mut Vec<Item>, owner: &str) {
    let Some(old) = base.first().map(|item| item.grantor.clone()) else { return };
    if old == owner || base.iter().any(|item| item.grantor != old) {
        return;
    }
    base.retain(|item| item.grantee != owner);
    for item in base {
        owner.clone_into(&mut item.grantor);
        if item.grantee == old {
            owner.clone_into(&mut item.grantee);
        }
    }
}

/// What the statements are about.
struct Target<'a> {
    kind: Kind,
    prefix: &'a str,
    what: &'a str,
    column: Option<&'a str>,
    owner: &'a str,
    version: Version,
}

impl Target<'_> {
    fn sql(&self, base: &[Item], current: &[Item]) -> String {
        let mut sql = String::new();
        let mut session: Option<String> = None;
        for step in steps(self.owner, base, current, self.column.is_some()) {
            let by = (step.by != self.owner).then(|| step.by.clone());
            if by != session {
                sql.push_str(if session.is_some() { "RESET SESSION AUTHORIZATION;\n" } else { "" });
                if let Some(role) = &by {
                    let _ = writeln!(sql, "SET SESSION AUTHORIZATION {};", ident(role));
                }
                session = by;
            }
            self.statement(&step, &mut sql);
        }
        sql.push_str(if session.is_some() { "RESET SESSION AUTHORIZATION;\n" } else { "" });
        sql
    }

    fn statement(&self, step: &Step, sql: &mut String) {
        let column = self.column.map(ident);
        let rights = step.rights.keywords(item::all(self.kind, self.version), column.as_deref());
        let (verb, to, option) = match step.verb {
            Verb::Grant => ("GRANT", "TO", ""),
            Verb::GrantWithOption => ("GRANT", "TO", " WITH GRANT OPTION"),
            Verb::Revoke => ("REVOKE", "FROM", ""),
            Verb::RevokeOption => ("REVOKE GRANT OPTION FOR", "FROM", ""),
        };
        let role = if step.grantee.is_empty() { "PUBLIC".to_owned() } else { ident(&step.grantee) };
        let _ = writeln!(sql, "{}{verb} {rights} ON {} {to} {role}{option};", self.prefix, self.what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V15: Version = Version(150_000);

    fn sql(kind: Kind, what: &str, acl: &str) -> String {
        global_acl_sql(V15, kind, what, "o", Some(acl)).expect("statements")
    }

    #[test]
    fn the_default_needs_no_statement() {
        assert_eq!(sql(Kind::Function, "FUNCTION f()", "{=X/o,o=X/o}"), "");
        assert_eq!(global_acl_sql(V15, Kind::Function, "FUNCTION f()", "o", None).expect("statements"), "");
    }

    #[test]
    fn a_table_and_a_grantor_of_its_own() {
        assert_eq!(
            sql(Kind::Table, "TABLE app.t", r#"{"o=arwdDxt/o","\"A b\"=r*w/o","=r/\"A b\""}"#),
            "GRANT UPDATE ON TABLE app.t TO \"A b\";\n\
             GRANT SELECT ON TABLE app.t TO \"A b\" WITH GRANT OPTION;\n\
             SET SESSION AUTHORIZATION \"A b\";\n\
             GRANT SELECT ON TABLE app.t TO PUBLIC;\n\
             RESET SESSION AUTHORIZATION;\n"
        );
    }

    #[test]
    fn what_was_taken_from_the_owner_and_the_public() {
        assert_eq!(
            sql(Kind::Database, "DATABASE d", "{o=Tc/o}"),
            "REVOKE CONNECT, TEMPORARY ON DATABASE d FROM PUBLIC;\n\
             REVOKE ALL ON DATABASE d FROM o;\n\
             GRANT CONNECT, TEMPORARY ON DATABASE d TO o;\n"
                .replace("CONNECT, TEMPORARY", "TEMPORARY, CONNECT")
        );
    }

    #[test]
    fn a_schema_that_changed_hands_keeps_what_initdb_gave() {
        let mut base = item::parse("{pg_database_owner=UC/pg_database_owner,=U/pg_database_owner}").expect("items");
        handed_over(&mut base, "o");
        assert_eq!(base, item::parse("{o=UC/o,=U/o}").expect("items"));
    }
}
