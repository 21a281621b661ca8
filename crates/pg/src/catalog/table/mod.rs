//! Tables, partitioned tables and foreign tables: definitions, inheritance, checks, and which rows of them are dumped.

mod check;
mod columns;
mod create;
mod inherit;
mod route;
mod rows;

use backup_core::Result;

use self::rows::Table;
use super::{Reader, TableData};
use crate::acl;
use crate::object::{Address, Id, Kind, Object, class};
use crate::quote::ident;

/// Reads tables and what hangs on their columns, but for defaults, identities and other constraints than checks.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let tables = rows::tables(reader).await?;
    let routes = route::through_root(reader, &tables).await?;
    let is_dumped = |table: &&Table| reader.is_dumped_schema(table.namespace) && !reader.is_member(class::PG_CLASS, table.oid);
    let mut dumped: Vec<&Table> = tables.values().filter(is_dumped).collect();
    dumped.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    for table in dumped {
        let form = inherit::form(table, &tables);
        let mut create = create::table(table, form, &tables);
        let keyword = if table.is_foreign() { "FOREIGN TABLE" } else { "TABLE" };
        let (at, what) = (table.qualified(), format!("{keyword} {}", table.qualified()));
        create.push_str(&reader.owner_sql(&what, table.owner)?);
        create.push_str(&columns::settings(table, form, &tables));
        create.push_str(&reader.comment_sql(&what, class::PG_CLASS, table.oid, 0));
        for column in &table.columns {
            let column_at = format!("COLUMN {at}.{}", ident(&column.name));
            create.push_str(&reader.comment_sql(&column_at, class::PG_CLASS, table.oid, column.number.into()));
        }
        for constraint in table.constraints.iter().filter(|constraint| check::is_inline(table, constraint, &tables)) {
            create.push_str(&check::comment(reader, table, constraint));
        }

        let id = Id { kind: Kind::Relation, oid: table.oid };
        let label = format!("{} {at}", keyword.to_lowercase());
        let mut object = Object::new(Kind::Relation, table.oid, label, [&table.schema, &table.name, ""], create);
        object.drop = Some(format!("DROP {keyword} IF EXISTS {at};\n"));
        object.table = Some(table.oid);
        object.acl = privileges(reader, table)?;
        reader.add(class::PG_CLASS, object);
        stand_for(reader, table, id, &tables);
        check::add(reader, table, &tables);
        inherit::add(reader, table, form, &tables);
        if table.kind == "r" && reader.can_read(&table.persistence, &table.schema, &table.name) {
            let mut columns: Vec<_> =
                table.columns.iter().filter(|column| column.generated.is_empty()).map(|c| c.name.clone()).collect();
            let load_via = routes.get(&table.oid).cloned();
            if load_via.is_some() {
                // A row has the same text, and the same digest, whichever partition it comes to lie in.
                columns.sort();
            }
            reader.tables.push(TableData {
                oid: table.oid,
                schema: table.schema.clone(),
                name: table.name.clone(),
                columns,
                condition: None,
                load_via,
                after: Vec::new(),
            });
        }
    }
    Ok(())
}

fn privileges(reader: &Reader<'_>, table: &Table) -> Result<String> {
    let what = format!("TABLE {}", table.qualified());
    let (class, oid, owner) = (class::PG_CLASS, table.oid, table.owner);
    let mut sql = acl::acl_sql(reader, acl::Kind::Table, &what, None, class, oid, 0, owner, table.acl.as_deref())?;
    for column in &table.columns {
        let (name, number, acl) = (Some(column.name.as_str()), column.number.into(), column.acl.as_deref());
        sql.push_str(&acl::acl_sql(reader, acl::Kind::Column, &what, name, class, oid, number, owner, acl)?);
    }
    Ok(sql)
}

/// The types and expressions that `CREATE TABLE` makes.
fn stand_for(reader: &mut Reader<'_>, table: &Table, id: Id, tables: &inherit::Tables) {
    for oid in table.types.into_iter().filter(|oid| *oid != 0) {
        reader.stands_for(Address { class: class::PG_TYPE, oid }, id);
    }
    for (oid, _) in table.columns.iter().filter_map(|column| column.expression.as_ref()) {
        reader.stands_for(Address { class: class::PG_ATTRDEF, oid: *oid }, id);
    }
    for constraint in table.constraints.iter().filter(|constraint| check::is_inline(table, constraint, tables)) {
        reader.stands_for(Address { class: class::PG_CONSTRAINT, oid: constraint.oid }, id);
    }
}
