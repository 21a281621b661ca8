//! What is set on columns and tables after `CREATE TABLE`: storage, compression, statistics, options, `NOT NULL` of children.

use super::inherit::{Form, Tables};
use super::rows::Table;
use crate::catalog::options::parameters;
use crate::quote::ident;

/// The `ALTER TABLE`s for what differs from what `CREATE TABLE` in this form gives.
pub(super) fn settings(table: &Table, form: Form, tables: &Tables) -> String {
    let at = table.qualified();
    let mut sql = String::new();
    for column in &table.columns {
        let mut alter = |what: String| {
            sql.push_str(&format!("ALTER TABLE ONLY {at} ALTER COLUMN {} {what};\n", ident(&column.name)));
        };
        let is_own = table.not_null(column.number).is_none() && form == Form::Whole;
        let not_null_above = form.has_not_null_parent(table, &column.name, tables);
        if is_own && column.not_null && !column.is_local && !not_null_above {
            alter("SET NOT NULL".to_owned());
        }
        if is_own && !column.not_null && not_null_above {
            alter("DROP NOT NULL".to_owned());
        }
        let from = form.parents_of(table, &column.name, tables).next();
        let storage = from.map_or(&column.type_storage, |parent| &parent.storage);
        if let Some(name) = storage_name(&column.storage).filter(|_| column.storage != *storage) {
            alter(format!("SET STORAGE {name}"));
        }
        let compression = form
            .parents_of(table, &column.name, tables)
            .map(|parent| parent.compression.as_str())
            .find(|name| !name.is_empty());
        if column.compression != compression.unwrap_or_default() {
            alter(format!("SET COMPRESSION {}", compression_name(&column.compression)));
        }
        if let Some(target) = column.statistics {
            alter(format!("SET STATISTICS {target}"));
        }
        if !column.options.is_empty() {
            alter(format!("SET ({})", parameters(&column.options, "")));
        }
        // A column from a parent had no place for them in CREATE FOREIGN TABLE.
        if let Some(options) = column.server_options.as_ref().filter(|_| form == Form::Whole && !column.is_local) {
            let options = options.clone();
            sql.push_str(&format!("ALTER FOREIGN TABLE ONLY {at} ALTER COLUMN {} OPTIONS ({options});\n", ident(&column.name)));
        }
    }
    match table.replica_identity.as_str() {
        // That of a foreign table is always "n" and cannot be set.
        _ if table.is_foreign() => {}
        "n" => sql.push_str(&format!("ALTER TABLE ONLY {at} REPLICA IDENTITY NOTHING;\n")),
        "f" => sql.push_str(&format!("ALTER TABLE ONLY {at} REPLICA IDENTITY FULL;\n")),
        _ => {}
    }
    sql
}

fn storage_name(storage: &str) -> Option<&'static str> {
    Some(match storage {
        "p" => "PLAIN",
        "e" => "EXTERNAL",
        "m" => "MAIN",
        "x" => "EXTENDED",
        _ => return None,
    })
}

fn compression_name(compression: &str) -> &'static str {
    match compression {
        "p" => "pglz",
        "l" => "lz4",
        _ => "DEFAULT",
    }
}
