//! What the catalogs say about tables: their rows, columns, parents, checks and `NOT NULL` constraints.

use std::collections::HashMap;

use backup_core::{Error, Result};

use crate::catalog::options::{COLUMN_OPTIONS, server_options};
use crate::catalog::{Reader, dropped};
use crate::object::class;
use crate::quote::{ident, qualified};
use crate::version::Version;

/// A table, partitioned table or foreign table, of any schema, members of extensions included: others inherit from them.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) oid: u32,
    /// OID of its schema.
    pub(super) namespace: u32,
    /// Bare names of its schema and itself.
    pub(super) schema: String,
    pub(super) name: String,
    /// `r`, `p` or `f`.
    pub(super) kind: String,
    /// `p` or `u`.
    pub(super) persistence: String,
    pub(super) owner: u32,
    /// Its row type, and the type of arrays of that.
    pub(super) types: [u32; 2],
    /// `d`, `n`, `f` or `i`.
    pub(super) replica_identity: String,
    /// The type of a typed table, qualified.
    pub(super) of_type: Option<String>,
    pub(super) access_method: Option<String>,
    pub(super) tablespace: Option<String>,
    pub(super) options: Vec<String>,
    pub(super) toast_options: Vec<String>,
    /// `LIST (a)`.
    pub(super) partition_key: Option<String>,
    /// `FOR VALUES IN (1)` or `DEFAULT`.
    pub(super) bound: Option<String>,
    pub(super) acl: Option<String>,
    /// Server and options of a foreign table.
    pub(super) server: Option<String>,
    pub(super) server_options: Option<String>,
    /// Without the dropped ones.
    pub(super) columns: Vec<Column>,
    /// OIDs, in the order of `INHERITS`.
    pub(super) parents: Vec<u32>,
    /// `CHECK`s, and from version 18 on `NOT NULL`s, by name.
    pub(super) constraints: Vec<Constraint>,
}

/// A column.
#[derive(Debug, Clone, Default)]
pub(super) struct Column {
    pub(super) number: i16,
    pub(super) name: String,
    pub(super) type_name: String,
    /// Where it is not its type's own.
    pub(super) collation: Option<String>,
    pub(super) not_null: bool,
    /// `s`, `v` or nothing.
    pub(super) generated: String,
    /// Its expression, if it is generated, and the OID of that.
    pub(super) expression: Option<(u32, String)>,
    pub(super) is_local: bool,
    /// `p`, `e`, `x` or `m`; its own, and its type's.
    pub(super) storage: String,
    pub(super) type_storage: String,
    /// Whether its values have no limit of length, so that the server gives the table a place for long ones (TOAST).
    pub(super) is_long: bool,
    /// `p`, `l` or nothing.
    pub(super) compression: String,
    pub(super) statistics: Option<i32>,
    pub(super) options: Vec<String>,
    pub(super) server_options: Option<String>,
    pub(super) acl: Option<String>,
}

/// A `CHECK` or `NOT NULL`.
#[derive(Debug, Clone, Default)]
pub(super) struct Constraint {
    pub(super) oid: u32,
    pub(super) name: String,
    /// The column of a `NOT NULL`.
    pub(super) not_null: Option<i16>,
    pub(super) is_local: bool,
    pub(super) is_inherited: bool,
    pub(super) no_inherit: bool,
    pub(super) is_valid: bool,
    /// Only from version 18 on there are others.
    pub(super) is_enforced: bool,
    /// Whether it calls functions of users, or names other relations: it may read them.
    pub(super) calls: bool,
    /// `CHECK ((a > 0)) NO INHERIT`.
    pub(super) definition: String,
}

impl Table {
    /// `schema.name`.
    pub(super) fn qualified(&self) -> String {
        qualified(&self.schema, &self.name)
    }

    pub(super) fn is_foreign(&self) -> bool {
        self.kind == "f"
    }

    pub(super) fn is_partition(&self) -> bool {
        self.bound.is_some()
    }

    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The `NOT NULL` constraint on a column; only from version 18 on there are any.
    pub(super) fn not_null(&self, column: i16) -> Option<&Constraint> {
        self.constraints.iter().find(|constraint| constraint.not_null == Some(column))
    }
}

