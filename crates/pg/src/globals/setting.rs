//! Settings that hold for a role, a database, or a role in a database (`pg_db_role_setting`).

use std::collections::HashMap;

use backup_core::Result;
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use super::rows;
use crate::quote::{ident, literal};

/// Parameters whose value is a list of names, each quoted on its own (`GUC_LIST_QUOTE` of `utils/misc/guc_tables.c`).
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// One `SET`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// For this role; for all where it is `None`.
    pub role: Option<String>,
    /// Which parameter.
    pub name: String,
    /// Its value as the catalog has it.
    pub value: String,
}

impl Setting {
    /// The statement, for `database` or for all.
    pub(super) fn sql(&self, database: Option<&str>) -> String {
        let whose = match (&self.role, database) {
            (None, None) => "ROLE ALL".to_owned(),
            (None, Some(database)) => format!("DATABASE {}", ident(database)),
            (Some(role), None) => format!("ROLE {}", ident(role)),
            (Some(role), Some(database)) => format!("ROLE {} IN DATABASE {}", ident(role), ident(database)),
        };
        format!("ALTER {whose} SET {};\n", set(&self.name, &self.value))
    }
}

/// `name TO value`, as it stands behind `SET` in `ALTER ROLE`, `ALTER DATABASE` and `CREATE FUNCTION`.
pub(crate) fn set(name: &str, value: &str) -> String {
    let list = LISTS.iter().any(|list| list.eq_ignore_ascii_case(name));
    let value = match list.then(|| elements(value)).flatten() {
        Some(elements) => elements.iter().map(|element| literal(element)).collect::<Vec<_>>().join(", "),
        None => literal(value),
    };
    format!("{} TO {value}", ident(name))
}

/// The names of a list (`SplitGUCList`); `None` where it is empty or not a list.
fn elements(list: &str) -> Option<Vec<String>> {
    let mut elements = Vec::new();
    let mut rest = list.trim_start();
    loop {
        let element = if let Some(quoted) = rest.strip_prefix('"') {
            let mut element = String::new();
            rest = quoted;
            loop {
                let (before, after) = rest.split_once('"')?;
                element.push_str(before);
                rest = after;
                match rest.strip_prefix('"') {
                    Some(more) => rest = more,
                    None => break,
                }
                element.push('"');
            }
            element
        } else {
            let end = rest.find(|c: char| c == ',' || c.is_ascii_whitespace()).unwrap_or(rest.len());
            let (element, after) = rest.split_at_checked(end)?;
            rest = after;
            if element.is_empty() {
                return None;
            }
            element.to_owned()
        };
        elements.push(element);
        rest = rest.trim_start();
        if rest.is_empty() {
            return Some(elements);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

/// Reads the settings that hold in all databases.
pub(super) async fn of_all(client: &Client) -> Result<Vec<Setting>> {
    Ok(read(client, "setdatabase = 0").await?.remove(&0).unwrap_or_default())
}

/// Reads the settings of each database, by its OID.
pub(super) async fn of_each(client: &Client) -> Result<HashMap<u32, Vec<Setting>>> {
    read(client, "setdatabase <> 0").await
}

/// Those of each database in the order in which they were made.
async fn read(client: &Client, which: &str) -> Result<HashMap<u32, Vec<Setting>>> {
    let sql = format!(
        "SELECT rolname::text, setting, setdatabase FROM pg_catalog.pg_db_role_setting \
         LEFT JOIN pg_catalog.pg_roles ON pg_roles.oid = setrole, pg_catalog.unnest(setconfig) WITH ORDINALITY AS s (setting, place) \
         WHERE {which} AND (setrole = 0 OR rolname IS NOT NULL) ORDER BY setrole <> 0, rolname, place"
    );
    let mut settings: HashMap<u32, Vec<Setting>> = HashMap::new();
    for row in rows(client, "settings", &sql).await? {
        let setting: String = row.get(1);
        let Some((name, value)) = setting.split_once('=') else { continue };
        let setting = Setting { role: row.get(0), name: name.to_owned(), value: value.to_owned() };
        settings.entry(row.get(2)).or_default().push(setting);
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_quoted_name_by_name_and_all_else_as_one() {
        for (name, value, sql) in [
            ("search_path", r#""$user", public, "a,""b""#, r#"search_path TO '$user', 'public', 'a,"b'"#),
            ("search_path", r#""""#, "search_path TO ''"),
            ("search_path", "", "search_path TO ''"),
            ("search_path", "a,,b", "search_path TO 'a,,b'"),
            ("temp_tablespaces", "it's", "temp_tablespaces TO 'it''s'"),
            ("DateStyle", "ISO, DMY", "\"DateStyle\" TO 'ISO, DMY'"),
            ("my.thing", "a=b", "\"my.thing\" TO 'a=b'"),
        ] {
            assert_eq!(set(name, value), sql);
        }
    }
}
