//! What becomes of a statement about roles and tablespaces when some of them are there before the restore.

use std::collections::{HashMap, HashSet};

use backup_core::Result;
use tokio_postgres::Client;

use crate::pg_error::pg_error;
use crate::quote::ident;
use crate::script::Item;

/// What is there already.
#[derive(Debug, Default)]
pub(super) struct Existing {
    /// Roles by name, and whether their password ends one day.
    roles: HashMap<String, bool>,
    /// Names of tablespaces.
    pub(super) tablespaces: HashSet<String>,
    /// The role that restores.
    restorer: String,
}

/// What becomes of a statement.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is played.
    Play,
    /// It is left out.
    Leave,
    /// This is played instead, once all roles are there.
    Change(String),
    /// This is played instead, after everything else: it could shut out who restores.
    Last(String),
}

impl Existing {
    pub(super) async fn read(client: &Client) -> Result<Self> {
        let failed = |error| pg_error("list roles and tablespaces", error);
        let roles = "SELECT rolname::text, rolvaliduntil IS NOT NULL FROM pg_catalog.pg_roles";
        let roles = client.query(roles, &[]).await.map_err(failed)?;
        let tablespaces = client.query("SELECT spcname::text FROM pg_catalog.pg_tablespace", &[]).await.map_err(failed)?;
        let restorer = client.query_one("SELECT session_user::text", &[]).await.map_err(failed)?;
        Ok(Self {
            roles: roles.iter().map(|row| (row.get(0), row.get(1))).collect(),
            tablespaces: tablespaces.iter().map(|row| row.get(0)).collect(),
            restorer: restorer.get(0),
        })
    }

    /// When the whole cluster is restored: roles that are there are brought to what they were.
    pub(super) fn with_all(&self, item: &Item) -> Turn {
        let Some(words) = words_of(item) else { return Turn::Play };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["CREATE", "TABLESPACE", name, ..] if self.tablespaces.contains(&name_of(name)) => Turn::Leave,
            ["CREATE" | "ALTER", "ROLE", role, "WITH", attributes @ ..] if self.is_there(role) => {
                let sql = self.alter_sql(&name_of(role), attributes);
                if name_of(role) == self.restorer { Turn::Last(sql) } else { Turn::Change(sql) }
            }
            ["CREATE", "ROLE", role, ..] if self.is_there(role) => Turn::Leave,
            ["ALTER", "ROLE", role, ..] if name_of(role) == self.restorer => Turn::Last(format!("{};\n", words.join(" "))),
            _ => Turn::Play,
        }
    }

    /// When single databases are restored: roles that are missing are made, and nothing is changed about those that are there.
    pub(super) fn with_one(&self, item: &Item) -> Turn {
        let Some(words) = words_of(item) else { return Turn::Play };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let whose = match words.as_slice() {
            // Of the session.
            ["SET" | "SELECT", ..] => return Turn::Play,
            ["CREATE" | "ALTER", "ROLE", role, ..] | ["COMMENT", "ON", "ROLE", role, ..] => role,
            ["SECURITY", "LABEL", "FOR", _, "ON", "ROLE", role, ..] => role,
            // A membership is its member's.
            ["GRANT", _, "TO", member, ..] | ["REVOKE", _, "FROM", member, ..] => member,
            ["REVOKE", "ADMIN", "OPTION", "FOR", _, "FROM", member, ..] => member,
            _ => return Turn::Leave,
        };
        if self.is_there(whose) || *whose == "ALL" { Turn::Leave } else { Turn::Play }
    }

    fn is_there(&self, role: &str) -> bool {
        self.roles.contains_key(&name_of(role))
    }

    /// Brings a role to `attributes`, and those that are not among them to what a new role has.
    fn alter_sql(&self, role: &str, attributes: &[&str]) -> String {
        let mut sql = format!("ALTER ROLE {} WITH {}", ident(role), attributes.join(" "));
        if !attributes.contains(&"LIMIT") {
            sql.push_str(" CONNECTION LIMIT -1");
        }
        if !attributes.contains(&"VALID") && self.roles.get(role).is_some_and(|ends| *ends) {
            // It cannot be made never to have had an end.
            sql.push_str(" VALID UNTIL 'infinity'");
        }
        sql + ";\n"
    }
}

/// The words of a statement without its semicolon; `None` for what is no statement, or none that we can read.
fn words_of(item: &Item) -> Option<Vec<String>> {
    let Item::Statement(statement) = item else { return None };
    Some(words(statement.text().ok()?))
}

