//! What users have made in a database, row by row of its catalogs and by number alone, before anything of it is read.
//!
//! From it comes which readers have something to read, what they must have read in the end, and how many objects there are. It
//! is no reader: what one of them forgets, it does not.

mod catalogs;

use std::collections::{BTreeMap, HashMap, HashSet};

use backup_core::{Error, Result};
use futures_util::TryStreamExt;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use self::catalogs::{APART, COUNTED, MEMBERS, SUBSCRIPTIONS, USER_MAPPINGS, is_listed, objects_sql};
use crate::object::{Address, class};
use crate::pg_error::pg_error;
use crate::version::{NATIVE, Version};

/// The first OID that is not initdb's: `FirstNormalObjectId` of `access/transam.h`.
const FIRST: u32 = 16_384;

/// A row of a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    address: Address,
    /// The schema that it is in, or that its table is in; 0 if there is none.
    schema: u32,
    /// As its catalog says it (`relkind`, `prokind`, `typtype`, `contype`, `ev_type`), or one of those below.
    kind: u8,
    /// The table that it belongs to; of a type the type of its arrays.
    of: u32,
    /// Whether it has no definition of its own: it comes with another object.
    along: bool,
}

/// An index that is whole.
const INDEX: u8 = b'i';
/// One that is kept up and not yet whole: of a partitioned table, until each partition has one.
const UNFINISHED: u8 = b'n';
/// One that never became one.
const BROKEN: u8 = b'-';
/// The type of the arrays of another.
const ARRAY: u8 = b'A';
/// A schema of the system, or of temporary objects.
const SYSTEM: u8 = b's';
/// What the reader of indexes reads.
pub(crate) const INDEXES: &[u8] = &[INDEX, UNFINISHED];
/// A trigger that somebody made.
pub(crate) const TRIGGER: u8 = b'u';

/// What users have made in a database.
#[derive(Debug)]
pub(crate) struct Inventory {
    /// Those that are not the system's own.
    found: Vec<Found>,
    kinds: HashSet<(u32, u8)>,
    /// Members of extensions and the OID of the extension.
    pub(crate) members: HashMap<Address, u32>,
    /// How many large objects there are.
    pub(crate) large_objects: u64,
    settings: u64,
}

impl Inventory {
    /// Takes it for the readers of catalogs. Fails where they do not know the server's release: it can have what no catalog here holds.
    pub(crate) async fn to_be_read(client: &Client, version: Version) -> Result<Self> {
        if !version.is_native() {
            let text = format!("the native reader covers PostgreSQL {} to {}, not {version}", NATIVE.start(), NATIVE.end());
            return Err(Error::failed(text).with_hint("take the cluster with the external source: --source pg_dumpall"));
        }
        Self::read(client, version).await
    }

    /// Takes it of the database that `client` is connected to.
    pub(crate) async fn read(client: &Client, version: Version) -> Result<Self> {
        let apart = client.query_typed_one(APART, &[]).await.map_err(|error| pg_error("count the large objects", error))?;
        let number = |at: usize| u64::try_from(apart.get::<_, i64>(at)).unwrap_or_default();
        let mut found = rows(client, &objects_sql(version)).await?;
        if number(2) > 0 {
            found.extend(rows(client, SUBSCRIPTIONS).await?);
        }
        // Without a server there is none, and the view of them costs more than others.
        if found.iter().any(|one| one.address.class == class::PG_FOREIGN_SERVER) {
            found.extend(rows(client, USER_MAPPINGS).await?);
        }
        let mut found = placed(found);
        let kinds = found.iter().map(|one| (one.address.class, one.kind)).collect();
        let of_class = |class: u32| move |one: &&Found| one.address.class == class;
        let schemas = found.iter().filter(of_class(class::PG_NAMESPACE)).filter(|one| one.kind == SYSTEM);
        let system: HashSet<u32> = schemas.map(|one| one.schema).collect();
        found.retain(|one| !system.contains(&one.schema));
        let doing = "list the members of extensions";
        let members = client.query_typed(MEMBERS, &[]).await.map_err(|error| pg_error(doing, error))?;
        let members = members.iter().map(|row| (Address { class: row.get(0), oid: row.get(1) }, row.get(2))).collect();
        Ok(Self { found, kinds, members, large_objects: number(0), settings: number(1) })
    }

