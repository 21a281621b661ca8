//! `CHECK`s and named `NOT NULL`s: which stand in `CREATE TABLE`, and which are added once the rows are there.

use super::inherit::{Form, Tables};
use super::rows::{Constraint, Table};
use crate::catalog::Reader;
use crate::object::{Id, Kind, Object, class};
use crate::quote::ident;

/// The constraints that stand in `CREATE TABLE` in this form.
pub(super) fn inline<'a>(table: &'a Table, form: Form, tables: &'a Tables) -> impl Iterator<Item = &'a Constraint> {
    let inline = table.constraints.iter().filter(move |constraint| is_inline(table, constraint, tables));
    inline.filter(move |constraint| constraint.is_local || form == Form::Apart)
}

/// Whether a constraint exists as soon as its table does.
///
/// One that is not valid would turn away rows that are there. One that calls functions may read tables that have no rows
/// yet. But whatever a parent has from the beginning its child must have before it can be attached.
pub(super) fn is_inline(table: &Table, constraint: &Constraint, tables: &Tables) -> bool {
    let own = (constraint.is_valid || !constraint.is_enforced) && !constraint.calls;
    if !constraint.is_inherited {
        return own;
    }
    let from_parent = above(table, constraint, tables).any(|(parent, above)| is_inline(parent, above, tables));
    from_parent || (own && constraint.is_local)
}

/// The constraints of parents that this one is inherited from.
fn above<'a>(
    table: &'a Table,
    constraint: &'a Constraint,
    tables: &'a Tables,
) -> impl Iterator<Item = (&'a Table, &'a Constraint)> {
    let name = constraint.not_null.and_then(|number| table.columns.iter().find(|column| column.number == number));
    let name = name.map(|column| column.name.as_str());
    table.parents.iter().filter_map(|parent| tables.get(parent)).filter_map(move |parent| {
        let found = match name {
            Some(name) => parent.not_null(parent.column(name)?.number),
            None => parent.constraints.iter().find(|one| one.not_null.is_none() && one.name == constraint.name),
        };
        found.filter(|found| !found.no_inherit).map(|found| (parent, found))
    })
}

/// Comment and labels of a constraint.
pub(super) fn comment(reader: &Reader<'_>, table: &Table, constraint: &Constraint) -> String {
    let what = format!("CONSTRAINT {} ON {}", ident(&constraint.name), table.qualified());
    reader.comment_sql(&what, class::PG_CONSTRAINT, constraint.oid, 0)
}

/// Adds those that are created apart from `table`.
pub(super) fn add(reader: &mut Reader<'_>, table: &Table, tables: &Tables) {
    let at = table.qualified();
    for constraint in table.constraints.iter().filter(|constraint| !is_inline(table, constraint, tables)) {
        let name = ident(&constraint.name);
        let above: Vec<_> = above(table, constraint, tables).collect();
        let mut create = String::new();
        if constraint.is_local || above.is_empty() {
            // Not ONLY: it goes on to the children, where it merges with what they have.
            create.push_str(&format!("ALTER TABLE {at} ADD CONSTRAINT {name} {};\n", constraint.definition));
        } else if constraint.is_valid && above.iter().any(|(_, above)| !above.is_valid) {
            // Not ONLY: the server wants its children validated too.
            create.push_str(&format!("ALTER TABLE {at} VALIDATE CONSTRAINT {name};\n"));
        }
        create.push_str(&comment(reader, table, constraint));
        let label = format!("constraint {name} on {at}");
        let order = [table.schema.as_str(), &table.name, &constraint.name];
        let mut object = Object::new(Kind::Constraint, constraint.oid, label, order, create);
        object.table = Some(table.oid);
        object.needs.push(Id { kind: Kind::Relation, oid: table.oid });
        object.needs.extend(above.iter().map(|(_, above)| Id { kind: Kind::Constraint, oid: above.oid }));
        if constraint.is_local && !constraint.is_inherited {
            object.drop = Some(format!("ALTER TABLE IF EXISTS {at} DROP CONSTRAINT IF EXISTS {name};\n"));
        }
        reader.add(class::PG_CONSTRAINT, object);
    }
}