/// The words of an SQL text: names and strings with their quotes, and what blanks part.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for one in text.trim_end().trim_end_matches(';').chars() {
        match quote {
            Some(open) if one == open => quote = None,
            None if one == '"' || one == '\'' => quote = Some(one),
            _ => {}
        }
        if quote.is_none() && one.is_ascii_whitespace() {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        } else {
            word.push(one);
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// The name that an identifier stands for.
fn name_of(ident: &str) -> String {
    match ident.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => ident.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Scanner;

    async fn turns(sql: &str, decide: impl Fn(&Item) -> Turn) -> Vec<Turn> {
        let (mut scanner, mut turns) = (Scanner::new(sql.as_bytes()), Vec::new());
        while let Some(item) = scanner.next().await.expect("it can be read") {
            if matches!(item, Item::Statement(_)) {
                turns.push(decide(&item));
            }
        }
        turns
    }

    fn existing() -> Existing {
        let roles = [("old", false), ("a \"TO\" b", true), ("me", true)];
        Existing {
            roles: roles.map(|(name, ends)| (name.to_owned(), ends)).into(),
            tablespaces: HashSet::from(["room".to_owned()]),
            restorer: "me".to_owned(),
        }
    }

    #[tokio::test]
    async fn with_one_database_nothing_changes_about_roles_that_are_there() {
        let existing = existing();
        for (sql, turn) in [
            ("SET standard_conforming_strings = on;", Turn::Play),
            ("SELECT pg_catalog.set_config('search_path', '', false);", Turn::Play),
            ("CREATE ROLE new WITH NOLOGIN;", Turn::Play),
            ("CREATE ROLE old WITH NOLOGIN;", Turn::Leave),
            ("ALTER ROLE \"old\" WITH NOLOGIN;", Turn::Leave),
            ("COMMENT ON ROLE \"a \"\"TO\"\" b\" IS ' TO new';", Turn::Leave),
            ("COMMENT ON ROLE new IS ' TO old';", Turn::Play),
            ("SECURITY LABEL FOR \"a b\" ON ROLE old IS 'x';", Turn::Leave),
            ("SECURITY LABEL FOR p ON ROLE new IS 'x';", Turn::Play),
            ("GRANT \"x TO new\" TO old WITH ADMIN TRUE;", Turn::Leave),
            ("GRANT old TO new;", Turn::Play),
            ("REVOKE \"x FROM new\" FROM old GRANTED BY me;", Turn::Leave),
            ("REVOKE old FROM new;", Turn::Play),
            ("REVOKE ADMIN OPTION FOR old FROM \"a \"\"TO\"\" b\";", Turn::Leave),
            ("REVOKE ADMIN OPTION FOR old FROM new;", Turn::Play),
            ("ALTER ROLE ALL SET work_mem TO '5MB';", Turn::Leave),
            ("CREATE TABLESPACE other LOCATION '';", Turn::Leave),
            ("GRANT CREATE ON TABLESPACE other TO new;", Turn::Leave),
            ("DO 'BEGIN END';", Turn::Leave),
            ("DROP ROLE new;", Turn::Leave),
        ] {
            assert_eq!(turns(sql, |item| existing.with_one(item)).await, [turn], "{sql}");
        }
    }

    #[tokio::test]
    async fn with_the_whole_cluster_they_are_brought_to_what_they_were() {
        let existing = existing();
        let change = |sql: &str| Turn::Change(format!("{sql};\n"));
        let last = |sql: &str| Turn::Last(format!("{sql};\n"));
        for (sql, turn) in [
            ("CREATE ROLE new WITH LOGIN;", Turn::Play),
            ("CREATE ROLE old;", Turn::Leave),
            (
                "CREATE ROLE old WITH LOGIN PASSWORD NULL;",
                change("ALTER ROLE old WITH LOGIN PASSWORD NULL CONNECTION LIMIT -1"),
            ),
            (
                "CREATE ROLE old WITH CONNECTION LIMIT 3 PASSWORD ' VALID ';",
                change("ALTER ROLE old WITH CONNECTION LIMIT 3 PASSWORD ' VALID '"),
            ),
            (
                "ALTER ROLE \"a \"\"TO\"\" b\" WITH NOLOGIN;",
                change("ALTER ROLE \"a \"\"TO\"\" b\" WITH NOLOGIN CONNECTION LIMIT -1 VALID UNTIL 'infinity'"),
            ),
            (
                "CREATE ROLE me WITH LOGIN VALID UNTIL '2030-01-01';",
                last("ALTER ROLE me WITH LOGIN VALID UNTIL '2030-01-01' CONNECTION LIMIT -1"),
            ),
            ("ALTER ROLE me SET search_path TO 'a  b', 'c';", last("ALTER ROLE me SET search_path TO 'a  b', 'c'")),
            ("ALTER ROLE old SET search_path TO 'a';", Turn::Play),
            ("GRANT old TO me;", Turn::Play),
            ("CREATE TABLESPACE room OWNER old LOCATION '/a';", Turn::Leave),
            ("CREATE TABLESPACE other LOCATION '/a';", Turn::Play),
        ] {
            assert_eq!(turns(sql, |item| existing.with_all(item)).await, [turn], "{sql}");
        }
    }
}
