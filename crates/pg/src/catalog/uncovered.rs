//! Whether every object of the database has been read: an error that names those that have not, never a quiet omission.
//!
//! This needs no list of what is covered: whatever is in the inventory is to be known to a reader. Its catalogs are those of all series
//! that are native; a server of a later one is refused before, since it can have further ones.

use std::collections::HashSet;

use backup_core::{Error, Result};

use super::{NAMED, Reader, Row, few};
use crate::object::{Address, class};

/// Fails if the database holds something that no reader knows.
pub(super) async fn check(reader: &Reader<'_>) -> Result<()> {
    let mut missing: HashSet<Address> =
        reader.inventory.defined().filter(|one| !reader.knows(*one) && !reader.is_member(one.class, one.oid)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    excuse(reader, &mut missing).await?;
    let mut missing: Vec<Address> = missing.into_iter().collect();
    missing.sort_unstable();
    let (classes, oids) = columns(missing.iter().take(NAMED));
    let sql = "SELECT pg_catalog.pg_describe_object(x.class, x.oid, 0) \
               FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), pg_catalog.unnest($2::pg_catalog.oid[])) x (class, oid)";
    let named = reader.rows("names of objects", sql, &[&classes, &oids]).await?;
    let named: Vec<String> = named.iter().filter_map(|row| row.get(0)).collect();
    refusal(&named, missing.len()).map_or(Ok(()), Err)
}

/// Leaves out of `missing` what goes with something: with what is not dumped itself (a member of an extension, a temporary table),
/// or, where it is made along, with whatever makes it (the row type of a table).
async fn excuse(reader: &Reader<'_>, missing: &mut HashSet<Address>) -> Result<()> {
    let (classes, oids) = columns(missing.iter());
    let sql = "SELECT d.classid, d.objid, d.refclassid, d.refobjid, d.deptype IN ('i', 'P', 'S') FROM pg_catalog.pg_depend d \
               JOIN ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), pg_catalog.unnest($2::pg_catalog.oid[])) x (class, oid) \
               ON d.classid = x.class AND d.objid = x.oid WHERE d.deptype IN ('a', 'i', 'P', 'S')";
    let rows = reader.rows("dependencies", sql, &[&classes, &oids]).await?;
    let made_along = [class::PG_TYPE, class::PG_PROC, class::PG_TRIGGER, class::PG_CONSTRAINT];
    loop {
        let before = missing.len();
        for row in &rows {
            let (from, to) = (address(row, 0), address(row, 2));
            let is_dumped = reader.knows(to) || missing.contains(&to);
            if !is_dumped || row.get(4) && made_along.contains(&from.class) {
                missing.remove(&from);
            }
        }
        if missing.len() == before {
            return Ok(());
        }
    }
}

fn address(row: &Row, at: usize) -> Address {
    Address { class: row.get(at), oid: row.get(at + 1) }
}

fn columns<'a>(addresses: impl Iterator<Item = &'a Address>) -> (Vec<u32>, Vec<u32>) {
    addresses.map(|address| (address.class, address.oid)).unzip()
}

/// The error that names what was found, if anything was; `count` is how many there are.
fn refusal(named: &[String], count: usize) -> Option<Error> {
    if count == 0 {
        return None;
    }
    let text = format!("the database holds what cannot be backed up natively: {}", few(named, count));
    Some(Error::failed(text).with_hint("take it with the external source: --source pg_dumpall"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_few_are_named_and_the_rest_counted() {
        assert!(refusal(&[], 0).is_none());
        let named: Vec<_> = (1..=5).map(|number| format!("cast c{number}")).collect();
        let text = refusal(&named, 7).expect("an error").to_string();
        assert!(text.contains("cast c1, ") && text.contains("cast c5 and 2 more"), "{text}");
        assert!(refusal(&named, 5).expect("an error").to_string().ends_with("cast c5"));
    }
}
