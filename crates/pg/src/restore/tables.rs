//! Which objects a table needs, when only some tables are restored.

use std::collections::{BTreeMap, BTreeSet};

use backup_core::{Error, Kind, Result};

use super::layout::Parts;
use super::load::copy_head;
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
}

impl Wanted {
    /// Tables called `names` (`schema.table`, or a bare name that only one schema has), with partitions and children, and
    /// all that they need: schemas, types, functions, sequences. Their indexes, keys, triggers and policies come along; foreign
    /// keys do if the table that they refer to does.
    pub(crate) fn of(parts: &Parts, names: &[String]) -> Result<Self> {
        let objects: Vec<&ObjectFacts> = parts.all().flat_map(|part| &part.facts.objects).collect();
        let mut wanted: BTreeSet<Id> = BTreeSet::new();
        for name in names {
            wanted.insert(id(find(&objects, name)?));
        }
        let needs: BTreeMap<Id, &[Id]> = objects.iter().map(|object| (id(object), object.needs.as_slice())).collect();
        loop {
            let before = wanted.len();
            for object in &objects {
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
                    // The partitions of a wanted table: the attachment needs both.
                    "Attach" => of_wanted,
                    _ => false,
                };
                if belongs {
                    wanted.insert(id(object));
                }
            }
            let more: Vec<Id> = wanted.iter().filter_map(|id| needs.get(id)).flat_map(|needs| needs.iter().cloned()).collect();
            wanted.extend(more);
            if wanted.len() == before {
                break;
            }
        }
        let relation = |object: &&&ObjectFacts| object.kind == "Relation" && wanted.contains(&id(object));
        let relations = objects.iter().filter(relation).map(|object| (object.schema.clone(), object.name.clone())).collect();
        Ok(Self { objects: wanted, relations })
    }

    /// Whether a part has anything that is wanted.
    pub(crate) fn plays(&self, facts: &PartFacts) -> bool {
        facts.objects.iter().any(|object| self.objects.contains(&id(object)))
            || facts.tables.iter().any(|table| self.relations.contains(&(table.schema.clone(), table.name.clone())))
            || facts.sequences.iter().any(|sequence| self.relations.contains(&(sequence.schema.clone(), sequence.name.clone())))
    }

    /// How the COPYs begin that are wanted of a part.
    pub(crate) fn copies(&self, facts: &PartFacts) -> BTreeSet<String> {
        let wanted = |table: &&crate::facts::TableFacts| self.relations.contains(&(table.schema.clone(), table.name.clone()));
        facts.tables.iter().filter(wanted).map(copy_head).collect()
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
        self.relations.contains(&(schema.to_owned(), name.to_owned()))
    }
}

fn id(object: &ObjectFacts) -> Id {
    (object.kind.clone(), object.oid)
}

fn find<'a>(objects: &[&'a ObjectFacts], name: &str) -> Result<&'a ObjectFacts> {
    let is = |object: &&&ObjectFacts| {
        let full = format!("{}.{}", object.schema, object.name);
        object.kind == "Relation" && (full == name || qualified(&object.schema, &object.name) == name || object.name == name)
    };
    let found: Vec<_> = objects.iter().filter(is).collect();
    let exact = found.iter().find(|object| object.name != name).or(if found.len() == 1 { found.first() } else { None });
    match (exact, found.is_empty()) {
        (Some(object), _) => Ok(object),
        (None, true) => Err(Error::new(Kind::NotFound, format!("the database has no table {name} in this backup"))),
        (None, false) => Err(Error::usage(format!("there are {} tables called {name}", found.len()))
            .with_hint("name the schema too: schema.table")),
    }
}
