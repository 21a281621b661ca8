//! Which indexes and constraints are built right behind the rows, and which of them together.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Planner;
use crate::graph::Step;
use crate::object::{Id, Kind};

/// At most this many indexes share a part, but for those of one table.
const INDEXES: usize = 500;

impl Planner<'_> {
    /// Indexes by table: each group is built by itself, so that several can be at the same time; big tables alone.
    pub(super) fn grouped<'s>(&self, steps: &[Step<'s>]) -> Vec<Vec<Step<'s>>> {
        let mut tables: BTreeMap<u32, Vec<Step<'s>>> = BTreeMap::new();
        for step in steps {
            tables.entry(step.object.table.unwrap_or_default()).or_default().push(*step);
        }
        let bytes = |table: &u32| self.sizes.get(table).map_or(0, |size| size.bytes);
        let mut tables: Vec<_> = tables.into_iter().collect();
        tables.sort_by_key(|(table, _)| std::cmp::Reverse(bytes(table)));
        let mut groups: Vec<Vec<Step<'s>>> = Vec::new();
        let mut shared = 0;
        for (table, steps) in tables {
            let alone = bytes(&table) >= self.cut.pack && groups.len() < 1000;
            match groups.last_mut() {
                Some(group) if !alone && shared > 0 && shared + steps.len() <= INDEXES => {
                    shared += steps.len();
                    group.extend(steps);
                }
                _ => {
                    shared = if alone { 0 } else { steps.len() };
                    groups.push(steps);
                }
            }
        }
        groups
    }
}

/// Which steps after the rows need nothing but what is before the rows and what else is done to their table: they are taken first.
pub(super) fn split_indexes<'a>(
    post: &[Step<'a>],
    needs: &HashMap<Id, Vec<Id>>,
    pre: &[Step<'a>],
) -> (Vec<Step<'a>>, Vec<Step<'a>>) {
    let mut done: HashSet<Id> = pre.iter().filter(|step| !step.early).map(|step| step.object.id).collect();
    let all: HashSet<Id> = done.iter().copied().chain(post.iter().map(|step| step.object.id)).collect();
    let mut of_table: HashMap<Id, u32> = HashMap::new();
    post.iter().partition(|step| {
        let object = step.object;
        let Some(table) = object.table.filter(|_| matches!(object.id.kind, Kind::Constraint | Kind::Index)) else {
            return false;
        };
        let ready =
            needs.get(&object.id).into_iter().flatten().all(|need| {
                !all.contains(need) || done.contains(need) && of_table.get(need).is_none_or(|other| *other == table)
            });
        if ready {
            done.insert(object.id);
            of_table.insert(object.id, table);
        }
        ready
    })
}
