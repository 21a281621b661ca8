//! Triggers, constraint triggers among them; of those that partitions have from their parents only when they fire.

use std::collections::HashMap;

use backup_core::Result;

use super::rule::state;
use super::{Reader, dropped};
use crate::inventory::TRIGGER;
use crate::object::{Address, Id, Kind, Object, class};
use crate::quote::{ident, qualified};

/// A trigger.
struct Trigger {
    oid: u32,
    name: String,
    enabled: String,
    table: u32,
    schema: String,
    table_name: String,
    /// The trigger on the partitioned table that it was made from.
    parent: u32,
    constraint: u32,
    definition: String,
}

/// Reads the triggers.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    // Before 13 the parent of a partition's trigger stood in pg_depend only.
    let parent = if reader.version.at_least(13) {
        "t.tgparentid"
    } else {
        "COALESCE((SELECT d.refobjid FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass \
         AND d.refclassid = d.classid AND d.objid = t.oid AND d.deptype IN ('P', 'I') LIMIT 1), 0)"
    };
    // Triggers of foreign keys belong to a constraint of another kind; until 14 those of partitions were called internal too.
    let sql = format!(
        "SELECT t.oid, t.tgname::text, t.tgenabled::text, c.oid, c.relname::text, c.relnamespace, {parent}, t.tgconstraint, \
         pg_catalog.pg_get_triggerdef(t.oid, false) FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid \
         LEFT JOIN pg_catalog.pg_constraint k ON k.oid = t.tgconstraint \
         WHERE t.oid >= 16384 AND (NOT t.tgisinternal OR {parent} <> 0) AND (k.contype IS NULL OR k.contype = 't')"
    );
    let mut triggers = HashMap::new();
    for row in reader.rows_of(class::PG_TRIGGER, &[TRIGGER], "triggers", &sql).await? {
        let (oid, namespace): (u32, u32) = (row.get(0), row.get(5));
        if !reader.is_dumped_schema(namespace) || reader.is_member(class::PG_TRIGGER, oid) {
            continue;
        }
        let trigger = Trigger {
            oid,
            name: row.get(1),
            enabled: row.get(2),
            table: row.get(3),
            schema: reader.schema(namespace)?.to_owned(),
            table_name: row.get(4),
            parent: row.get(6),
            constraint: row.get(7),
            definition: row.get::<_, Option<_>>(8).ok_or_else(|| dropped(&format!("trigger {}", ident(row.get(1)))))?,
        };
        triggers.insert(oid, trigger);
    }
    for trigger in triggers.values() {
        if trigger.parent == 0 { add(reader, trigger) } else { add_of_partition(reader, trigger, &triggers) }
    }
    Ok(())
}

impl Trigger {
    fn at(&self) -> String {
        qualified(&self.schema, &self.table_name)
    }

    fn object(&self, create: String) -> Object {
        let label = format!("trigger {} on {}", ident(&self.name), self.at());
        let mut object = Object::new(Kind::Trigger, self.oid, label, [&self.schema, &self.table_name, &self.name], create);
        object.table = Some(self.table);
        object
    }
}

fn add(reader: &mut Reader<'_>, trigger: &Trigger) {
    let (at, name) = (trigger.at(), ident(&trigger.name));
    let what = format!("TRIGGER {name} ON {at}");
    let drop = format!("DROP TRIGGER IF EXISTS {name} ON {at};\n");
    // On a member of an extension it may be the extension's own, which nothing tells: it is the same then.
    let mut create = if reader.is_member(class::PG_CLASS, trigger.table) { drop.clone() } else { String::new() };
    create.push_str(&format!("{};\n", trigger.definition));
    if let Some(state) = state(&trigger.enabled) {
        create.push_str(&format!("ALTER TABLE ONLY {at} {state} TRIGGER {name};\n"));
    }
    create.push_str(&reader.comment_sql(&what, class::PG_TRIGGER, trigger.oid, 0));
    create.push_str(&reader.extension_sql(&what, class::PG_TRIGGER, trigger.oid));
    let mut object = trigger.object(create);
    object.drop = Some(drop);
    let id = object.id;
    reader.add(class::PG_TRIGGER, object);
    if trigger.constraint != 0 {
        reader.stands_for(Address { class: class::PG_CONSTRAINT, oid: trigger.constraint }, id);
    }
}

/// A partition's trigger comes with its parent's. When it fires is set from the top down, since some versions hand
/// down what is set above.
fn add_of_partition(reader: &mut Reader<'_>, trigger: &Trigger, triggers: &HashMap<u32, Trigger>) {
    let mut as_usual = trigger.enabled == "O";
    let (mut above, mut steps) = (triggers.get(&trigger.parent), 0);
    while let Some(parent) = above.filter(|_| steps < triggers.len()) {
        as_usual &= parent.enabled == "O";
        above = triggers.get(&parent.parent);
        steps += 1;
    }
    let mut create = String::new();
    if !as_usual {
        let state = state(&trigger.enabled).unwrap_or("ENABLE");
        create = format!("ALTER TABLE ONLY {} {state} TRIGGER {};\n", trigger.at(), ident(&trigger.name));
    }
    create.push_str(&reader.comment_sql(
        &format!("TRIGGER {} ON {}", ident(&trigger.name), trigger.at()),
        class::PG_TRIGGER,
        trigger.oid,
        0,
    ));
    if create.is_empty() {
        return;
    }
    let mut object = trigger.object(create);
    let mut above = triggers.get(&trigger.parent);
    for _ in 0..steps {
        let Some(parent) = above else { break };
        object.needs.push(Id { kind: Kind::Trigger, oid: parent.oid });
        above = triggers.get(&parent.parent);
    }
    reader.add_derived(object);
}
