//! What all readers of catalogs share: names of roles and schemas, comments, labels, members of extensions.

use std::collections::{HashMap, HashSet};

use backup_core::{Error, Result};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::{Catalog, Row, SequenceData, TableData};
use crate::inventory::Inventory;
use crate::object::{Address, Id, Object, class};
use crate::quote::{ident, literal, qualified};
use crate::version::Version;

/// Collects objects; handed to every reader in turn.
pub(crate) struct Reader<'a> {
    /// Connected to the database, `search_path` empty, within the snapshot's transaction.
    pub(crate) client: &'a Client,
    /// Of the server.
    pub(crate) version: Version,
    /// Whether text comes as it is stored and need not be UTF-8.
    raw: bool,
    /// Roles that the database refers to, by OID, bare names.
    pub(crate) roles: HashMap<u32, String>,
    /// Schemas by OID, bare names.
    pub(crate) schemas: HashMap<u32, String>,
    /// What there is to read.
    pub(crate) inventory: Inventory,
    /// Privileges that initdb or an extension's script gave, by class, OID and column; as text (`aclitem[]`).
    pub(crate) initial: HashMap<(u32, u32, i32), String>,
    /// Tables whose rows are dumped; filled by the readers of tables and extensions.
    pub(crate) tables: Vec<TableData>,
    /// Sequences and their state; filled by the reader of sequences.
    pub(crate) sequences: Vec<SequenceData>,
    /// Whether the server is a standby, which has nothing of unlogged relations.
    standby: bool,
    left_out: Vec<String>,
    comments: HashMap<(u32, u32, i32), String>,
    labels: HashMap<(u32, u32, i32), Vec<(String, String)>>,
    extensions: HashMap<Address, Vec<String>>,
    objects: Vec<Object>,
    owners: HashMap<Address, Id>,
    apart: HashMap<Address, Id>,
}

impl<'a> Reader<'a> {
    /// Reads what is shared.
    pub(crate) async fn new(client: &'a Client, version: Version, inventory: Inventory) -> Result<Self> {
        let sql = "SELECT pg_catalog.current_setting('client_encoding') = 'SQL_ASCII', pg_catalog.pg_is_in_recovery()";
        let server = client.query_one(sql, &[]).await.map_err(|error| crate::pg_error("ask what the server is", error))?;
        let mut reader = Self {
            client,
            version,
            raw: server.get(0),
            standby: server.get(1),
            left_out: Vec::new(),
            roles: HashMap::new(),
            schemas: HashMap::new(),
            inventory,
            initial: HashMap::new(),
            tables: Vec::new(),
            sequences: Vec::new(),
            comments: HashMap::new(),
            labels: HashMap::new(),
            extensions: HashMap::new(),
            objects: Vec::new(),
            owners: HashMap::new(),
            apart: HashMap::new(),
        };
        // Not the others: their names can be of another encoding, which cannot be read from here.
        let sql = "WITH here AS (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
                   SELECT oid, rolname::text FROM pg_catalog.pg_roles WHERE oid < 16384 OR oid IN (SELECT refobjid \
                   FROM pg_catalog.pg_shdepend WHERE refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass \
                   AND dbid = (SELECT oid FROM here) UNION ALL SELECT subowner FROM pg_catalog.pg_subscription \
                   WHERE subdbid = (SELECT oid FROM here))";
        for row in reader.rows("roles", sql, &[]).await? {
            reader.roles.insert(row.get(0), row.get(1));
        }
        for row in reader.rows("schemas", "SELECT oid, nspname::text FROM pg_catalog.pg_namespace", &[]).await? {
            reader.schemas.insert(row.get(0), row.get(1));
        }
        // initdb makes information_schema after it has written down what it gave. There it gives everybody the right to read,
        // and what it gave nobody has no privileges at all.
        let sql = "SELECT classoid, objoid, objsubid, initprivs::text FROM pg_catalog.pg_init_privs \
                   UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, 0, (pg_catalog.acldefault('r', c.relowner) \
                   || pg_catalog.makeaclitem(0, c.relowner, 'SELECT', false))::text FROM pg_catalog.pg_class c \
                   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'information_schema' \
                   WHERE c.oid < 16384 AND c.relkind IN ('r', 'v') AND c.relacl IS NOT NULL AND NOT EXISTS (SELECT \
                   FROM pg_catalog.pg_init_privs WHERE classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND objoid = c.oid) \
                   UNION ALL SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, n.oid, 0, (pg_catalog.acldefault('n', n.nspowner) \
                   || pg_catalog.makeaclitem(0, n.nspowner, 'USAGE', false))::text FROM pg_catalog.pg_namespace n \
                   WHERE n.nspname = 'information_schema' AND n.oid < 16384 AND n.nspacl IS NOT NULL AND NOT EXISTS (SELECT \
                   FROM pg_catalog.pg_init_privs WHERE classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND objoid = n.oid)";
        for row in reader.rows("initial privileges", sql, &[]).await? {
            reader.initial.insert((row.get(0), row.get(1), row.get(2)), row.get(3));
        }
        // Not those of large objects, of which there can be millions.
        let sql = "SELECT classoid, objoid, objsubid, description FROM pg_catalog.pg_description WHERE (objoid >= 16384 \
                   OR classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass) \
                   AND classoid <> 'pg_catalog.pg_largeobject'::pg_catalog.regclass";
        for row in reader.rows("comments", sql, &[]).await? {
            reader.comments.insert((row.get(0), row.get(1), row.get(2)), row.get(3));
        }
        let sql = "SELECT classoid, objoid, objsubid, provider, label FROM pg_catalog.pg_seclabel \
                   WHERE classoid <> 'pg_catalog.pg_largeobject'::pg_catalog.regclass \
                   UNION ALL SELECT classoid, objoid, 0, provider, label FROM pg_catalog.pg_shseclabel \
                   WHERE classoid = 'pg_catalog.pg_subscription'::pg_catalog.regclass ORDER BY provider";
        for row in reader.rows("security labels", sql, &[]).await? {
            let at = (row.get(0), row.get(1), row.get(2));
            reader.labels.entry(at).or_default().push((row.get(3), row.get(4)));
        }
        let sql = "SELECT d.classid, d.objid, e.extname::text FROM pg_catalog.pg_depend d \
                   JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid WHERE d.deptype = 'x' \
                   AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass ORDER BY e.extname COLLATE \"C\"";
        for row in reader.rows("dependencies on extensions", sql, &[]).await? {
            let at = Address { class: row.get(0), oid: row.get(1) };
            reader.extensions.entry(at).or_default().push(row.get(2));
        }
        Ok(reader)
    }

