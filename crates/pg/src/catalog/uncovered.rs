//! Objects of types that have no reader yet: an error that names them, never a quiet omission.

use backup_core::{Error, Result};

use super::Reader;

/// What has no reader: what it is called, the catalog of its rows `x`, the catalog and OID that
/// its membership in an extension is recorded under, and its name. A type that gets a reader loses its line here.
const UNCOVERED: &[(&str, &str, (&str, &str), &str)] = &[
    ("foreign server", "pg_foreign_server x", ("pg_foreign_server", "x.oid"), "x.srvname"),
    ("foreign-data wrapper", "pg_foreign_data_wrapper x", ("pg_foreign_data_wrapper", "x.oid"), "x.fdwname"),
    ("publication", "pg_publication x", ("pg_publication", "x.oid"), "x.pubname"),
    ("user mapping", "pg_user_mappings x", ("pg_user_mapping", "x.umid"), "x.usename::text || ' on ' || x.srvname"),
];

/// Subscriptions are shared among databases, and their OIDs are not for everyone to read.
const SUBSCRIPTIONS: &str = "SELECT 'subscription', x.subname::text FROM pg_catalog.pg_subscription x \
                             JOIN pg_catalog.pg_database d ON d.oid = x.subdbid AND d.datname = pg_catalog.current_database()";

/// How many objects an error names.
const NAMED: usize = 5;

/// Fails if the database holds something that has no reader.
pub(super) async fn check(reader: &Reader<'_>) -> Result<()> {
    let mut queries: Vec<String> = UNCOVERED.iter().map(query).collect();
    queries.push(SUBSCRIPTIONS.to_owned());
    let sql = format!("{} ORDER BY 1, 2", queries.join(" UNION ALL "));
    let rows = reader.rows("objects of other types", &sql, &[]).await?;
    let found: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    refusal(&found).map_or(Ok(()), Err)
}

/// The rows of one line of [`UNCOVERED`]: those that users made, except what the server made along (the cast of a range to its
/// multirange) and what is in the system's schemas anyway.
fn query((what, from, (class, oid), name): &(&str, &str, (&str, &str), &str)) -> String {
    format!(
        "SELECT '{what}', ({name})::text FROM pg_catalog.{from} WHERE {oid} >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
         WHERE d.classid = 'pg_catalog.{class}'::pg_catalog.regclass AND d.objid = {oid} AND (d.deptype = 'e' \
         OR d.deptype = 'i' AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass)) \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.{class}'::pg_catalog.regclass AND d.objid = {oid} \
         AND d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid IN (SELECT n.oid \
         FROM pg_catalog.pg_namespace n WHERE n.nspname ~ '^pg_'))"
    )
}

/// The error that names what was found, if anything was.
fn refusal(found: &[(String, String)]) -> Option<Error> {
    if found.is_empty() {
        return None;
    }
    let named: Vec<String> = found.iter().take(NAMED).map(|(what, name)| format!("{what} {name}")).collect();
    let more = if found.len() > NAMED { format!(" and {} more", found.len() - NAMED) } else { String::new() };
    let text = format!("the database holds what cannot be backed up natively yet: {}{more}", named.join(", "));
    Some(Error::failed(text).with_hint("take it with the external source: --source pg_dump"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_few_are_named_and_the_rest_counted() {
        assert!(refusal(&[]).is_none());
        let found: Vec<_> = (1..=7).map(|number| ("cast".to_owned(), format!("c{number}"))).collect();
        let text = refusal(&found).expect("an error").to_string();
        assert!(text.contains("cast c1, ") && text.contains("cast c5 and 2 more") && !text.contains("c6"), "{text}");
        assert!(refusal(&found[..5]).expect("an error").to_string().ends_with("cast c5"));
    }
}