/// All tables by OID.
pub(super) async fn tables(reader: &Reader<'_>) -> Result<HashMap<u32, Table>> {
    let mut tables = relations(reader).await?;
    columns(reader, &mut tables).await?;
    let sql = "SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits WHERE inhrelid >= 16384 ORDER BY inhrelid, inhseqno";
    for row in reader.rows_of(class::PG_CLASS, b"rpf", "inheritance", sql).await? {
        if let Some(table) = tables.get_mut(&row.get(0)) {
            table.parents.push(row.get(1));
        }
    }
    constraints(reader, &mut tables).await?;
    for table in tables.values() {
        if let Some(missing) = table.parents.iter().find(|parent| !tables.contains_key(parent)) {
            let name = table.qualified();
            return Err(Error::failed(format!(
                "table {name} inherits from the table with OID {missing}, which is the system's"
            )));
        }
    }
    Ok(tables)
}

async fn relations(reader: &Reader<'_>) -> Result<HashMap<u32, Table>> {
    // Names are looked up, not joined: of many joins the server takes longer to find the order than to make them.
    let sql = "SELECT c.oid, c.relnamespace, c.relname::text, c.relkind::text, c.relpersistence::text, c.relowner, c.reltype, \
               (SELECT t.typarray FROM pg_catalog.pg_type t WHERE t.oid = c.reltype), c.relreplident::text, \
               CASE WHEN c.reloftype <> 0 THEN pg_catalog.format_type(c.reloftype, NULL) END, \
               (SELECT a.amname::text FROM pg_catalog.pg_am a WHERE a.oid = c.relam), \
               (SELECT s.spcname::text FROM pg_catalog.pg_tablespace s WHERE s.oid = c.reltablespace), c.reloptions, \
               (SELECT o.reloptions FROM pg_catalog.pg_class o WHERE o.oid = c.reltoastrelid), \
               CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END, \
               CASE WHEN c.relispartition THEN pg_catalog.pg_get_expr(c.relpartbound, c.oid) END, c.relacl::text \
               FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'p', 'f') AND c.oid >= 16384 AND c.relpersistence <> 't'";
    let mut servers = servers(reader).await?;
    let mut tables = HashMap::new();
    for row in reader.rows_of(class::PG_CLASS, b"rpf", "tables", sql).await? {
        let (oid, namespace): (u32, u32) = (row.get(0), row.get(1));
        let (server, server_options) = servers.remove(&oid).unzip();
        let table = Table {
            oid,
            namespace,
            schema: reader.schema(namespace)?.to_owned(),
            name: row.get(2),
            kind: row.get(3),
            persistence: row.get(4),
            owner: row.get(5),
            types: [row.get(6), row.get::<_, Option<u32>>(7).unwrap_or_default()],
            replica_identity: row.get(8),
            of_type: row.get(9),
            access_method: row.get(10),
            tablespace: row.get(11),
            options: row.get::<_, Option<_>>(12).unwrap_or_default(),
            toast_options: row.get::<_, Option<_>>(13).unwrap_or_default(),
            partition_key: row.get(14),
            bound: row.get(15),
            acl: row.get(16),
            server,
            server_options: server_options.flatten(),
            columns: Vec::new(),
            parents: Vec::new(),
            constraints: Vec::new(),
        };
        tables.insert(oid, table);
    }
    Ok(tables)
}

/// The server and the options of each foreign table.
async fn servers(reader: &Reader<'_>) -> Result<HashMap<u32, (String, Option<String>)>> {
    let sql = format!(
        "SELECT f.ftrelid, v.srvname::text, {} FROM pg_catalog.pg_foreign_table f \
         JOIN pg_catalog.pg_foreign_server v ON v.oid = f.ftserver",
        server_options("f.ftoptions")
    );
    let rows = reader.rows_of(class::PG_CLASS, b"f", "foreign tables", &sql).await?;
    Ok(rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect())
}

