//! Sequences: their options, the columns that own them, identities of columns, and where each one stands.

use std::collections::HashMap;

use backup_core::{Error, Result};

use super::{Reader, SequenceData};
use crate::acl;
use crate::catalog::Row;
use crate::object::{Kind, Object, class};
use crate::quote::{ident, qualified};

/// Where sequences stand, by OID.
type States = HashMap<u32, Option<(i64, bool)>>;

/// How many sequences one query reads by their names.
const AT_ONCE: usize = 50;

/// Reads the sequences, those of identity columns included.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let sql = "SELECT c.oid, c.relnamespace, c.relname::text, c.relpersistence::text, c.relowner, c.relacl::text, \
               pg_catalog.format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle, \
               t.oid, t.relnamespace, t.relname::text, t.relpersistence::text, a.attname::text, d.deptype = 'i', a.attidentity::text \
               FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid \
               LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid \
               AND d.objsubid = 0 AND d.refclassid = d.classid AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') \
               LEFT JOIN pg_catalog.pg_class t ON t.oid = d.refobjid \
               LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid \
               WHERE c.oid >= 16384 AND c.relpersistence <> 't' ORDER BY c.oid";
    let mut dumped: Vec<(u32, String, String)> = Vec::new();
    for row in reader.rows_of(class::PG_CLASS, b"S", "sequences", sql).await? {
        let (oid, namespace): (u32, u32) = (row.get(0), row.get(1));
        if !reader.is_dumped_schema(namespace) || reader.is_member(class::PG_CLASS, oid) {
            continue;
        }
        let schema = reader.schema(namespace)?.to_owned();
        let object = object(reader, &row, &schema)?;
        reader.add(class::PG_CLASS, object);
        if reader.can_read(row.get(3), &schema, row.get(2)) {
            dumped.push((oid, schema, row.get(2)));
        }
    }
    let states = states(reader, &dumped).await?;
    for (oid, schema, name) in dumped {
        let unknown = || {
            let text = format!("the state of sequence {} cannot be read", qualified(&schema, &name));
            Error::failed(text).with_hint("use a role that may read it: a superuser, or one that was granted SELECT on it")
        };
        let (last, called) = states.get(&oid).copied().flatten().ok_or_else(unknown)?;
        reader.sequences.push(SequenceData { schema, name, last, called });
    }
    Ok(())
}

fn object(reader: &Reader<'_>, row: &Row, schema: &str) -> Result<Object> {
    let (oid, name, persistence, owner): (u32, &str, &str, u32) = (row.get(0), row.get(2), row.get(3), row.get(4));
    let at = qualified(schema, name);
    let what = format!("SEQUENCE {at}");
    let options = options(row);
    let table: Option<u32> = row.get(13);
    let column = match table {
        Some(_) => Some((qualified(reader.schema(row.get(14))?, row.get(15)), ident(row.get(17)))),
        None => None,
    };
    let is_identity = row.get::<_, Option<bool>>(18).unwrap_or(false);
    let mut create = String::new();
    match &column {
        Some((table_at, column)) if is_identity => {
            let when = if row.get::<_, &str>(19) == "a" { "ALWAYS" } else { "BY DEFAULT" };
            // Not ONLY: partitions take part in the identity of their parent.
            create.push_str(&format!(
                "ALTER TABLE {table_at} ALTER COLUMN {column} ADD GENERATED {when} AS IDENTITY (SEQUENCE NAME {at} {options});\n"
            ));
            if reader.version.at_least(15) && row.get::<_, &str>(16) != persistence {
                let logged = if persistence == "u" { "UNLOGGED" } else { "LOGGED" };
                create.push_str(&format!("ALTER {what} SET {logged};\n"));
            }
        }
        _ => {
            let unlogged = if persistence == "u" { "UNLOGGED " } else { "" };
            let data_type: &str = row.get(6);
            create.push_str(&format!("CREATE {unlogged}{what} AS {data_type} {options};\n"));
            create.push_str(&reader.owner_sql(&what, owner)?);
        }
    }
    if let Some((table_at, column)) = column.as_ref().filter(|_| !is_identity) {
        create.push_str(&format!("ALTER {what} OWNED BY {table_at}.{column};\n"));
    }
    create.push_str(&reader.comment_sql(&what, class::PG_CLASS, oid, 0));
    let mut object = Object::new(Kind::Relation, oid, format!("sequence {at}"), [schema, name, ""], create);
    object.acl = acl::acl_sql(reader, acl::Kind::Sequence, &what, None, class::PG_CLASS, oid, 0, owner, row.get(5))?;
    object.drop = (!is_identity).then(|| format!("DROP SEQUENCE IF EXISTS {at};\n"));
    object.table = table.or(Some(oid));
    Ok(object)
}

fn options(row: &Row) -> String {
    let number = |column: usize| row.get::<_, i64>(column);
    let (start, increment, min, max, cache) = (number(7), number(8), number(9), number(10), number(11));
    let cycle = if row.get(12) { " CYCLE" } else { "" };
    format!("START WITH {start} INCREMENT BY {increment} MINVALUE {min} MAXVALUE {max} CACHE {cache}{cycle}")
}

/// The last value of each sequence (OID, schema, name), and whether it was handed out; nothing where the role may not know.
///
/// Not by `pg_sequence_last_value`, which would be one query before 18 too: it locks the sequence until the end, so that an
/// `ALTER SEQUENCE` would wait for the backup, and every `nextval` for that.
async fn states(reader: &Reader<'_>, sequences: &[(u32, String, String)]) -> Result<States> {
    let state = |row: &Row| (row.get(0), row.get::<_, Option<i64>>(1).zip(row.get(2)));
    if reader.version.at_least(18) {
        let sql = "SELECT o.oid, s.last_value, s.is_called FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS o (oid), \
                   LATERAL pg_catalog.pg_get_sequence_data(o.oid) s";
        let oids: Vec<u32> = sequences.iter().map(|(oid, ..)| *oid).collect();
        return Ok(reader.rows("states of sequences", sql, &[&oids]).await?.iter().map(state).collect());
    }
    let mut states = HashMap::new();
    for some in sequences.chunks(AT_ONCE) {
        let one = |(oid, schema, name): &(u32, String, String)| {
            format!("SELECT {oid}::pg_catalog.oid, last_value, is_called FROM {}", qualified(schema, name))
        };
        let sql = some.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ");
        states.extend(reader.rows("states of sequences", &sql, &[]).await?.iter().map(state));
    }
    Ok(states)
}
