//! Event triggers.

use backup_core::Result;

use super::Reader;
use super::rule::state;
use crate::object::{Kind, Object, class};
use crate::quote::{ident, literal};

/// Reads the event triggers.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let sql = "SELECT e.oid, e.evtname::text, e.evtevent::text, e.evtowner, e.evtenabled::text, e.evttags, \
               pg_catalog.format('%I.%I', n.nspname, p.proname) FROM pg_catalog.pg_event_trigger e \
               JOIN pg_catalog.pg_proc p ON p.oid = e.evtfoid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace";
    for row in reader.rows_of(class::PG_EVENT_TRIGGER, b"", "event triggers", sql).await? {
        let (oid, name, event, owner): (u32, &str, &str, u32) = (row.get(0), row.get(1), row.get(2), row.get(3));
        if reader.is_member(class::PG_EVENT_TRIGGER, oid) {
            continue;
        }
        let tags: Option<Vec<String>> = row.get(5);
        let tags = tags.map(|tags| tags.iter().map(|tag| literal(tag)).collect::<Vec<_>>().join(", "));
        let tags = tags.map_or(String::new(), |tags| format!("\n    WHEN TAG IN ({tags})"));
        let (what, function) = (format!("EVENT TRIGGER {}", ident(name)), row.get::<_, &str>(6));
        let mut create = format!("CREATE {what} ON {}{tags}\n    EXECUTE FUNCTION {function}();\n", ident(event));
        if let Some(state) = state(row.get(4)) {
            create.push_str(&format!("ALTER {what} {state};\n"));
        }
        create.push_str(&reader.owner_sql(&what, owner)?);
        create.push_str(&reader.comment_sql(&what, class::PG_EVENT_TRIGGER, oid, 0));
        let mut object = Object::new(Kind::EventTrigger, oid, format!("event trigger {}", ident(name)), ["", name, ""], create);
        object.drop = Some(format!("DROP EVENT TRIGGER IF EXISTS {};\n", ident(name)));
        reader.add(class::PG_EVENT_TRIGGER, object);
    }
    Ok(())
}