/// The expressions that read what not every version has.
fn since(version: Version) -> [&'static str; 4] {
    let compression = if version.at_least(14) { "a.attcompression::text" } else { "''::text" };
    let statistics = if version.at_least(17) { "a.attstattarget::int4" } else { "NULLIF(a.attstattarget, -1)::int4" };
    let types = if version.at_least(18) { "'c', 'n'" } else { "'c'" };
    let enforced = if version.at_least(18) { "k.conenforced" } else { "true" };
    [compression, statistics, types, enforced]
}

async fn columns(reader: &Reader<'_>, tables: &mut HashMap<u32, Table>) -> Result<()> {
    let [compression, statistics, _, _] = since(reader.version);
    let options = server_options("a.attfdwoptions");
    let sql = format!(
        "SELECT a.attrelid, a.attnum, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), \
         CASE WHEN a.attcollation <> t.typcollation THEN (SELECT ARRAY[l.nspname::text, o.collname::text] \
         FROM pg_catalog.pg_collation o JOIN pg_catalog.pg_namespace l ON l.oid = o.collnamespace WHERE o.oid = a.attcollation) END, \
         a.attnotnull, a.attgenerated::text, d.oid, pg_catalog.pg_get_expr(d.adbin, d.adrelid), \
         a.attislocal, a.attstorage::text, t.typstorage::text, {compression}, {statistics}, {COLUMN_OPTIONS}, \
         {options}, a.attacl::text, \
         a.atttypmod < 0 AND a.attstorage <> 'p' AND t.typstorage <> 'p' \
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
         JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated <> '' \
         WHERE c.relkind IN ('r', 'p', 'f') AND c.oid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped \
         ORDER BY a.attrelid, a.attnum"
    );
    for row in reader.rows_of(class::PG_CLASS, b"rpf", "columns", &sql).await? {
        let Some(table) = tables.get_mut(&row.get(0)) else { continue };
        let collation: Option<Vec<String>> = row.get(4);
        table.columns.push(Column {
            number: row.get(1),
            name: row.get(2),
            type_name: row.get(3),
            collation: collation.as_deref().and_then(|name| Some(qualified(name.first()?, name.get(1)?))),
            not_null: row.get(5),
            generated: row.get(6),
            expression: row.get::<_, Option<u32>>(7).zip(row.get(8)),
            is_local: row.get(9),
            storage: row.get(10),
            type_storage: row.get(11),
            compression: row.get(12),
            statistics: row.get(13),
            options: row.get(14),
            server_options: row.get(15),
            acl: row.get(16),
            is_long: row.get(17),
        });
    }
    Ok(())
}

async fn constraints(reader: &Reader<'_>, tables: &mut HashMap<u32, Table>) -> Result<()> {
    let [_, _, types, enforced] = since(reader.version);
    let sql = format!(
        "SELECT k.conrelid, k.oid, k.conname::text, k.contype = 'n', k.conkey[1], k.conislocal, k.coninhcount > 0, k.connoinherit, \
         k.convalidated, pg_catalog.pg_get_constraintdef(k.oid), k.contype = 'c' AND EXISTS (SELECT FROM pg_catalog.pg_depend d \
         WHERE d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = k.oid AND d.refobjid >= 16384 \
         AND (d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass) \
         OR d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> k.conrelid)), {enforced} \
         FROM pg_catalog.pg_constraint k WHERE k.contype IN ({types}) AND k.conrelid >= 16384 ORDER BY k.conrelid, k.conname"
    );
    for row in reader.rows_of(class::PG_CONSTRAINT, b"cn", "check constraints", &sql).await? {
        let Some(table) = tables.get_mut(&row.get(0)) else { continue };
        table.constraints.push(Constraint {
            oid: row.get(1),
            name: row.get(2),
            not_null: row.get::<_, bool>(3).then(|| row.get::<_, Option<i16>>(4)).flatten(),
            is_local: row.get(5),
            is_inherited: row.get(6),
            no_inherit: row.get(7),
            is_valid: row.get(8),
            definition: row.get::<_, Option<_>>(9).ok_or_else(|| dropped(&format!("constraint {}", ident(row.get(2)))))?,
            calls: row.get(10),
            is_enforced: row.get(11),
        });
    }
    Ok(())
}