    /// The rows of `sql`; `what` completes "failed to read the … of the database".
    pub(crate) async fn rows(&self, what: &str, sql: &str, arguments: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        // Without arguments there is nothing to ask the server about first, which is a round trip.
        let rows = match arguments {
            [] => self.client.query_typed(sql, &[]).await,
            _ => self.client.query(sql, arguments).await,
        };
        let rows = rows.map_err(|error| crate::pg_error(format!("read the {what} of the database"), error))?;
        Ok(rows.into_iter().map(|row| Row::new(row, self.raw)).collect())
    }

    /// The rows of a query that is about rows of the catalog `class` of these `kinds`, of any if there are none. Where the inventory has
    /// no such row the server is not asked: most databases use few of the object types that there are.
    pub(crate) async fn rows_of(&self, class: u32, kinds: &[u8], what: &str, sql: &str) -> Result<Vec<Row>> {
        if self.inventory.has(class, kinds) { self.rows(what, sql, &[]).await } else { Ok(Vec::new()) }
    }

    /// Adds an object. It is what its own row's address stands for.
    pub(crate) fn add(&mut self, class: u32, object: Object) {
        self.owners.insert(Address { class, oid: object.id.oid }, object.id);
        self.objects.push(object);
    }

    /// Adds an object that has no row of its own (an attachment, a refresh): only `needs` lead to it.
    pub(crate) fn add_derived(&mut self, object: Object) {
        self.objects.push(object);
    }

    /// Says that `address` is created by `id` too: a row type by its table, an index by its constraint.
    pub(crate) fn stands_for(&mut self, address: Address, id: Id) {
        self.owners.insert(address, id);
    }

    /// Says that what `address` calls or reads is needed by `id` alone: the default of a domain, whose dependencies are
    /// recorded under the domain.
    pub(crate) fn needs_apart(&mut self, address: Address, id: Id) {
        self.apart.insert(address, id);
    }

    /// Whether `address` belongs to an extension, which creates it.
    pub(crate) fn is_member(&self, class: u32, oid: u32) -> bool {
        self.inventory.members.contains_key(&Address { class, oid })
    }

