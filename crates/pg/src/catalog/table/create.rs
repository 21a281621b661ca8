//! `CREATE TABLE` and `CREATE FOREIGN TABLE`.

use super::check;
use super::inherit::{Form, Tables};
use super::rows::{Column, Table};
use crate::catalog::options::parameters;
use crate::quote::ident;

/// The statement that creates `table` in this form, with the columns and constraints that it has there.
pub(super) fn table(table: &Table, form: Form, tables: &Tables) -> String {
    let kind = match (table.is_foreign(), table.persistence.as_str()) {
        (true, _) => "FOREIGN TABLE",
        (false, "u") => "UNLOGGED TABLE",
        (false, _) => "TABLE",
    };
    let mut sql = format!("CREATE {kind} {}", table.qualified());
    let columns = table.columns.iter().filter_map(|one| column(table, one, form, tables));
    let constraints = check::inline(table, form, tables);
    let constraints = constraints.map(|one| format!("CONSTRAINT {} {}", ident(&one.name), one.definition));
    let long = long_column(table);
    let elements = columns.chain(constraints).chain(long.as_ref().map(|name| format!("{name} text")));
    let elements: Vec<String> = elements.map(|element| format!("\n    {element}")).collect();
    if let Some(of_type) = &table.of_type {
        sql.push_str(&format!(" OF {of_type}"));
    }
    if table.of_type.is_none() || !elements.is_empty() {
        sql.push_str(&format!(" ({}\n)", elements.join(",")));
    }
    if form == Form::Whole && !table.parents.is_empty() {
        let parents = table.parents.iter().filter_map(|parent| tables.get(parent)).map(Table::qualified);
        sql.push_str(&format!("\nINHERITS ({})", parents.collect::<Vec<_>>().join(", ")));
    }
    if let Some(key) = &table.partition_key {
        sql.push_str(&format!("\nPARTITION BY {key}"));
    }
    if let Some(server) = &table.server {
        sql.push_str(&format!("\nSERVER {}", ident(server)));
    }
    if let Some(options) = &table.server_options {
        sql.push_str(&format!("\nOPTIONS ({options})"));
    }
    // Always named: another method can be the default where this is restored.
    if let Some(method) = &table.access_method {
        sql.push_str(&format!("\nUSING {}", ident(method)));
    }
    let options = [parameters(&table.options, ""), parameters(&table.toast_options, "toast.")];
    let options: Vec<_> = options.into_iter().filter(|options| !options.is_empty()).collect();
    if !options.is_empty() {
        sql.push_str(&format!("\nWITH ({})", options.join(", ")));
    }
    if let Some(tablespace) = &table.tablespace {
        sql.push_str(&format!("\nTABLESPACE {}", ident(tablespace)));
    }
    sql.push_str(";\n");
    if let Some(name) = long {
        sql.push_str(&format!("ALTER TABLE ONLY {} DROP COLUMN {name};\n", table.qualified()));
    }
    sql
}

/// A column that is made only to be dropped, where a table has parameters for its long values and no column is left that can
/// have any: without one the server would forget them.
fn long_column(table: &Table) -> Option<String> {
    let has_place = table.of_type.is_some() || table.columns.iter().any(|column| column.is_long);
    if has_place || table.toast_options.is_empty() {
        return None;
    }
    let mut name = "long".to_owned();
    while table.column(&name).is_some() {
        name.push('_');
    }
    Some(ident(&name))
}

/// One column as an element of `CREATE TABLE`; `None` where it comes from a parent or a type and has nothing of its own.
fn column(table: &Table, column: &Column, form: Form, tables: &Tables) -> Option<String> {
    let mut sql = ident(&column.name);
    let bare = if table.of_type.is_some() {
        sql.push_str(" WITH OPTIONS");
        sql.len()
    } else {
        if form == Form::Whole && !column.is_local {
            return None;
        }
        sql.push_str(&format!(" {}", column.type_name));
        if let Some(options) = &column.server_options {
            sql.push_str(&format!(" OPTIONS ({options})"));
        }
        if let Some(collation) = &column.collation {
            sql.push_str(&format!(" COLLATE {collation}"));
        }
        0
    };
    // Before version 16 a child must not repeat the expression that it inherits.
    let inherited = form.parents_of(table, &column.name, tables).any(|parent| same_expression(parent, column));
    if let Some((_, expression)) = column.expression.as_ref().filter(|_| !inherited) {
        let stored = if column.generated == "v" { "VIRTUAL" } else { "STORED" };
        sql.push_str(&format!(" GENERATED ALWAYS AS ({expression}) {stored}"));
    }
    // From version 18 on it is a constraint with a name.
    let must_be = column.not_null || form == Form::Apart && form.has_not_null_parent(table, &column.name, tables);
    if must_be && table.not_null(column.number).is_none() {
        sql.push_str(" NOT NULL");
    }
    (sql.len() > bare).then_some(sql)
}

/// Whether two columns are generated alike.
pub(super) fn same_expression(one: &Column, other: &Column) -> bool {
    let text = |column: &Column| column.expression.as_ref().map(|(_, text)| text.clone());
    one.generated == other.generated && text(one) == text(other)
}
