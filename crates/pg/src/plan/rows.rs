//! Which tables share a part, which are cut into ranges, and in what order they are loaded.

use std::collections::HashSet;
use std::sync::Arc;

use backup_core::Result;

use super::{Content, Planned, Planner};
use crate::catalog::TableData;
use crate::copy::Slice;
use crate::facts::{PartFacts, Stage};
use crate::quote::qualified;

/// At most this many small tables share a part: each of them costs the server a round trip, whatever its size.
pub(crate) const TABLES: usize = 64;

/// A table's rows have at most this many ranges, so that a cluster stays below 10^5 parts.
const RANGES: u64 = 4096;

impl Planner<'_> {
    /// Small tables together, then big ones in ranges: a part of many tables, which no one helps with, must not be the last.
    pub(super) fn rows(&self, tables: &[TableData]) -> Result<Vec<Planned>> {
        let (mut parts, mut big) = (Vec::new(), Vec::new());
        let linked: HashSet<u32> = tables.iter().filter(|table| !table.after.is_empty()).flat_map(linked).collect();
        let mut in_order: Vec<Slice> = Vec::new();
        let mut pack: Vec<Slice> = Vec::new();
        let (mut packed, mut packs) = (0, 0);
        let mut flush = |pack: &mut Vec<Slice>, packed: &mut u64, parts: &mut Vec<Planned>| {
            if !pack.is_empty() {
                let slices = std::mem::take(pack);
                parts.push(self.slices(&format!("rows {packs:05}"), slices, std::mem::take(packed)));
                packs += 1;
            }
        };
        for table in in_load_order(tables) {
            let size = self.sizes.get(&table.oid).copied();
            let empty = size.is_some_and(|size| size.pages == 0);
            let size = size.unwrap_or_default();
            let qualified = qualified(&table.schema, &table.name);
            let table = Arc::new(table.clone());
            let whole = |table: &Arc<TableData>| Slice { table: Arc::clone(table), range: None, empty };
            if linked.contains(&table.oid) {
                in_order.push(whole(&table));
            } else if size.bytes < self.cut.pack {
                pack.push(whole(&table));
                packed += size.bytes;
                if packed >= self.cut.pack || pack.len() >= TABLES {
                    flush(&mut pack, &mut packed, &mut parts);
                }
            } else if size.bytes <= self.cut.range || !self.cut.ranges || table.condition.is_some() {
                big.push(self.slices(&format!("rows of {qualified}"), vec![whole(&table)], size.bytes));
            } else {
                let ranges = size.bytes.div_ceil(self.cut.range.max(1)).clamp(1, RANGES).min(size.pages.max(1));
                let step = size.pages.div_ceil(ranges).max(1);
                for number in 0..ranges {
                    let from = number * step;
                    // The last one has no end: the table may have grown since.
                    let to = (number + 1 < ranges).then_some(from + step);
                    let number = u32::try_from(number).unwrap_or(u32::MAX);
                    let slice = Slice { table: Arc::clone(&table), range: Some((number, from, to)), empty };
                    let what = format!("rows of {qualified}, range {number}");
                    big.push(self.slices(&what, vec![slice], size.bytes / ranges));
                }
            }
        }
        flush(&mut pack, &mut packed, &mut parts);
        // Parts can be played at the same time: tables that must follow each other share one.
        let bytes = in_order.iter().map(|slice| self.sizes.get(&slice.table.oid).map_or(0, |size| size.bytes)).sum();
        parts.extend((!in_order.is_empty()).then(|| self.slices("rows of linked tables", in_order, bytes)));
        parts.extend(big);
        Ok(parts)
    }

    fn slices(&self, what: &str, slices: Vec<Slice>, bytes: u64) -> Planned {
        let facts = PartFacts::new(Stage::Data, Some(self.database));
        self.part(what, facts, Content::Rows(self.header.to_owned().into(), slices), Some(bytes))
    }
}

