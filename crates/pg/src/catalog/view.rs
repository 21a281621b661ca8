//! Views. What they default columns to is read with the defaults of tables.

use backup_core::Result;

use super::Reader;
use super::options::parameters;
use super::relation::{Column, relations};
use crate::object::{Kind, Object, class};
use crate::quote::ident;

/// Reads the views.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    for (view, _) in relations(reader, "v", "").await? {
        let at = view.qualified();
        let options = parameters(&view.options, "");
        let options = if options.is_empty() { String::new() } else { format!(" WITH ({options})") };
        // The same whether its early form is there or not.
        let create = format!("CREATE OR REPLACE VIEW {at}{options} AS\n{};\n", view.query)
            + &reader.owner_sql(&format!("VIEW {at}"), view.owner)?
            + &view.comments_sql(reader, "VIEW");
        let mut object = Object::new(Kind::Relation, view.oid, format!("view {at}"), [&view.schema, &view.name, ""], create);
        object.early = Some(format!("CREATE VIEW {at} AS SELECT{};\n", nulls(&view.columns)));
        object.acl = view.acl_sql(reader)?;
        object.drop = Some(format!("DROP VIEW IF EXISTS {at};\n"));
        object.table = Some(view.oid);
        let id = object.id;
        reader.add(class::PG_CLASS, object);
        view.stand_for(reader, id);
    }
    Ok(())
}

/// Columns of the right names, types and collations.
fn nulls(columns: &[Column]) -> String {
    let null = |column: &Column| {
        let collation = column.collation.as_ref().map_or(String::new(), |name| format!(" COLLATE {name}"));
        format!("\n    NULL::{}{collation} AS {}", column.type_name, ident(&column.name))
    };
    columns.iter().map(null).collect::<Vec<_>>().join(",")
}
