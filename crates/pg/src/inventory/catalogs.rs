//! Which catalogs are looked through for what users have made, and what is counted of them.

use super::{INDEX, TRIGGER};
use crate::object::class;
use crate::version::Version;

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
pub(super) const USER_MAPPINGS: &str = "SELECT 1418::pg_catalog.oid, x.umid, 0::pg_catalog.oid, ' '::pg_catalog.\"char\", 0::pg_catalog.oid, false FROM pg_catalog.pg_user_mappings x";

/// Subscriptions, whose OIDs only superusers may read before 15.
pub(super) const SUBSCRIPTIONS: &str = "SELECT 6100::pg_catalog.oid, x.oid, 0::pg_catalog.oid, ' '::pg_catalog.\"char\", 0::pg_catalog.oid, false \
                             FROM pg_catalog.pg_subscription x WHERE x.subdbid = \
                             (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())";

pub(super) const MEMBERS: &str = "SELECT classid, objid, refobjid FROM pg_catalog.pg_depend \
                       WHERE refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND deptype = 'e'";

/// What is in no catalog of objects, large objects and settings of the database; and how many subscriptions there are.
pub(super) const APART: &str = "SELECT (SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata), \
                     (SELECT pg_catalog.count(*) FROM pg_catalog.pg_db_role_setting c, pg_catalog.unnest(c.setconfig) WHERE c.setdatabase = \
                     (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())), \
                     (SELECT pg_catalog.count(*) FROM pg_catalog.pg_subscription x WHERE x.subdbid = \
                     (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))";

/// What is counted: its name in a manifest, the catalog, and the kinds; none of them are all.
///
/// An extension's own objects do not count, nor does what hangs on its tables: another version of it, as good, can have others.
pub(super) const COUNTED: &[(&str, u32, &[u8])] = &[
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

/// The rows of all catalogs of objects.
pub(super) fn objects_sql(version: Version) -> String {
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

/// Whether rows of this catalog are looked for at all.
pub(super) fn is_listed(class: u32) -> bool {
    let more = [SCHEMAS_OF_PUBLICATIONS.0, class::PG_USER_MAPPING];
    more.contains(&class) || CATALOGS.iter().any(|(listed, ..)| *listed == class)
}
