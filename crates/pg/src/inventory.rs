//! What users have made in a database, row by row of its catalogs and by number alone, before anything of it is read.
//!
//! From it comes which readers have something to read, what they must have read in the end, and how many objects there are. It
//! is no reader: what one of them forgets, it does not.

use std::collections::{BTreeMap, HashMap, HashSet};

use backup_core::{Error, Result};
use futures_util::TryStreamExt;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

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

/// A catalog: its OID and name; of its rows `x` the schema, kind, table, and whether they come with another; and which rows.
type Line = (u32, &'static str, [&'static str; 4], &'static str);

/// Where an expression says nothing.
const NO: &str = "0::pg_catalog.oid";
const PLAIN: [&str; 4] = [NO, "' '", NO, "false"];

/// Those of users, by far the most lines.
const USERS: &str = "x.oid >= 16384";

/// The catalogs of objects.
const CATALOGS: &[Line] = &[
    // Indexes are below, and what holds long values belongs to its table.
    (
        class::PG_CLASS,
        "pg_class",
        ["x.relnamespace", "x.relkind", NO, "false"],
        "x.oid >= 16384 AND x.relkind NOT IN ('i', 'I', 't')",
    ),
    // The system's aggregates, where their privileges were changed, are for the reader of aggregates.
    (
        class::PG_PROC,
        "pg_proc",
        ["x.pronamespace", "x.prokind", NO, "false"],
        "(x.oid >= 16384 OR x.prokind = 'a' AND x.proacl IS NOT NULL)",
    ),
    (class::PG_TYPE, "pg_type", ["x.typnamespace", "x.typtype", "x.typarray", "false"], USERS),
    // One that is only named as another's commutator or negator comes with it.
    (class::PG_OPERATOR, "pg_operator", ["x.oprnamespace", "' '", NO, "x.oprcode = 0"], USERS),
    (class::PG_OPCLASS, "pg_opclass", ["x.opcnamespace", "' '", NO, "false"], USERS),
    (class::PG_OPFAMILY, "pg_opfamily", ["x.opfnamespace", "' '", NO, "false"], USERS),
    (class::PG_COLLATION, "pg_collation", ["x.collnamespace", "' '", NO, "false"], USERS),
    (class::PG_CONVERSION, "pg_conversion", ["x.connamespace", "' '", NO, "false"], USERS),
    (class::PG_STATISTIC_EXT, "pg_statistic_ext", ["x.stxnamespace", "' '", NO, "false"], USERS),
    (class::PG_TS_CONFIG, "pg_ts_config", ["x.cfgnamespace", "' '", NO, "false"], USERS),
    (class::PG_TS_DICT, "pg_ts_dict", ["x.dictnamespace", "' '", NO, "false"], USERS),
    (class::PG_TS_PARSER, "pg_ts_parser", ["x.prsnamespace", "' '", NO, "false"], USERS),
    (class::PG_TS_TEMPLATE, "pg_ts_template", ["x.tmplnamespace", "' '", NO, "false"], USERS),
    // Part of a parent's: it comes with that.
    (class::PG_CONSTRAINT, "pg_constraint", ["x.connamespace", "x.contype", "x.conrelid", "x.conparentid <> 0"], USERS),
    (
        class::PG_TRIGGER,
        "pg_trigger",
        [NO, "CASE WHEN x.tgisinternal THEN ' ' ELSE 'u' END", "x.tgrelid", "x.tgisinternal"],
        USERS,
    ),
    (class::PG_REWRITE, "pg_rewrite", [NO, "x.ev_type", "x.ev_class", "false"], USERS),
    (class::PG_POLICY, "pg_policy", [NO, "' '", "x.polrelid", "false"], USERS),
    (class::PG_ATTRDEF, "pg_attrdef", [NO, "' '", "x.adrelid", "false"], USERS),
    (
        class::PG_NAMESPACE,
        "pg_namespace",
        ["x.oid", "CASE WHEN x.nspname ~ '^pg_' OR x.nspname = 'information_schema' THEN 's' ELSE ' ' END", NO, "false"],
        "true",
    ),
    (class::PG_LANGUAGE, "pg_language", PLAIN, "(x.oid >= 16384 OR x.lanacl IS NOT NULL)"),
    (class::PG_CAST, "pg_cast", PLAIN, USERS),
    (class::PG_TRANSFORM, "pg_transform", PLAIN, USERS),
    (class::PG_AM, "pg_am", PLAIN, USERS),
    (class::PG_EXTENSION, "pg_extension", PLAIN, "true"),
    (class::PG_EVENT_TRIGGER, "pg_event_trigger", PLAIN, USERS),
    (class::PG_DEFAULT_ACL, "pg_default_acl", PLAIN, USERS),
    (class::PG_FOREIGN_DATA_WRAPPER, "pg_foreign_data_wrapper", PLAIN, USERS),
    (class::PG_FOREIGN_SERVER, "pg_foreign_server", PLAIN, USERS),
    (class::PG_PUBLICATION, "pg_publication", PLAIN, USERS),
    (class::PG_PUBLICATION_REL, "pg_publication_rel", PLAIN, USERS),
];

/// One that is there since 15.
const SCHEMAS_OF_PUBLICATIONS: Line = (class::PG_PUBLICATION_NAMESPACE, "pg_publication_namespace", PLAIN, USERS);

/// The indexes, as rows of `pg_class`.
const INDEXES_SQL: &str = "SELECT 1259::pg_catalog.oid, x.indexrelid, 0::pg_catalog.oid, \
                       CASE WHEN x.indisvalid THEN 'i' WHEN x.indisready THEN 'n' ELSE '-' END::pg_catalog.\"char\", x.indrelid, false \
                       FROM pg_catalog.pg_index x WHERE x.indexrelid >= 16384";