    /// Whether a catalog has any row that is not initdb's, or that is and is to be looked at: of one of these kinds, if any is given.
    /// It may have of a catalog that is not in the inventory.
    pub(crate) fn has(&self, class: u32, kinds: &[u8]) -> bool {
        !is_listed(class)
            || self.kinds.iter().any(|(other, kind)| *other == class && (kinds.is_empty() || kinds.contains(kind)))
    }

    /// Where everything lies that has a definition of its own, and is not the system's.
    pub(crate) fn defined(&self) -> impl Iterator<Item = Address> {
        self.found.iter().filter(|one| !one.along && one.address.oid >= FIRST).map(|one| one.address)
    }

    /// How many objects of which kind there are.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        let of_members = |one: &Found| {
            let table = Address { class: class::PG_CLASS, oid: one.of };
            self.members.contains_key(&one.address) || one.address.class != class::PG_TYPE && self.members.contains_key(&table)
        };
        // What initdb makes can be dropped: it counts too.
        let counts =
            |one: &Found| one.address.oid >= FIRST || matches!(one.address.class, class::PG_NAMESPACE | class::PG_EXTENSION);
        let mut numbers: HashMap<(u32, u8), u64> = HashMap::new();
        for one in self.found.iter().filter(|one| counts(one) && !of_members(one)) {
            *numbers.entry((one.address.class, one.kind)).or_default() += 1;
        }
        let number = |(name, class, kinds): &(&str, u32, &[u8])| {
            let counted =
                numbers.iter().filter(|((other, kind), _)| other == class && (kinds.is_empty() || kinds.contains(kind)));
            ((*name).to_owned(), counted.map(|(_, number)| number).sum())
        };
        let apart = [("large objects", self.large_objects), ("settings of the database", self.settings)];
        COUNTED.iter().map(number).chain(apart.map(|(name, number)| (name.to_owned(), number))).collect()
    }
}

/// The rows of one query. They come one by one: there can be millions.
async fn rows(client: &Client, sql: &str) -> Result<Vec<Found>> {
    let failed = |error| pg_error("list the objects of the database", error);
    let rows = client.query_typed_raw(sql, std::iter::empty::<(i32, Type)>()).await.map_err(failed)?;
    let found = rows.map_ok(|row| Found {
        address: Address { class: row.get(0), oid: row.get(1) },
        schema: row.get(2),
        kind: row.get::<_, i8>(3).cast_unsigned(),
        of: row.get(4),
        along: row.get(5),
    });
    found.try_collect().await.map_err(failed)
}

