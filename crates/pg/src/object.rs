//! One thing that a dump creates: its SQL, what it needs, and where in the order it stands.

/// Where a catalog row lies: the catalog's OID and the row's, as `pg_depend` has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// OID of the catalog, one of [`class`].
    pub class: u32,
    /// OID of the row.
    pub oid: u32,
}

/// OIDs of the catalogs; they are the same in every version (`src/include/catalog/*.h`).
#[expect(missing_docs, reason = "each is called like its catalog")]
pub mod class {
    pub const PG_TABLESPACE: u32 = 1213;
    pub const PG_TYPE: u32 = 1247;
    pub const PG_PROC: u32 = 1255;
    pub const PG_CLASS: u32 = 1259;
    pub const PG_AUTHID: u32 = 1260;
    pub const PG_DATABASE: u32 = 1262;
    pub const PG_FOREIGN_SERVER: u32 = 1417;
    pub const PG_USER_MAPPING: u32 = 1418;
    pub const PG_FOREIGN_DATA_WRAPPER: u32 = 2328;
    pub const PG_AM: u32 = 2601;
    pub const PG_ATTRDEF: u32 = 2604;
    pub const PG_CAST: u32 = 2605;
    pub const PG_CONSTRAINT: u32 = 2606;
    pub const PG_CONVERSION: u32 = 2607;
    pub const PG_LANGUAGE: u32 = 2612;
    pub const PG_LARGEOBJECT: u32 = 2613;
    pub const PG_NAMESPACE: u32 = 2615;
    pub const PG_OPCLASS: u32 = 2616;
    pub const PG_OPERATOR: u32 = 2617;
    pub const PG_REWRITE: u32 = 2618;
    pub const PG_TRIGGER: u32 = 2620;
    pub const PG_OPFAMILY: u32 = 2753;
    pub const PG_EXTENSION: u32 = 3079;
    pub const PG_DEFAULT_ACL: u32 = 826;
    pub const PG_POLICY: u32 = 3256;
    pub const PG_STATISTIC_EXT: u32 = 3381;
    pub const PG_COLLATION: u32 = 3456;
    pub const PG_EVENT_TRIGGER: u32 = 3466;
    pub const PG_TRANSFORM: u32 = 3576;
    pub const PG_TS_DICT: u32 = 3600;
    pub const PG_TS_PARSER: u32 = 3601;
    pub const PG_TS_CONFIG: u32 = 3602;
    pub const PG_TS_TEMPLATE: u32 = 3764;
    pub const PG_PUBLICATION: u32 = 6104;
    pub const PG_PUBLICATION_REL: u32 = 6106;
    pub const PG_PUBLICATION_NAMESPACE: u32 = 6237;
    pub const PG_SUBSCRIPTION: u32 = 6100;
}

/// The three stretches of a dump. Within one, dependencies and then [`Kind`] decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Definitions that data needs.
    Pre,
    /// Rows, sequence values, large objects. No [`Object`]s: they are read from `TableData` and its like.
    Data,
    /// What is cheaper or only possible once the rows are there.
    Post,
}

/// What an object is; the order of the variants is the order in a dump where no dependency says otherwise
/// (pg_dump's `dbObjectTypePriority`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Schema,
    Language,
    Collation,
    Extension,
    Type,
    Cast,
    Function,
    Aggregate,
    AccessMethod,
    Operator,
    OperatorFamily,
    OperatorClass,
    Conversion,
    TextSearch,
    Transform,
    ForeignDataWrapper,
    ForeignServer,
    UserMapping,
    /// A default of a domain that is set after it, or a check that no table may be there for; other checks of domains that
    /// come after them are [`Constraint`](Kind::Constraint)s.
    DomainConstraint,
    /// Tables, views, materialized views, sequences.
    Relation,
    /// `ATTACH PARTITION`, or `INHERIT` where the order of columns asks for it.
    Attach,
    /// A column default, apart from its table so that no loop can go through it.
    Default,
    // From here on: Section::Post.
    /// Primary keys, unique and exclusion constraints, and checks that call functions or are not valid.
    Constraint,
    Index,
    IndexAttach,
    Statistics,
    Rule,
    Trigger,
    ForeignKey,
    Policy,
    Publication,
    Subscription,
    Acl,
    DefaultAcl,
    Refresh,
    /// Last: one that is there could forbid whatever comes after it.
    EventTrigger,
}

impl Kind {
    /// The section that objects of this kind are in unless a dependency moves them behind.
    pub fn section(self) -> Section {
        if self < Kind::Constraint { Section::Pre } else { Section::Post }
    }
}

/// What identifies an object within a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// What it is.
    pub kind: Kind,
    /// OID of the row that it comes from.
    pub oid: u32,
}

/// One thing that a dump creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What identifies it.
    pub id: Id,
    /// What people call it: `table app.users`. In messages only.
    pub label: String,
    /// What it is sorted by among its kind: schema, name, and arguments or table.
    pub order: [String; 3],
    /// The statements that create it, its owner, comments and security labels included; each ends in `;\n`.
    pub create: String,
    /// A form that can be created before what it needs, and that `create` then completes: a shell type, a view of the
    /// right columns and no rows. Used only where there is a loop, or where a view needs a primary key.
    pub early: Option<String>,
    /// The statements that set its privileges, to be run after everything else. Empty where they are the default.
    pub acl: String,
    /// The statement that drops it, for `--clean`; ends in `;\n`. `None` where it goes with something else.
    pub drop: Option<String>,
    /// What must be there first, beside what `pg_depend` says.
    pub needs: Vec<Id>,
    /// The table that its statements lock, if it is one: objects of different tables can be created at the same time.
    pub table: Option<u32>,
}

impl Object {
    /// An object of `kind` that is created by `create` and has nothing else to it yet.
    pub fn new(kind: Kind, oid: u32, label: impl Into<String>, order: [&str; 3], create: String) -> Self {
        Self {
            id: Id { kind, oid },
            label: label.into(),
            order: order.map(str::to_owned),
            create,
            early: None,
            acl: String::new(),
            drop: None,
            needs: Vec::new(),
            table: None,
        }
    }
}
