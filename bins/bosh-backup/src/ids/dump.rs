//! The ids in the dumps of a director's databases: what columns of some tables have.

use backup_bosh::ids::{Ids, Kind};
use backup_core::{Body, Error, Result};
use backup_pg::script::{Item, Scanner};

/// The longest row that is looked at, in bytes.
const LONGEST: usize = 4 << 20;

/// What a column of a row is, where it is an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Is(Kind),
    /// Settings of a machine, in JSON.
    Settings,
    /// The name and the value of an attribute of the director.
    Name,
    Value,
}

/// Adds the ids of a dump, whatever the version of the director: its tables are known by their names.
pub(crate) async fn add_dump(ids: &mut Ids, dump: Body) -> Result<()> {
    let mut scanner = Scanner::new(dump);
    let (mut columns, mut row): (Vec<Option<Column>>, Vec<u8>) = Default::default();
    while let Some(item) = scanner.next().await? {
        match &item {
            Item::Copy(statement) => columns = of_copy(&String::from_utf8_lossy(statement.sql())),
            Item::Data(rows) if columns.iter().any(Option::is_some) => {
                for piece in rows.split_inclusive(|byte| *byte == b'\n') {
                    row.extend_from_slice(piece);
                    if row.len() > LONGEST {
                        return Err(Error::failed(format!("the dump has a row longer than {LONGEST} bytes where ids are"))
                            .with_hint("look into the dump with other means"));
                    }
                    if row.ends_with(b"\n") {
                        row.pop();
                        add_row(ids, &columns, &row)?;
                        row.clear();
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What the columns of `COPY public.vms (id, agent_id, cid) FROM stdin;` are.
fn of_copy(sql: &str) -> Vec<Option<Column>> {
    let unquoted = |name: &str| name.trim().trim_matches('"').to_owned();
    let Some((table, rest)) = sql.trim_start().strip_prefix("COPY ").and_then(|rest| rest.split_once('(')) else {
        return Vec::new();
    };
    let table = unquoted(table.trim().rsplit('.').next().unwrap_or_default());
    let names = rest.split_once(')').map(|(names, _)| names).unwrap_or_default();
    names.split(',').map(|name| of_column(&table, &unquoted(name))).collect()
}

fn of_column(table: &str, name: &str) -> Option<Column> {
    match (table, name) {
        ("director_attributes", "uuid") => Some(Column::Is(Kind::Director)),
        ("director_attributes", "name") => Some(Column::Name),
        ("director_attributes", "value") => Some(Column::Value),
        ("vms", "cid") | ("instances", "vm_cid") | ("registry_instances", "instance_id") => Some(Column::Is(Kind::Machine)),
        ("vms" | "instances", "agent_id") => Some(Column::Is(Kind::Agent)),
        ("persistent_disks" | "orphan_disks", "disk_cid") => Some(Column::Is(Kind::Disk)),
        ("stemcells", "cid") => Some(Column::Is(Kind::Stemcell)),
        ("registry_instances", "settings") => Some(Column::Settings),
        _ => None,
    }
}

fn add_row(ids: &mut Ids, columns: &[Option<Column>], row: &[u8]) -> Result<()> {
    let mut is_uuid = false;
    for (column, field) in columns.iter().zip(row.split(|byte| *byte == b'\t')) {
        let Some(text) = text(field) else { continue };
        match column {
            Some(Column::Is(kind)) => ids.add(*kind, &text, None)?,
            Some(Column::Name) => is_uuid = text == "uuid",
            Some(Column::Value) if is_uuid => ids.add(Kind::Director, &text, None)?,
            Some(Column::Settings) => {
                // What is no JSON there tells nothing.
                if let Ok(settings) = serde_json::from_str(&text) {
                    ids.add_settings(&settings)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A field of a COPY as text; `None` of NULL.
fn text(field: &[u8]) -> Option<String> {
    if field == b"\\N" {
        return None;
    }
    let (mut plain, mut bytes) = (Vec::with_capacity(field.len()), field.iter());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next() {
                Some(b'n') => plain.push(b'\n'),
                Some(b't') => plain.push(b'\t'),
                Some(b'r') => plain.push(b'\r'),
                Some(b'b') => plain.push(8),
                Some(b'f') => plain.push(12),
                Some(b'v') => plain.push(11),
                Some(other) => plain.push(*other),
                None => {}
            },
            other => plain.push(*other),
        }
    }
    Some(String::from_utf8_lossy(&plain).into_owned())
}

#[cfg(test)]
mod tests {
    use backup_core::body;

    use super::*;

    async fn told(dump: &str) -> Result<Vec<String>> {
        let mut ids = Ids::default();
        add_dump(&mut ids, body::from_bytes(dump.to_owned())).await?;
        let one =
            |((kind, id), path): (&(Kind, String), &Option<String>)| format!("{kind} {id} {}", path.as_deref().unwrap_or("-"));
        Ok(ids.0.iter().map(one).collect())
    }

    #[tokio::test]
    async fn tables_of_a_director_tell_its_ids() {
        let dump = "\\connect bosh\nCOPY public.director_attributes (id, name, value) FROM stdin;\n1\tuuid\t8f3c\n2\tother\tx\n\\.\n\
            COPY vms (id, agent_id, cid, credentials) FROM stdin;\n1\tbm-1\tvm-1\t\\N\n2\tbm-2\t\\N\t{}\n\\.\n\
            COPY public.\"persistent_disks\" (id, \"disk_cid\", size) FROM stdin;\n1\tvol-1\t5\n\\.\n\
            COPY public.registry_instances (id, instance_id, settings) FROM stdin;\n\
            1\tvm-1\t{\"agent_id\":\"bm-\\\\u0031\",\"disks\":{\"persistent\":{\"vol-1\":\"/dev/sdf\",\"it\\\\\"s\":{\"path\":\"/dev/sdg\"}}}}\n\
            2\tvm-9\tno json\n\\.\nCOPY public.tasks (id, cid, vm_cid) FROM stdin;\n1\tx\ty\n\\.\n";
        let is = [
            "director 8f3c -",
            "agent bm-1 -",
            "agent bm-2 -",
            "machine vm-1 -",
            "machine vm-9 -",
            "disk it\"s /dev/sdg",
            "disk vol-1 /dev/sdf",
        ];
        assert_eq!(told(dump).await.expect("read"), is);
        let older =
            "COPY director_attributes (uuid) FROM stdin;\n8f3c\n\\.\nCOPY instances (id, vm_cid) FROM stdin;\n1\ti-1\n\\.\n";
        assert_eq!(told(older).await.expect("read"), ["director 8f3c -", "machine i-1 -"]);
    }

    #[tokio::test]
    async fn a_row_that_never_ends_takes_no_memory() {
        let dump = format!("COPY vms (id, cid) FROM stdin;\n{}\n\\.\n", "x".repeat(LONGEST + 1));
        assert!(told(&dump).await.is_err());
    }
}