/// User mappings, whose catalog only superusers may read.
const USER_MAPPINGS: &str = "SELECT 1418::pg_catalog.oid, x.umid, 0::pg_catalog.oid, ' '::pg_catalog.\"char\", 0::pg_catalog.oid, false FROM pg_catalog.pg_user_mappings x";

/// Subscriptions, whose OIDs only superusers may read before 15.
const SUBSCRIPTIONS: &str = "SELECT 6100::pg_catalog.oid, x.oid, 0::pg_catalog.oid, ' '::pg_catalog.\"char\", 0::pg_catalog.oid, false \
                             FROM pg_catalog.pg_subscription x WHERE x.subdbid = \
                             (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())";

const MEMBERS: &str = "SELECT classid, objid, refobjid FROM pg_catalog.pg_depend \
                       WHERE refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND deptype = 'e'";

/// What is in no catalog of objects, large objects and settings of the database; and how many subscriptions there are.
const APART: &str = "SELECT (SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata), \
                     (SELECT pg_catalog.count(*) FROM pg_catalog.pg_db_role_setting c, pg_catalog.unnest(c.setconfig) WHERE c.setdatabase = \
                     (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())), \
                     (SELECT pg_catalog.count(*) FROM pg_catalog.pg_subscription x WHERE x.subdbid = \
                     (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))";

/// What is counted: its name in a manifest, the catalog, and the kinds; none of them are all.
///
/// An extension's own objects do not count, nor does what hangs on its tables: another version of it, as good, can have others.
const COUNTED: &[(&str, u32, &[u8])] = &[
    ("schemas", class::PG_NAMESPACE, b""),
    ("tables", class::PG_CLASS, b"rpf"),
    ("composite types", class::PG_CLASS, b"c"),
    ("views", class::PG_CLASS, b"vm"),
    ("sequences", class::PG_CLASS, b"S"),
    ("indexes", class::PG_CLASS, &[INDEX]),
    ("defaults", class::PG_ATTRDEF, b""),
    // Not those that say NOT NULL: before 18 there are none.
    ("constraints", class::PG_CONSTRAINT, b"cfputx"),
    ("functions", class::PG_PROC, b""),
    ("types", class::PG_TYPE, b"edrm"),
    ("triggers", class::PG_TRIGGER, &[TRIGGER]),
    ("rules", class::PG_REWRITE, b""),
    ("policies", class::PG_POLICY, b""),
    ("extensions", class::PG_EXTENSION, b""),
    ("default privileges", class::PG_DEFAULT_ACL, b""),
    ("operators", class::PG_OPERATOR, b""),
    ("casts", class::PG_CAST, b""),
    ("collations", class::PG_COLLATION, b""),
    ("statistics objects", class::PG_STATISTIC_EXT, b""),
    ("event triggers", class::PG_EVENT_TRIGGER, b""),
    ("foreign-data wrappers", class::PG_FOREIGN_DATA_WRAPPER, b""),
    ("foreign servers", class::PG_FOREIGN_SERVER, b""),
    ("publications", class::PG_PUBLICATION, b""),
    ("tables in publications", class::PG_PUBLICATION_REL, b""),
    ("access methods", class::PG_AM, b""),
    ("conversions", class::PG_CONVERSION, b""),
    ("languages", class::PG_LANGUAGE, b""),
    ("operator classes", class::PG_OPCLASS, b""),
    ("operator families", class::PG_OPFAMILY, b""),
    ("text search configurations", class::PG_TS_CONFIG, b""),
    ("text search dictionaries", class::PG_TS_DICT, b""),
    ("text search parsers", class::PG_TS_PARSER, b""),
    ("text search templates", class::PG_TS_TEMPLATE, b""),
    ("transforms", class::PG_TRANSFORM, b""),
    ("user mappings", class::PG_USER_MAPPING, b""),
    ("subscriptions", class::PG_SUBSCRIPTION, b""),
];

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
        let more = [SCHEMAS_OF_PUBLICATIONS.0, class::PG_USER_MAPPING];
        let is_listed = more.contains(&class) || CATALOGS.iter().any(|(listed, ..)| *listed == class);
        !is_listed || self.kinds.iter().any(|(other, kind)| *other == class && (kinds.is_empty() || kinds.contains(kind)))
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

/// The rows of all catalogs of objects.
fn objects_sql(version: Version) -> String {
    let line = |(class, catalog, [schema, kind, of, along], which): &Line| {
        // Before 11 there were functions and aggregates, and no constraint was part of another.
        let since = |sql: &str| match version.at_least(11) {
            true => sql.to_owned(),
            false => {
                sql.replace("x.prokind", "CASE WHEN x.proisagg THEN 'a' ELSE 'f' END").replace("x.conparentid <> 0", "false")
            }
        };
        let [kind, along, which] = [kind, along, which].map(|sql| since(sql));
        format!(
            "SELECT {class}::pg_catalog.oid, x.oid, {schema}, {kind}::pg_catalog.\"char\", {of}, {along} \
             FROM pg_catalog.{catalog} x WHERE {which}"
        )
    };
    let since = version.at_least(15).then_some(&SCHEMAS_OF_PUBLICATIONS);
    let lines = CATALOGS.iter().chain(since).map(line).chain([INDEXES_SQL.to_owned()]);
    lines.collect::<Vec<_>>().join(" UNION ALL ")
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