/// A table and those that it must follow.
fn linked(table: &TableData) -> impl Iterator<Item = u32> {
    std::iter::once(table.oid).chain(table.after.iter().copied())
}

/// Tables that others must follow come first.
fn in_load_order(tables: &[TableData]) -> Vec<&TableData> {
    let mut left: Vec<&TableData> = tables.iter().collect();
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waiting: HashSet<u32> = left.iter().map(|table| table.oid).collect();
        let blocked = |table: &&TableData| table.after.iter().any(|other| *other != table.oid && waiting.contains(other));
        let (blocked, free): (Vec<_>, Vec<_>) = left.iter().partition(|table| blocked(table));
        if free.is_empty() {
            // A loop of foreign keys: as pg_dump does, in the order that there is.
            ordered.extend(blocked);
            break;
        }
        ordered.extend(free);
        left = blocked;
    }
    ordered
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::plan::{Cut, Size};

    fn table(oid: u32, after: &[u32]) -> TableData {
        TableData {
            oid,
            schema: "s".into(),
            name: format!("t{oid}"),
            columns: vec!["a".into()],
            condition: None,
            load_via: None,
            after: after.to_vec(),
        }
    }

    fn planner(sizes: &HashMap<u32, Size>) -> Planner<'_> {
        Planner {
            database: "d",
            folder: None,
            header: "",
            sizes,
            cut: Cut { range: 1000, pack: 100, ranges: true },
            clean: false,
        }
    }

    #[test]
    fn big_tables_are_cut_without_a_gap_and_small_ones_share() {
        let sizes =
            HashMap::from([(1, Size { pages: 37, bytes: 3700 }), (2, Size { pages: 1, bytes: 10 }), (4, Size::default())]);
        let tables = [table(1, &[]), table(2, &[]), table(3, &[]), table(4, &[])];
        let parts = planner(&sizes).rows(&tables).expect("planned");
        let slices: Vec<Vec<Slice>> = parts
            .into_iter()
            .map(|part| match part.content {
                Content::Rows(_, slices) => slices,
                other => unreachable!("{other:?}"),
            })
            .collect();
        let ranges: Vec<_> = slices[1..].iter().map(|slices| slices[0].range.expect("a range")).collect();
        assert_eq!(ranges, [(0, 0, Some(10)), (1, 10, Some(20)), (2, 20, Some(30)), (3, 30, None)]);
        let empty: Vec<_> = slices[0].iter().map(|slice| (slice.table.oid, slice.empty)).collect();
        assert_eq!(empty, [(2, false), (3, false), (4, true)], "the small ones share a part; an unknown size is not none");
    }

    #[test]
    fn many_small_tables_have_several_parts() {
        let tables: Vec<_> = (1..=200).map(|oid| table(oid, &[])).collect();
        let sizes = HashMap::new();
        assert_eq!(planner(&sizes).rows(&tables).expect("planned").len(), 4);
    }

    #[test]
    fn tables_that_follow_each_other_share_a_part_whatever_their_size() {
        let sizes = HashMap::from([(2, Size { pages: 37, bytes: 3700 })]);
        let parts = planner(&sizes).rows(&[table(1, &[2]), table(2, &[]), table(3, &[])]).expect("planned");
        let Content::Rows(_, slices) = &parts[1].content else { unreachable!("rows") };
        let order: Vec<_> = slices.iter().map(|slice| (slice.table.oid, slice.range)).collect();
        assert_eq!((parts.len(), order), (2, vec![(2, None), (1, None)]));
    }

    #[test]
    fn tables_follow_those_that_they_refer_to() {
        let order: Vec<u32> = in_load_order(&[table(1, &[2]), table(2, &[3]), table(3, &[])]).iter().map(|t| t.oid).collect();
        assert_eq!(order, [3, 2, 1]);
        assert_eq!(in_load_order(&[table(1, &[2]), table(2, &[1])]).len(), 2);
    }
}
