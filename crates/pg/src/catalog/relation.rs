//! What views and materialized views share: their rows in the catalogs, columns, and the types and rules made along.

use std::collections::HashMap;

use backup_core::Result;

use super::options::COLUMN_OPTIONS;
use super::{Reader, dropped};
use crate::acl;
use crate::catalog::Row;
use crate::object::{Address, Id, class};
use crate::quote::{ident, qualified};

/// A view or materialized view.
pub(super) struct Relation {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) owner: u32,
    pub(super) options: Vec<String>,
    /// The query, without a semicolon.
    pub(super) query: String,
    pub(super) columns: Vec<Column>,
    acl: Option<String>,
    /// Its row type, the type of arrays of that, and its rule.
    made_along: [Address; 3],
}

/// A column.
pub(super) struct Column {
    pub(super) number: i16,
    pub(super) name: String,
    pub(super) type_name: String,
    /// Where it is not its type's own.
    pub(super) collation: Option<String>,
    /// `p`, `e`, `x` or `m`, where it is not its type's own.
    pub(super) storage: Option<String>,
    /// `p`, `l` or nothing.
    pub(super) compression: String,
    pub(super) statistics: Option<i32>,
    pub(super) options: Vec<String>,
    acl: Option<String>,
}

/// The relations of this `relkind` that are dumped, and further columns of `pg_class` (called `c`) for each.
pub(super) async fn relations(reader: &Reader<'_>, kind: &str, further: &str) -> Result<Vec<(Relation, Row)>> {
    let mut columns = columns(reader, kind).await?;
    let sql = format!(
        "SELECT c.oid, c.relnamespace, c.relname::text, c.relowner, c.reloptions, c.relacl::text, c.reltype, t.typarray, r.oid, \
         pg_catalog.pg_get_viewdef(c.oid){further} FROM pg_catalog.pg_class c \
         LEFT JOIN pg_catalog.pg_type t ON t.oid = c.reltype \
         JOIN pg_catalog.pg_rewrite r ON r.ev_class = c.oid AND r.rulename = '_RETURN' \
         WHERE c.relkind = '{kind}' AND c.oid >= 16384"
    );
    let mut relations = Vec::new();
    for row in reader.rows_of(class::PG_CLASS, kind.as_bytes(), "views", &sql).await? {
        let (oid, schema): (u32, u32) = (row.get(0), row.get(1));
        if !reader.is_dumped_schema(schema) || reader.is_member(class::PG_CLASS, oid) {
            continue;
        }
        let query = row.get::<_, Option<String>>(9);
        let query = query.ok_or_else(|| dropped(&format!("view {}", ident(row.get(2)))))?;
        let made = |class: u32, oid: Option<u32>| Address { class, oid: oid.unwrap_or_default() };
        let relation = Relation {
            oid,
            schema: reader.schema(schema)?.to_owned(),
            name: row.get(2),
            owner: row.get(3),
            options: row.get::<_, Option<_>>(4).unwrap_or_default(),
            query: query.trim_end().trim_end_matches(';').to_owned(),
            columns: columns.remove(&oid).unwrap_or_default(),
            acl: row.get(5),
            made_along: [
                made(class::PG_TYPE, row.get(6)),
                made(class::PG_TYPE, row.get(7)),
                made(class::PG_REWRITE, row.get(8)),
            ],
        };
        relations.push((relation, row));
    }
    Ok(relations)
}

/// How many columns a row of [`relations`] has before the further ones.
pub(super) const NEXT: usize = 10;

async fn columns(reader: &Reader<'_>, kind: &str) -> Result<HashMap<u32, Vec<Column>>> {
    let compression = if reader.version.at_least(14) { "a.attcompression::text" } else { "''" };
    // Before 17 -1 stood for none.
    let sql = format!(
        "SELECT a.attrelid, a.attnum, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), \
         CASE WHEN a.attcollation <> t.typcollation THEN (SELECT pg_catalog.format('%I.%I', n.nspname, l.collname) \
         FROM pg_catalog.pg_collation l JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace WHERE l.oid = a.attcollation) END, \
         CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage::text END, {compression}, \
         NULLIF(a.attstattarget, -1)::integer, {COLUMN_OPTIONS}, a.attacl::text FROM pg_catalog.pg_attribute a \
         JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
         WHERE c.relkind = '{kind}' AND c.oid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum"
    );
    let mut columns: HashMap<u32, Vec<Column>> = HashMap::new();
    for row in reader.rows_of(class::PG_CLASS, kind.as_bytes(), "columns of views", &sql).await? {
        columns.entry(row.get(0)).or_default().push(Column {
            number: row.get(1),
            name: row.get(2),
            type_name: row.get(3),
            collation: row.get(4),
            storage: row.get(5),
            compression: row.get(6),
            statistics: row.get(7),
            options: row.get(8),
            acl: row.get(9),
        });
    }
    Ok(columns)
}

impl Relation {
    /// `schema.name`.
    pub(super) fn qualified(&self) -> String {
        qualified(&self.schema, &self.name)
    }

    /// OID of its rule.
    pub(super) fn rule(&self) -> u32 {
        self.made_along[2].oid
    }

    /// Comments and labels on it and its columns; `keyword` is `VIEW` or `MATERIALIZED VIEW`.
    pub(super) fn comments_sql(&self, reader: &Reader<'_>, keyword: &str) -> String {
        let at = self.qualified();
        let mut sql = reader.comment_sql(&format!("{keyword} {at}"), class::PG_CLASS, self.oid, 0);
        for column in &self.columns {
            let what = format!("COLUMN {at}.{}", ident(&column.name));
            sql.push_str(&reader.comment_sql(&what, class::PG_CLASS, self.oid, column.number.into()));
        }
        sql
    }

    /// Its privileges and those of its columns.
    pub(super) fn acl_sql(&self, reader: &Reader<'_>) -> Result<String> {
        let what = format!("TABLE {}", self.qualified());
        let (class, oid, owner) = (class::PG_CLASS, self.oid, self.owner);
        let mut sql = acl::acl_sql(reader, acl::Kind::Table, &what, None, class, oid, 0, owner, self.acl.as_deref())?;
        for column in &self.columns {
            let (name, number, acl) = (Some(column.name.as_str()), column.number.into(), column.acl.as_deref());
            sql.push_str(&acl::acl_sql(reader, acl::Kind::Column, &what, name, class, oid, number, owner, acl)?);
        }
        Ok(sql)
    }

    /// Says that it stands for what is made along with it.
    pub(super) fn stand_for(&self, reader: &mut Reader<'_>, id: Id) {
        for address in self.made_along.into_iter().filter(|address| address.oid != 0) {
            reader.stands_for(address, id);
        }
    }
}
