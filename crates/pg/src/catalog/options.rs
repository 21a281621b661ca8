//! Storage parameters, options of foreign things, and tablespaces, as the clauses that set them.

use backup_core::{Error, Result};

use crate::quote::{ident, literal};

/// `fillfactor='70', toast.autovacuum_enabled='false'`: what stands between the parentheses of `WITH` or `SET`.
pub(super) fn parameters<'a>(options: impl IntoIterator<Item = &'a String>, prefix: &str) -> String {
    let one = |option: &'a String| match option.split_once('=') {
        Some((name, value)) => format!("{prefix}{}={}", ident(name), literal(value)),
        None => format!("{prefix}{}", ident(option)),
    };
    options.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The options of a column of `a`, a row of `pg_attribute`, as text[]: without `pg_attver`.
///
/// PostgreSQL 15.20 keeps a number of its own there for each column. It is another one in each server, and its `pg_dump` leaves it out.
pub(super) const COLUMN_OPTIONS: &str = "ARRAY(SELECT o.option FROM pg_catalog.unnest(a.attoptions) WITH ORDINALITY o (option, nth) \
     WHERE NOT pg_catalog.starts_with(o.option, 'pg_attver=') ORDER BY o.nth)";

/// The expression for what stands between the parentheses of `OPTIONS`, of a column that holds such options; null if none.
pub(super) fn server_options(column: &str) -> String {
    format!(
        "(SELECT pg_catalog.string_agg(pg_catalog.quote_ident(option_name) || ' ' || pg_catalog.quote_literal(option_value), ', ') \
         FROM pg_catalog.pg_options_to_table({column}))"
    )
}

/// `definition` with `clause` before its end, which is `predicate` (with its `WHERE`) and then `tail`.
///
/// The server deparses an index without its tablespace, which has its place before the predicate.
pub(super) fn before_end(definition: &str, predicate: &str, tail: &str, clause: &str) -> Result<String> {
    if clause.is_empty() {
        return Ok(definition.to_owned());
    }
    let start = definition.strip_suffix(tail).and_then(|rest| rest.strip_suffix(predicate));
    let start =
        start.ok_or_else(|| Error::failed(format!("the server's definition does not end as it should: {definition}")))?;
    Ok(format!("{start} {clause}{predicate}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_quoted() {
        let options = ["fillfactor=70", "Odd name=it's=5"].map(str::to_owned);
        assert_eq!(parameters(&options, ""), "fillfactor='70', \"Odd name\"='it''s=5'");
        assert_eq!(parameters(&options[..1], "toast."), "toast.fillfactor='70'");
    }

    #[test]
    fn a_tablespace_stands_before_the_predicate() {
        let definition = "CREATE INDEX i ON s.t USING btree (a) WHERE (a > 0)";
        let with = before_end(definition, " WHERE (a > 0)", "", "TABLESPACE x").expect("it ends so");
        assert_eq!(with, "CREATE INDEX i ON s.t USING btree (a) TABLESPACE x WHERE (a > 0)");
        assert!(before_end(definition, " WHERE (a > 1)", "", "TABLESPACE x").is_err());
    }
}
