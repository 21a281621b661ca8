//! Privileges: the statements that lead from those an object has by default to those it has.

use backup_core::Result;

use crate::catalog::Reader;

/// What privileges are on, as `acldefault()` tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Table,
    Column,
    Sequence,
    Database,
    Function,
    Language,
    LargeObject,
    Schema,
    Tablespace,
    Type,
    ForeignDataWrapper,
    ForeignServer,
    Parameter,
}

/// The `REVOKE`s and `GRANT`s for `what` (keyword and name, `TABLE app.users`), or for its `column`, whose privileges are `acl`.
#[expect(clippy::too_many_arguments, reason = "they are the columns of the catalogs' rows")]
pub(crate) fn acl_sql(
    _reader: &Reader<'_>,
    _kind: Kind,
    _what: &str,
    _column: Option<&str>,
    _class: u32,
    _oid: u32,
    _sub: i32,
    _owner: u32,
    _acl: Option<&str>,
) -> Result<String> {
    Ok(String::new())
}
