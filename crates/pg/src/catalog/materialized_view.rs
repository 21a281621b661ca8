//! Materialized views, created empty; and their first refresh, in the order in which they need each other.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use backup_core::Result;

use super::Reader;
use super::options::parameters;
use super::relation::{Column, NEXT, Relation, relations};
use crate::object::{Id, Kind, Object, class};
use crate::quote::ident;

/// Reads the materialized views.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let further = ", (SELECT a.amname::text FROM pg_catalog.pg_am a WHERE a.oid = c.relam), \
                   (SELECT s.spcname::text FROM pg_catalog.pg_tablespace s WHERE s.oid = c.reltablespace), \
                   (SELECT o.reloptions FROM pg_catalog.pg_class o WHERE o.oid = c.reltoastrelid), \
                   c.relispopulated, c.relreplident::text";
    let mut populated = BTreeMap::new();
    let mut empty = BTreeMap::new();
    for (view, row) in relations(reader, "m", further).await? {
        let (method, tablespace): (Option<&str>, Option<&str>) = (row.get(NEXT), row.get(NEXT + 1));
        let toast: Option<Vec<String>> = row.get(NEXT + 2);
        let (is_populated, identity): (bool, &str) = (row.get(NEXT + 3), row.get(NEXT + 4));
        let at = view.qualified();
        let what = format!("MATERIALIZED VIEW {at}");
        let options = [parameters(&view.options, ""), parameters(toast.iter().flatten(), "toast.")];
        let options = options.into_iter().filter(|options| !options.is_empty()).collect::<Vec<_>>().join(", ");
        let clause = |keyword: &str, value: Option<String>, end: &str| {
            value.filter(|value| !value.is_empty()).map_or(String::new(), |value| format!("\n{keyword} {value}{end}"))
        };
        let create = format!("CREATE {what}")
            + &clause("USING", method.map(ident), "")
            + &clause("WITH (", Some(options), ")")
            + &clause("TABLESPACE", tablespace.map(ident), "")
            + &format!("\nAS\n{}\nWITH NO DATA;\n", view.query)
            + &reader.owner_sql(&what, view.owner)?
            + &view.columns.iter().map(|column| settings(&what, column)).collect::<String>()
            + match identity {
                "f" => format!("ALTER TABLE ONLY {at} REPLICA IDENTITY FULL;\n"),
                "n" => format!("ALTER TABLE ONLY {at} REPLICA IDENTITY NOTHING;\n"),
                _ => String::new(),
            }
            .as_str()
            + &view.comments_sql(reader, "MATERIALIZED VIEW")
            + &reader.extension_sql(&what, class::PG_CLASS, view.oid);
        let label = format!("materialized view {at}");
        let mut object = Object::new(Kind::Relation, view.oid, label, [&view.schema, &view.name, ""], create);
        object.acl = view.acl_sql(reader)?;
        object.drop = Some(format!("DROP MATERIALIZED VIEW IF EXISTS {at};\n"));
        object.table = Some(view.oid);
        let id = object.id;
        reader.add(class::PG_CLASS, object);
        view.stand_for(reader, id);
        if is_populated { &mut populated } else { &mut empty }.insert(view.oid, view);
    }
    let reached = reached(reader).await?;
    for view in populated.values() {
        add_refresh(reader, view, view.oid, "", reached.get(&view.oid));
    }
    // One that is empty by now was filled when others read it: it is filled for them, and emptied again.
    for view in empty.values() {
        let readers = populated.keys().filter(|oid| reached.get(oid).is_some_and(|all| all.contains(&view.oid)));
        let readers: BTreeSet<u32> = readers.copied().collect();
        if !readers.is_empty() {
            add_refresh(reader, view, view.oid, "", reached.get(&view.oid));
            let others = empty.keys().filter(|oid| reached.get(oid).is_some_and(|all| all.contains(&view.oid)));
            let all: BTreeSet<u32> = readers.iter().copied().chain(others.copied()).chain([view.oid]).collect();
            add_refresh(reader, view, view.rule(), " WITH NO DATA", Some(&all));
        }
    }
    Ok(())
}

fn add_refresh(reader: &mut Reader<'_>, view: &Relation, oid: u32, end: &str, after: Option<&BTreeSet<u32>>) {
    let at = view.qualified();
    let sql = format!("REFRESH MATERIALIZED VIEW {at}{end};\n");
    let mut object = Object::new(Kind::Refresh, oid, format!("rows of {at}"), [&view.schema, &view.name, end], sql);
    object.table = Some(view.oid);
    object.needs.push(Id { kind: Kind::Relation, oid: view.oid });
    object.needs.extend(after.into_iter().flatten().map(|oid| Id { kind: Kind::Refresh, oid: *oid }));
    reader.add_derived(object);
}

/// What is set on a column after its view is made.
fn settings(what: &str, column: &Column) -> String {
    let storage = column.storage.as_deref().map(|storage| match storage {
        "p" => "SET STORAGE PLAIN".to_owned(),
        "e" => "SET STORAGE EXTERNAL".to_owned(),
        "m" => "SET STORAGE MAIN".to_owned(),
        _ => "SET STORAGE EXTENDED".to_owned(),
    });
    let compression = match column.compression.as_str() {
        "p" => Some("SET COMPRESSION pglz".to_owned()),
        "l" => Some("SET COMPRESSION lz4".to_owned()),
        _ => None,
    };
    let statistics = column.statistics.map(|target| format!("SET STATISTICS {target}"));
    let options = (!column.options.is_empty()).then(|| format!("SET ({})", parameters(&column.options, "")));
    let name = ident(&column.name);
    let actions = [storage, compression, statistics, options].into_iter().flatten();
    actions.map(|action| format!("ALTER {what} ALTER COLUMN {name} {action};\n")).collect()
}

/// The materialized views that each of them reads, through views too.
async fn reached(reader: &Reader<'_>) -> Result<HashMap<u32, BTreeSet<u32>>> {
    let sql = "SELECT DISTINCT r.ev_class, d.refobjid, c.relkind = 'm', f.relkind = 'm' FROM pg_catalog.pg_rewrite r \
               JOIN pg_catalog.pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm') \
               JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid \
               AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> r.ev_class \
               JOIN pg_catalog.pg_class f ON f.oid = d.refobjid AND f.relkind IN ('v', 'm') WHERE r.rulename = '_RETURN'";
    let mut reads: HashMap<u32, Vec<(u32, bool)>> = HashMap::new();
    let mut materialized = BTreeSet::new();
    for row in reader.rows_of(class::PG_CLASS, b"m", "views that read views", sql).await? {
        reads.entry(row.get(0)).or_default().push((row.get(1), row.get(3)));
        if row.get(2) {
            materialized.insert(row.get::<_, u32>(0));
        }
    }
    let mut reached: HashMap<u32, BTreeSet<u32>> = HashMap::new();
    for view in materialized {
        let (mut seen, mut waiting, mut found) = (HashSet::from([view]), vec![view], BTreeSet::new());
        while let Some(next) = waiting.pop() {
            for (oid, is_materialized) in reads.get(&next).into_iter().flatten() {
                if seen.insert(*oid) {
                    waiting.push(*oid);
                    found.extend(is_materialized.then_some(*oid));
                }
            }
        }
        reached.insert(view, found);
    }
    Ok(reached)
}