    /// Whether objects in the schema are dumped: all but the system's own.
    pub(crate) fn is_dumped_schema(&self, schema: u32) -> bool {
        self.schemas.get(&schema).is_some_and(|name| !name.starts_with("pg_") && name != "information_schema")
    }

    /// Whether what a relation holds can be read here; notes it if not. `persistence` is that of `pg_class`.
    pub(crate) fn can_read(&mut self, persistence: &str, schema: &str, name: &str) -> bool {
        let can = !(self.standby && persistence == "u");
        if !can {
            self.left_out.push(qualified(schema, name));
        }
        can
    }

    /// Whether something that was added creates the row at `address`.
    pub(crate) fn knows(&self, address: Address) -> bool {
        self.owners.contains_key(&address)
    }

    /// The bare name of a schema.
    pub(crate) fn schema(&self, oid: u32) -> Result<&str> {
        let missing = || Error::failed(format!("failed to find the schema with OID {oid}: it was dropped meanwhile"));
        self.schemas.get(&oid).map(String::as_str).ok_or_else(missing)
    }

    /// The bare name of a role.
    pub(crate) fn role(&self, oid: u32) -> Result<&str> {
        let missing =
            || Error::failed(format!("the role with OID {oid} owns something and does not exist, or its name is no text here"));
        self.roles.get(&oid).map(String::as_str).ok_or_else(|| missing().with_hint("give what it owns to another role"))
    }

    /// `ALTER what OWNER TO role;\n`, `what` being keyword and name: `TABLE app.users`.
    pub(crate) fn owner_sql(&self, what: &str, owner: u32) -> Result<String> {
        Ok(format!("ALTER {what} OWNER TO {};\n", ident(self.role(owner)?)))
    }

    /// `COMMENT ON what IS '…';\n` and `SECURITY LABEL …;\n`, as far as there are any; `column` is 0 for the whole.
    pub(crate) fn comment_sql(&self, what: &str, class: u32, oid: u32, column: i32) -> String {
        let at = (class, oid, column);
        let comment = self.comments.get(&at).map(|text| format!("COMMENT ON {what} IS {};\n", literal(text)));
        let labels = self.labels.get(&at).into_iter().flatten();
        let labels = labels.map(|(by, label)| format!("SECURITY LABEL FOR {} ON {what} IS {};\n", ident(by), literal(label)));
        comment.into_iter().chain(labels).collect()
    }

    /// `ALTER what DEPENDS ON EXTENSION …;\n` for each that it is to be dropped with, without being its member: functions,
    /// triggers, indexes and materialized views can.
    pub(crate) fn extension_sql(&self, what: &str, class: u32, oid: u32) -> String {
        let extensions = self.extensions.get(&Address { class, oid }).into_iter().flatten();
        extensions.map(|extension| format!("ALTER {what} DEPENDS ON EXTENSION {};\n", ident(extension))).collect()
    }

    /// The comment on a row or column, as it is.
    pub(crate) fn comment(&self, class: u32, oid: u32, column: i32) -> Option<&str> {
        self.comments.get(&(class, oid, column)).map(String::as_str)
    }

    /// Resolves the dependencies among what was added.
    pub(crate) async fn finish(self) -> Result<Catalog> {
        let sql = "SELECT classid, objid, refclassid, refobjid FROM pg_catalog.pg_depend \
                   WHERE deptype NOT IN ('p', 'e') AND objid >= 16384 AND refobjid >= 16384";
        let mut edges = HashSet::new();
        for row in self.rows("dependencies", sql, &[]).await? {
            let (from, to) = (Address { class: row.get(0), oid: row.get(1) }, Address { class: row.get(2), oid: row.get(3) });
            let apart = self.apart.get(&from).copied().filter(|_| !matches!(to.class, class::PG_TYPE | class::PG_NAMESPACE));
            if let (Some(from), Some(to)) = (apart.or_else(|| self.resolve(from)), self.resolve(to))
                && from != to
            {
                edges.insert((from, to));
            }
        }
        let mut edges: Vec<_> = edges.into_iter().collect();
        edges.sort_unstable();
        let Self { objects, tables, sequences, left_out, .. } = self;
        Ok(Catalog { objects, edges, tables, sequences, left_out })
    }

    /// What creates the row at `address`: its object, or the extension that it is a member of.
    fn resolve(&self, address: Address) -> Option<Id> {
        self.owners.get(&address).copied().or_else(|| {
            let extension = *self.inventory.members.get(&address)?;
            self.owners.get(&Address { class: class::PG_EXTENSION, oid: extension }).copied()
        })
    }
}
