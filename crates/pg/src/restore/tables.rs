//! Which objects a table needs, when only some tables are restored.

use std::collections::{BTreeMap, BTreeSet};

use backup_core::{Error, Kind, Result};

use super::layout::Parts;
use crate::facts::{ObjectFacts, PartFacts};
use crate::quote::qualified;

/// What identifies an object in a manifest.
type Id = (String, u32);

/// Some tables and what they need.
#[derive(Debug)]
pub(crate) struct Wanted {
    objects: BTreeSet<Id>,
    /// Schema and name of tables and sequences.
    relations: BTreeSet<(String, String)>,
    /// Those of the tables whose rows are wanted: not those of which only a partition is.
    rows: BTreeSet<(String, String)>,
}

impl Wanted {
    /// Tables called `names` (`schema.table`, or a bare name that only one schema has), with partitions and children, and
    /// all that they need: schemas, types, functions, sequences. Their indexes, keys, triggers and policies come along; foreign
    /// keys do if the table that they refer to does.
    pub(crate) fn of(parts: &Parts, names: &[String]) -> Result<Self> {
        let objects: Vec<&ObjectFacts> = parts.all().flat_map(|part| &part.facts.objects).collect();
        let named = names.iter().map(|name| Ok(id(find(&objects, name)?))).collect::<Result<BTreeSet<Id>>>()?;
        let whole = with_needs(&objects, named, false);
        let wanted = with_needs(&objects, whole.clone(), true);
        let relations = |of: &BTreeSet<Id>| {
            let there = objects.iter().filter(|object| object.kind == "Relation" && of.contains(&id(object)));
            there.map(|object| (object.schema.clone(), object.name.clone())).collect()
        };
        let (rows, relations) = (relations(&whole), relations(&wanted));
        Ok(Self { objects: wanted, relations, rows })
    }

    /// Whether a part has anything that is wanted.
    pub(crate) fn plays(&self, facts: &PartFacts) -> bool {
        facts.objects.iter().any(|object| self.objects.contains(&id(object)))
            || facts.tables.iter().any(|table| self.has(&table.schema, &table.name))
            || facts.sequences.iter().any(|sequence| self.relations.contains(&(sequence.schema.clone(), sequence.name.clone())))
    }

    /// The header of a part of definitions or sequences, and what is wanted of the rest.
    pub(crate) fn cut(&self, facts: &PartFacts, text: &[u8]) -> Result<Vec<u8>> {
        let wrong = || Error::damaged("the manifest does not say where the statements of a part lie");
        if !facts.sequences.is_empty() {
            let text = std::str::from_utf8(text).map_err(|_| wrong())?;
            let begins: Vec<String> = self
                .relations
                .iter()
                .map(|(schema, name)| format!("SELECT pg_catalog.setval({}, ", crate::quote::literal(&qualified(schema, name))))
                .collect();
            let keep = |line: &&str| {
                !line.starts_with("SELECT pg_catalog.setval(") || begins.iter().any(|begin| line.starts_with(begin))
            };
            return Ok(text.split_inclusive('\n').filter(keep).collect::<String>().into_bytes());
        }
        if facts.objects.is_empty() {
            return Ok(Vec::new());
        }
        let length: usize = facts.objects.iter().map(|object| object.length).sum();
        let mut at = text.len().checked_sub(length).ok_or_else(wrong)?;
        let mut kept = text[..at].to_vec();
        for object in &facts.objects {
            let end = at + object.length;
            if self.objects.contains(&id(object)) {
                kept.extend_from_slice(text.get(at..end).ok_or_else(wrong)?);
            }
            at = end;
        }
        Ok(kept)
    }

    /// Whether the rows of this table are wanted.
    pub(crate) fn has(&self, schema: &str, name: &str) -> bool {
        self.rows.contains(&(schema.to_owned(), name.to_owned()))
    }
}

/// `wanted` and all that it needs, its partitions and children, and what hangs on it. With `parents`, what it is a partition of too:
/// rows may have to go through that.
fn with_needs(objects: &[&ObjectFacts], mut wanted: BTreeSet<Id>, parents: bool) -> BTreeSet<Id> {
    let needs: BTreeMap<Id, &[Id]> = objects.iter().map(|object| (id(object), object.needs.as_slice())).collect();
    loop {
        let before = wanted.len();
        for object in objects {
            let of_wanted = object.needs.iter().any(|need| wanted.contains(need));
            let all_there = object
                .needs
                .iter()
                .all(|need| wanted.contains(need) || need.0 == "Function" || need.0 == "Type" || need.0 == "Schema");
            let belongs = match object.kind.as_str() {
                // Of a wanted table; that it needs something wanted, such as a function, says nothing.
                "Default" | "Constraint" | "Index" | "IndexAttach" | "Statistics" | "Rule" | "Trigger" | "Policy" => {
                    object.table.is_some_and(|table| wanted.contains(&("Relation".to_owned(), table)))
                }
                "Acl" => of_wanted && all_there,
                "ForeignKey" => object.needs.iter().filter(|need| need.0 == "Relation").all(|need| wanted.contains(need)),
                // It has the OID of the partition, and needs the parent as well.
                "Attach" => object
                    .needs
                    .iter()
                    .any(|need| need.0 == "Relation" && (parents || need.1 != object.oid) && wanted.contains(need)),
                _ => false,
            };
            if belongs {
                wanted.insert(id(object));
            }
        }
        // A partition is one of its parent by its attachment, which has its OID.
        let is_above = |of: &Id, need: &Id| {
            of.0 == "Relation"
                && needs.get(&("Attach".to_owned(), of.1)).is_some_and(|needs| needs.contains(need) && need.1 != of.1)
        };
        let of_each = wanted.iter().filter_map(|id| Some((id, needs.get(id)?)));
        let more = of_each.flat_map(|(id, needs)| needs.iter().filter(move |need| parents || !is_above(id, need)).cloned());
        let more: Vec<Id> = more.collect();
        wanted.extend(more);
        if wanted.len() == before {
            break;
        }
    }
    wanted
}

fn id(object: &ObjectFacts) -> Id {
    (object.kind.clone(), object.oid)
}

fn find<'a>(objects: &[&'a ObjectFacts], name: &str) -> Result<&'a ObjectFacts> {
    let relations = || objects.iter().filter(|object| object.kind == "Relation").copied();
    let is_full = |object: &&ObjectFacts| {
        qualified(&object.schema, &object.name) == name || format!("{}.{}", object.schema, object.name) == name
    };
    let bare: Vec<_> = relations().filter(|object| object.name == name).collect();
    match (relations().find(is_full), bare.as_slice()) {
        (Some(object), _) => Ok(object),
        (None, [object]) => Ok(object),
        (None, []) => Err(Error::new(Kind::NotFound, format!("the database has no table {name} in this backup"))),
        (None, several) => Err(Error::usage(format!("there are {} tables called {name}", several.len()))
            .with_hint("name the schema too: schema.table")),
    }
}