/// The same with the schemas of what belongs to a table, without indexes that are none, and with arrays told from other types.
fn placed(mut found: Vec<Found>) -> Vec<Found> {
    let is_index = |one: &Found| matches!(one.kind, INDEX | UNFINISHED | BROKEN);
    let mut tables: HashMap<u32, (u32, u8)> = HashMap::new();
    let mut arrays: HashSet<u32> = HashSet::new();
    for one in &found {
        match one.address.class {
            class::PG_CLASS if !is_index(one) => _ = tables.insert(one.address.oid, (one.schema, one.kind)),
            class::PG_TYPE => _ = arrays.insert(one.of),
            _ => {}
        }
    }
    // Those of what holds long values have no table here.
    found.retain(|one| {
        let of = tables.get(&one.of);
        one.address.class != class::PG_CLASS
            || !is_index(one)
            || of.is_some_and(|(_, kind)| one.kind == INDEX || one.kind == UNFINISHED && *kind == b'p')
    });
    for one in &mut found {
        if one.address.class == class::PG_TYPE && arrays.contains(&one.address.oid) {
            one.kind = ARRAY;
        } else if one.schema == 0 {
            one.schema = tables.get(&one.of).map_or(0, |(schema, _)| *schema);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(class: u32, oid: u32, schema: u32, kind: u8, of: u32) -> Found {
        Found { address: Address { class, oid }, schema, kind, of, along: false }
    }

    fn inventory(found: Vec<Found>, members: &[(u32, u32)]) -> Inventory {
        let kinds = found.iter().map(|one| (one.address.class, one.kind)).collect();
        let members = members.iter().map(|&(class, oid)| (Address { class, oid }, 1)).collect();
        Inventory { found, kinds, members, large_objects: 0, settings: 0 }
    }

    #[test]
    fn what_belongs_to_a_table_is_where_it_is() {
        let at = |index: u32, kind: u8, table: u32| found(class::PG_CLASS, index, 0, kind, table);
        let placed = placed(vec![
            found(class::PG_CLASS, 20_000, 7, b'r', 0),
            found(class::PG_CLASS, 20_001, 7, b'p', 0),
            found(class::PG_TYPE, 20_002, 7, b'b', 20_003),
            found(class::PG_TYPE, 20_003, 7, b'b', 0),
            found(class::PG_ATTRDEF, 20_004, 0, b' ', 20_000),
            at(20_005, INDEX, 20_000),
            // Never finished, never begun, and of what holds long values.
            at(20_006, UNFINISHED, 20_000),
            at(20_007, BROKEN, 20_001),
            at(20_008, INDEX, 20_099),
            at(20_009, UNFINISHED, 20_001),
        ]);
        let told: Vec<_> = placed.iter().map(|one| (one.address.oid, one.schema, one.kind)).collect();
        let expected = [
            (20_000, 7, b'r'),
            (20_001, 7, b'p'),
            (20_002, 7, b'b'),
            (20_003, 7, ARRAY),
            (20_004, 7, b' '),
            (20_005, 7, INDEX),
            (20_009, 7, UNFINISHED),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn members_of_extensions_and_what_hangs_on_them_do_not_count() {
        let all = vec![
            found(class::PG_CLASS, 20_000, 7, b'r', 0),
            found(class::PG_CLASS, 20_001, 7, b'f', 0),
            found(class::PG_CLASS, 20_002, 7, INDEX, 20_001),
            found(class::PG_CONSTRAINT, 20_003, 7, b'c', 20_001),
            found(class::PG_CONSTRAINT, 20_004, 7, b'f', 20_000),
            found(class::PG_CONSTRAINT, 20_005, 7, b'n', 20_000),
            // Its array has the number of the extension's table.
            found(class::PG_TYPE, 20_006, 7, b'e', 20_001),
            found(class::PG_NAMESPACE, 2200, 2200, b' ', 0),
            found(class::PG_PROC, 2147, 11, b'a', 0),
        ];
        let counts = inventory(all, &[(class::PG_CLASS, 20_001)]).counts();
        let some: Vec<_> =
            counts.iter().filter(|(_, count)| **count > 0).map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(some, [("constraints", 1), ("schemas", 1), ("tables", 1), ("types", 1)]);
    }

    #[test]
    fn what_is_not_in_it_may_be_there() {
        let inventory = inventory(vec![found(class::PG_CLASS, 20_000, 7, b'r', 0)], &[]);
        assert!(inventory.has(class::PG_CLASS, b"") && inventory.has(class::PG_CLASS, b"pr"));
        assert!(!inventory.has(class::PG_CLASS, b"p") && !inventory.has(class::PG_CAST, b""));
        assert!(inventory.has(class::PG_TABLESPACE, b""), "a catalog that it does not list");
    }
}
