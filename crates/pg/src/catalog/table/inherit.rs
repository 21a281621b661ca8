//! How children come to their parents: `INHERITS`, `ATTACH PARTITION`, or `INHERIT` where the order of columns asks for it.

use std::collections::HashMap;

use super::check;
use super::create::same_expression;
use super::rows::{Column, Table};
use crate::catalog::Reader;
use crate::object::{Id, Kind, Object};
use crate::quote::{ident, literal};

/// All tables by OID.
pub(super) type Tables = HashMap<u32, Table>;

/// In which form `CREATE TABLE` creates a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// With `INHERITS` if it has parents, and only the columns of its own.
    Whole,
    /// With all columns, in their order, and apart from its parents, which it is led to by `INHERIT` or `ATTACH PARTITION`.
    Apart,
}

impl Form {
    /// The parents' columns of this name that a column starts from, in the order of the parents.
    pub(super) fn parents_of<'a>(
        self,
        table: &'a Table,
        name: &'a str,
        tables: &'a Tables,
    ) -> impl Iterator<Item = &'a Column> {
        let parents = if self == Form::Whole { table.parents.as_slice() } else { &[] };
        columns_above(parents, name, tables)
    }

    /// Whether a parent, in whatever form, says that the column of this name is not null.
    pub(super) fn has_not_null_parent(self, table: &Table, name: &str, tables: &Tables) -> bool {
        columns_above(&table.parents, name, tables).any(|parent| parent.not_null)
    }
}

fn columns_above<'a>(parents: &'a [u32], name: &'a str, tables: &'a Tables) -> impl Iterator<Item = &'a Column> {
    parents.iter().filter_map(|parent| tables.get(parent)).filter_map(move |parent| parent.column(name))
}

/// Which form brings back `table` as it is.
pub(super) fn form(table: &Table, tables: &Tables) -> Form {
    let fits = || in_order(table, tables) && table.columns.iter().all(|column| merges(table, column, tables));
    if table.is_partition() || (!table.parents.is_empty() && !fits()) { Form::Apart } else { Form::Whole }
}

/// Whether `INHERITS` gives the columns in their order: those of the parents first, then the table's own.
fn in_order(table: &Table, tables: &Tables) -> bool {
    let mut names: Vec<&str> = Vec::new();
    let above = table.parents.iter().filter_map(|parent| tables.get(parent)).flat_map(|parent| &parent.columns);
    for column in above.chain(table.columns.iter().filter(|column| column.is_local)) {
        if !names.contains(&column.name.as_str()) {
            names.push(&column.name);
        }
    }
    names.iter().copied().eq(table.columns.iter().map(|column| column.name.as_str()))
}

/// Whether `INHERITS` merges the parents' columns of this name without a conflict, into what the column is.
fn merges(table: &Table, column: &Column, tables: &Tables) -> bool {
    let above: Vec<&Column> = columns_above(&table.parents, &column.name, tables).collect();
    let Some(first) = above.first() else { return true };
    let alike = above.iter().all(|parent| parent.storage == first.storage && same_expression(parent, first));
    let compressions = above.iter().map(|parent| &parent.compression).filter(|name| !name.is_empty());
    let alike = alike && compressions.clone().all(|name| compressions.clone().next() == Some(name));
    let expression = column.is_local || same_expression(column, first);
    // A constraint that only is inherited gets its first parent's name.
    let named = table.not_null(column.number).filter(|own| !own.is_local).is_none_or(|own| {
        let above = table.parents.iter().filter_map(|parent| tables.get(parent));
        let mut above = above.filter_map(|parent| parent.not_null(parent.column(&column.name)?.number));
        above.find(|parent| !parent.no_inherit).is_some_and(|parent| parent.name == own.name)
    });
    alike && expression && named
}

/// Adds the statements that lead a table that was created apart to its parents.
pub(super) fn add(reader: &mut Reader<'_>, table: &Table, form: Form, tables: &Tables) {
    let parents: Vec<&Table> = table.parents.iter().filter_map(|parent| tables.get(parent)).collect();
    if form == Form::Whole || parents.is_empty() {
        return;
    }
    let at = table.qualified();
    let create = match &table.bound {
        Some(bound) => parents
            .iter()
            .map(|parent| format!("ALTER TABLE ONLY {} ATTACH PARTITION {at} {bound};\n", parent.qualified()))
            .collect(),
        None => inherit(table, &parents, tables),
    };
    let mut object =
        Object::new(Kind::Attach, table.oid, format!("inheritance of {at}"), [&table.schema, &table.name, ""], create);
    object.table = Some(table.oid);
    object.needs.push(Id { kind: Kind::Relation, oid: table.oid });
    for parent in parents {
        object.needs.push(Id { kind: Kind::Relation, oid: parent.oid });
        // From the top down: an identity goes one step with each attachment.
        object.needs.push(Id { kind: Kind::Attach, oid: parent.oid });
    }
    reader.add_derived(object);
}

/// `INHERIT` for each parent, then what it does not set as it was.
///
/// It leaves columns and constraints marked as the child's own. Only an update of the catalogs takes that mark away (as
/// `pg_dump --binary-upgrade` does), which only a superuser may.
fn inherit(table: &Table, parents: &[&Table], tables: &Tables) -> String {
    let at = table.qualified();
    let mut sql: String =
        parents.iter().map(|parent| format!("ALTER TABLE ONLY {at} INHERIT {};\n", parent.qualified())).collect();
    for column in table.columns.iter().filter(|column| !column.not_null) {
        if Form::Apart.has_not_null_parent(table, &column.name, tables) {
            sql.push_str(&format!("ALTER TABLE ONLY {at} ALTER COLUMN {} DROP NOT NULL;\n", ident(&column.name)));
        }
    }
    let list = |names: Vec<&str>| names.into_iter().map(literal).collect::<Vec<_>>().join(", ");
    let relation = literal(&at);
    let columns: Vec<&str> =
        table.columns.iter().filter(|column| !column.is_local).map(|column| column.name.as_str()).collect();
    if !columns.is_empty() {
        sql.push_str(&format!(
            "UPDATE pg_catalog.pg_attribute SET attislocal = false \
             WHERE attrelid = {relation}::pg_catalog.regclass AND attname IN ({});\n",
            list(columns)
        ));
    }
    let constraints =
        check::inline(table, Form::Apart, tables).filter(|constraint| constraint.is_inherited && !constraint.is_local);
    let constraints: Vec<&str> = constraints.map(|constraint| constraint.name.as_str()).collect();
    if !constraints.is_empty() {
        sql.push_str(&format!(
            "UPDATE pg_catalog.pg_constraint SET conislocal = false \
             WHERE conrelid = {relation}::pg_catalog.regclass AND conname IN ({});\n",
            list(constraints)
        ));
    }
    sql
}
