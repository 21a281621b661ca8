//! Extensions, and the rows of their configuration tables and the state of their configuration sequences.

use std::collections::{BTreeMap, HashMap};

use backup_core::Result;

use super::{Reader, SequenceData, TableData};
use crate::object::{Kind, Object, class};
use crate::quote::{ident, literal, qualified};

/// The extension that every new database has, and its comment.
const PLPGSQL: (&str, &str) = ("plpgsql", "PL/pgSQL procedural language");

/// Reads the extensions. Their members are created by them.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let sql = "SELECT e.oid, e.extname::text, e.extnamespace, COALESCE(e.extconfig, '{}'), COALESCE(e.extcondition, '{}'), \
               pg_catalog.obj_description(e.oid, 'pg_extension') FROM pg_catalog.pg_extension e ORDER BY e.oid";
    let mut configuration: BTreeMap<u32, Option<String>> = BTreeMap::new();
    let mut plpgsql = false;
    for row in reader.rows("extensions", sql, &[]).await? {
        let (oid, name, schema): (u32, String, u32) = (row.get(0), row.get(1), row.get(2));
        let (tables, conditions): (Vec<u32>, Vec<String>) = (row.get(3), row.get(4));
        let comment: Option<String> = row.get(5);
        plpgsql |= name == PLPGSQL.0;
        for (place, table) in tables.into_iter().enumerate() {
            configuration.insert(table, conditions.get(place).filter(|condition| !condition.is_empty()).cloned());
        }
        let what = format!("EXTENSION {}", ident(&name));
        // CREATE EXTENSION sets the comment of the control file, so that a removed one must be removed again.
        let comment_sql = format!("COMMENT ON {what} IS {};\n", comment.as_deref().map_or_else(|| "NULL".to_owned(), literal));
        let order = ["", name.as_str(), ""];
        if oid < 16_384 {
            if (name.as_str(), comment.as_deref()) != (PLPGSQL.0, Some(PLPGSQL.1)) {
                let object = Object::new(Kind::Extension, oid, format!("extension {name}"), order, comment_sql);
                reader.add(class::PG_EXTENSION, object);
            }
            continue;
        }
        // One that was dropped and made again is no longer the one that a new database has.
        let first = if name == PLPGSQL.0 { "DROP EXTENSION IF EXISTS plpgsql;\n" } else { "" };
        let schema = ident(reader.schema(schema)?);
        let create = format!("{first}CREATE EXTENSION IF NOT EXISTS {} WITH SCHEMA {schema};\n{comment_sql}", ident(&name));
        let mut object = Object::new(Kind::Extension, oid, format!("extension {name}"), order, create);
        object.drop = Some(format!("DROP {};\n", what.replacen("EXTENSION", "EXTENSION IF EXISTS", 1)));
        reader.add(class::PG_EXTENSION, object);
    }
    if !plpgsql {
        let sql = "DROP EXTENSION IF EXISTS plpgsql;\n".to_owned();
        reader.add_derived(Object::new(Kind::Extension, 0, "extension plpgsql", ["", "plpgsql", ""], sql));
    }
    read_configuration(reader, configuration).await
}

/// Reads what `pg_extension_config_dump()` was called for: relations by OID, and which of their rows.
async fn read_configuration(reader: &mut Reader<'_>, configuration: BTreeMap<u32, Option<String>>) -> Result<()> {
    if configuration.is_empty() {
        return Ok(());
    }
    let oids: Vec<u32> = configuration.keys().copied().collect();
    let sql = "SELECT conrelid, confrelid FROM pg_catalog.pg_constraint \
               WHERE contype = 'f' AND conrelid <> confrelid AND conrelid = ANY ($1) AND confrelid = ANY ($1) ORDER BY 1, 2";
    let mut after: HashMap<u32, Vec<u32>> = HashMap::new();
    for row in reader.rows("foreign keys of configuration tables", sql, &[&oids]).await? {
        after.entry(row.get(0)).or_default().push(row.get(1));
    }
    let sql = "SELECT c.oid, c.relkind::text, c.relnamespace, c.relname::text, \
               ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 \
               AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum), c.relpersistence::text \
               FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1) AND c.relkind IN ('r', 'S') ORDER BY c.oid";
    let mut sequences: Vec<(u32, String, String)> = Vec::new();
    for row in reader.rows("configuration tables of extensions", sql, &[&oids]).await? {
        let (oid, kind, name): (u32, String, String) = (row.get(0), row.get(1), row.get(3));
        let schema = reader.schema(row.get(2))?.to_owned();
        if !reader.can_read(row.get(5), &schema, &name) {
            continue;
        }
        if kind == "S" {
            sequences.push((oid, schema, name));
            continue;
        }
        reader.tables.push(TableData {
            oid,
            schema,
            name,
            columns: row.get(4),
            condition: configuration.get(&oid).cloned().flatten(),
            load_via: None,
            after: after.remove(&oid).unwrap_or_default(),
        });
    }
    if sequences.is_empty() {
        return Ok(());
    }
    let selects: Vec<String> = sequences
        .iter()
        .map(|(oid, schema, name)| {
            format!("SELECT {oid}::pg_catalog.oid, last_value, is_called FROM {}", qualified(schema, name))
        })
        .collect();
    let mut states: HashMap<u32, (i64, bool)> = HashMap::new();
    for row in reader.rows("configuration sequences of extensions", &selects.join(" UNION ALL "), &[]).await? {
        states.insert(row.get(0), (row.get(1), row.get(2)));
    }
    for (oid, schema, name) in sequences {
        if let Some(&(last, called)) = states.get(&oid) {
            reader.sequences.push(SequenceData { schema, name, last, called });
        }
    }
    Ok(())
}
