//! Domains with their constraints and defaults.

use std::collections::HashMap;

use backup_core::Result;

use super::{COLUMNS, Ids, NEXT, Reader, Type, collate_sql};
use crate::catalog::dropped;
use crate::object::{Address, Kind, Object, class};
use crate::quote::ident;

/// Reads the domains.
///
/// A check or default that calls something a user made is an object of its own: what it calls may take the domain. Checks
/// come after the rows then, since they may read tables; but a domain within arrays, ranges or composites that are
/// columns cannot be given another check (`get_rels_with_domain` refuses), so that its checks come before the tables.
pub(super) async fn read(reader: &mut Reader<'_>, ids: &mut Ids) -> Result<()> {
    let mut constraints = read_constraints(reader).await?;
    let sql = format!(
        "SELECT {COLUMNS}, pg_catalog.format_type(t.typbasetype, t.typtypmod), t.typnotnull, \
         COALESCE(pg_catalog.pg_get_expr(t.typdefaultbin, 0), pg_catalog.quote_literal(t.typdefault)), \
         n.nspname::text, l.collname::text, \
         EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass \
         AND d.objid = t.oid AND d.refobjid >= 16384 AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, \
         'pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_class'::pg_catalog.regclass)) \
         FROM pg_catalog.pg_type t JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype \
         LEFT JOIN pg_catalog.pg_collation l ON l.oid = t.typcollation AND t.typcollation <> b.typcollation \
         LEFT JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace WHERE t.oid >= 16384 AND t.typtype = 'd'"
    );
    for row in reader.rows_of(class::PG_TYPE, b"d", "domains", &sql).await? {
        let Some(it) = Type::of(reader, &row)? else { continue };
        let full = it.full();
        let (base, not_null, default): (String, bool, Option<String>) = (row.get(NEXT), row.get(NEXT + 1), row.get(NEXT + 2));
        let mut create = format!("CREATE DOMAIN {full} AS {base}{}", collate_sql(row.get(NEXT + 3), row.get(NEXT + 4)));
        let default_apart: bool = row.get(NEXT + 5);
        if let Some(default) = default.as_ref().filter(|_| !default_apart) {
            create += &format!(" DEFAULT {default}");
        }
        let mut comments = String::new();
        let mut not_null_named = false;
        let mut apart = vec![it.id()];
        for constraint in constraints.remove(&it.oid).unwrap_or_default() {
            not_null_named |= constraint.definition == "NOT NULL";
            let name = ident(&constraint.name);
            let comment =
                reader.comment_sql(&format!("CONSTRAINT {name} ON DOMAIN {full}"), class::PG_CONSTRAINT, constraint.oid, 0);
            if let Some(kind) = constraint.apart() {
                let sql = format!("ALTER DOMAIN {full} ADD CONSTRAINT {name} {};\n{comment}", constraint.definition);
                let label = format!("constraint {} of domain {}.{}", constraint.name, it.schema, it.name);
                let mut object = Object::new(kind, constraint.oid, label, [&it.schema, &constraint.name, &it.name], sql);
                object.needs.push(it.id());
                apart.push(object.id);
                reader.add(class::PG_CONSTRAINT, object);
            } else {
                create += &format!("\n    CONSTRAINT {name} {}", constraint.definition);
                comments += &comment;
                reader.stands_for(Address { class: class::PG_CONSTRAINT, oid: constraint.oid }, it.id());
            }
        }
        if not_null && !not_null_named {
            create += " NOT NULL";
        }
        create += ";\n";
        if let Some(default) = default.filter(|_| default_apart) {
            let sql = format!("ALTER DOMAIN {full} SET DEFAULT {default};\n");
            let label = format!("default of domain {}.{}", it.schema, it.name);
            let mut object = Object::new(Kind::DomainConstraint, it.oid, label, [&it.schema, &it.name, ""], sql);
            // Where a default names the domain itself, no check can be added any more (`get_rels_with_domain` recurses for ever).
            object.needs = apart;
            reader.needs_apart(Address { class: class::PG_TYPE, oid: it.oid }, object.id);
            reader.add_derived(object);
        }
        it.add(reader, ids, "DOMAIN", &create, None, &comments)?;
    }
    Ok(())
}

struct Constraint {
    oid: u32,
    name: String,
    definition: String,
    valid: bool,
    calls: bool,
    contained: bool,
}

impl Constraint {
    /// Of which kind its own object is, unless it goes into `CREATE DOMAIN`.
    fn apart(&self) -> Option<Kind> {
        match self {
            Self { valid: false, .. } => Some(Kind::Constraint),
            Self { calls: true, contained: true, .. } => Some(Kind::DomainConstraint),
            Self { calls: true, .. } => Some(Kind::Constraint),
            _ => None,
        }
    }
}

/// Reads the constraints of domains, by OID of the domain. Since 17 a `NOT NULL` is one of them.
async fn read_constraints(reader: &Reader<'_>) -> Result<HashMap<u32, Vec<Constraint>>> {
    // What holds values of a domain, through arrays, ranges, composites and rows of tables; `direct` through domains alone.
    let sql = "WITH RECURSIVE holds (domain, type, direct) AS ( \
               SELECT c.contypid, c.contypid, true FROM pg_catalog.pg_constraint c WHERE c.contypid >= 16384 UNION \
               SELECT h.domain, n.type, h.direct AND n.direct FROM holds h, LATERAL ( \
               SELECT t.oid AS type, t.typtype = 'd' AS direct FROM pg_catalog.pg_depend d \
               JOIN pg_catalog.pg_type t ON t.oid = d.objid WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass \
               AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid = h.type UNION ALL \
               SELECT r.reltype, false FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class r ON r.oid = d.objid \
               WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND r.reltype <> 0 \
               AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid = h.type) n) \
               SELECT c.contypid, c.oid, c.conname::text, \
               CASE c.contype WHEN 'n' THEN 'NOT NULL' ELSE pg_catalog.pg_get_constraintdef(c.oid) END, c.convalidated, \
               EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass \
               AND d.objid = c.oid AND d.refobjid >= 16384 \
               AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)), \
               EXISTS (SELECT FROM holds h JOIN pg_catalog.pg_depend d ON d.refobjid = h.type \
               AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass \
               JOIN pg_catalog.pg_class r ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND r.oid = d.objid \
               WHERE h.domain = c.contypid AND NOT h.direct AND r.relkind <> 'c') \
               FROM pg_catalog.pg_constraint c WHERE c.contypid >= 16384 AND c.contype IN ('c', 'n') \
               ORDER BY c.contypid, c.conname";
    let mut constraints: HashMap<u32, Vec<Constraint>> = HashMap::new();
    for row in reader.rows_of(class::PG_TYPE, b"d", "constraints of domains", sql).await? {
        constraints.entry(row.get(0)).or_default().push(Constraint {
            oid: row.get(1),
            name: row.get(2),
            definition: row.get::<_, Option<_>>(3).ok_or_else(|| dropped(&format!("constraint {}", ident(row.get(2)))))?,
            valid: row.get(4),
            calls: row.get(5),
            contained: row.get(6),
        });
    }
    Ok(constraints)
}
