//! Publications: which changes of which tables and schemas they publish.

use std::collections::HashMap;

use backup_core::Result;

use super::Reader;
use crate::object::{Address, Kind, Object, class};
use crate::quote::{ident, qualified};
use crate::version::Version;

/// Reads the publications.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let mut members = members(reader).await?;
    let [through_root, generated, ..] = since(reader.version);
    let sql = format!(
        "SELECT p.oid, p.pubname::text, p.pubowner, p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, \
         {through_root}, {generated} FROM pg_catalog.pg_publication p WHERE p.oid >= 16384"
    );
    for row in reader.rows_of(class::PG_PUBLICATION, b"", "publications", &sql).await? {
        let (oid, name): (u32, &str) = (row.get(0), row.get(1));
        if reader.is_member(class::PG_PUBLICATION, oid) {
            continue;
        }
        let what = format!("PUBLICATION {}", ident(name));
        let all = if row.get(3) { " FOR ALL TABLES" } else { "" };
        let published = ["insert", "update", "delete", "truncate"].into_iter().enumerate();
        let published: Vec<&str> = published.filter(|(at, _)| row.get(4 + at)).map(|(_, name)| name).collect();
        let mut create = format!("CREATE {what}{all} WITH (publish = '{}'", published.join(", "));
        if row.get(8) {
            create.push_str(", publish_via_partition_root = true");
        }
        if row.get::<_, &str>(9) == "s" {
            create.push_str(", publish_generated_columns = stored");
        }
        create.push_str(");\n");
        let mut stands_for = Vec::new();
        for member in members.remove(&oid).unwrap_or_default() {
            create.push_str(&format!("ALTER {what} ADD {};\n", member.what));
            stands_for.push(member.address);
        }
        create.push_str(&reader.owner_sql(&what, row.get(2))?);
        create.push_str(&reader.comment_sql(&what, class::PG_PUBLICATION, oid, 0));
        let label = format!("publication {}", ident(name));
        let mut object = Object::new(Kind::Publication, oid, label, ["", name, ""], create);
        object.drop = Some(format!("DROP PUBLICATION IF EXISTS {};\n", ident(name)));
        let id = object.id;
        reader.add(class::PG_PUBLICATION, object);
        stands_for.into_iter().for_each(|address| reader.stands_for(address, id));
    }
    Ok(())
}

/// A table or schema in a publication.
struct Member {
    /// Of the row that puts it there.
    address: Address,
    /// `TABLE ONLY app.users (id) WHERE (…)`.
    what: String,
}

/// The expressions that read what not every version has.
fn since(version: Version) -> [&'static str; 4] {
    let through_root = if version.at_least(13) { "p.pubviaroot" } else { "false" };
    let generated = if version.at_least(18) { "p.pubgencols::text" } else { "'n'::text" };
    let (filter, columns) = if version.at_least(15) {
        let columns = "(SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum) \
                       FROM pg_catalog.pg_attribute a WHERE a.attrelid = m.prrelid AND a.attnum = ANY (m.prattrs::int2[]))";
        ("pg_catalog.pg_get_expr(m.prqual, m.prrelid)", columns)
    } else {
        ("NULL::text", "NULL::text")
    };
    [through_root, generated, filter, columns]
}

/// What is in each publication, by its OID.
async fn members(reader: &Reader<'_>) -> Result<HashMap<u32, Vec<Member>>> {
    let mut members: HashMap<u32, Vec<Member>> = HashMap::new();
    let [_, _, filter, columns] = since(reader.version);
    let sql = format!(
        "SELECT m.prpubid, m.oid, n.nspname::text, c.relname::text, {filter}, {columns} FROM pg_catalog.pg_publication_rel m \
         JOIN pg_catalog.pg_class c ON c.oid = m.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\""
    );
    for row in reader.rows_of(class::PG_PUBLICATION_REL, b"", "tables of publications", &sql).await? {
        let mut what = format!("TABLE ONLY {}", qualified(row.get(2), row.get(3)));
        if let Some(columns) = row.get::<_, Option<&str>>(5) {
            what.push_str(&format!(" ({columns})"));
        }
        if let Some(filter) = row.get::<_, Option<&str>>(4) {
            what.push_str(&format!(" WHERE ({filter})"));
        }
        let address = Address { class: class::PG_PUBLICATION_REL, oid: row.get(1) };
        members.entry(row.get(0)).or_default().push(Member { address, what });
    }
    if reader.version.at_least(15) {
        let sql = "SELECT m.pnpubid, m.oid, n.nspname::text FROM pg_catalog.pg_publication_namespace m \
                   JOIN pg_catalog.pg_namespace n ON n.oid = m.pnnspid ORDER BY n.nspname COLLATE \"C\"";
        for row in reader.rows_of(class::PG_PUBLICATION_NAMESPACE, b"", "schemas of publications", sql).await? {
            let what = format!("TABLES IN SCHEMA {}", ident(row.get(2)));
            let address = Address { class: class::PG_PUBLICATION_NAMESPACE, oid: row.get(1) };
            members.entry(row.get(0)).or_default().push(Member { address, what });
        }
    }
    Ok(members)
}
