//! Subscriptions: made without a connection and not enabled, so that a copy takes no changes from the one that it is a copy of.
//!
//! How far they have come, and which tables are synchronised, belongs to the publisher's slot as much as to them: no dump has it.

use backup_core::{Error, Result};

use super::{Reader, Row};
use crate::object::{Kind, Object, class};
use crate::quote::{ident, literal};
use crate::version::Version;

/// The database's own; they are shared among databases.
const OURS: &str = "FROM pg_catalog.pg_subscription s WHERE s.subdbid = (SELECT d.oid FROM pg_catalog.pg_database d \
                    WHERE d.datname = pg_catalog.current_database())";

/// Reads the subscriptions. Their connections hold passwords: where we may not read them, that is an error.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let sql = format!(
        "SELECT s.subname::text, pg_catalog.has_column_privilege('pg_catalog.pg_subscription', 'subconninfo', 'SELECT') {OURS} ORDER BY 1"
    );
    let named = reader.rows_of(class::PG_SUBSCRIPTION, b"", "subscriptions", &sql).await?;
    if let Some(row) = named.iter().find(|row| !row.get::<_, bool>(1)) {
        let text = format!("may not read the connection of the subscription {}", ident(row.get(0)));
        return Err(Error::failed(text).with_hint("connect as a superuser"));
    }
    if named.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT s.oid, s.subname::text, s.subowner, s.subconninfo, s.subslotname::text, s.subpublications, s.subsynccommit, {} {OURS}",
        since(reader.version).join(", ")
    );
    for row in reader.rows_of(class::PG_SUBSCRIPTION, b"", "subscriptions", &sql).await? {
        let (oid, name): (u32, &str) = (row.get(0), row.get(1));
        let what = format!("SUBSCRIPTION {}", ident(name));
        let publications: Vec<String> = row.get(5);
        let publications: Vec<String> = publications.iter().map(|name| ident(name)).collect();
        // The connection is not in the first line, which is shown where a statement fails.
        let create = format!(
            "CREATE {what}\n    CONNECTION {}\n    PUBLICATION {}\n    WITH ({});\n",
            literal(row.get(3)),
            publications.join(", "),
            options(&row, reader.version)
        ) + &reader.owner_sql(&what, row.get(2))?
            + &reader.comment_sql(&what, class::PG_SUBSCRIPTION, oid, 0);
        let label = format!("subscription {}", ident(name));
        let mut object = Object::new(Kind::Subscription, oid, label, ["", name, ""], create);
        object.drop = Some(format!("DROP SUBSCRIPTION IF EXISTS {};\n", ident(name)));
        reader.add(class::PG_SUBSCRIPTION, object);
    }
    Ok(())
}

/// The expressions that read what not every version has, from column 7 on.
fn since(version: Version) -> [&'static str; 8] {
    let or = |major: u32, expression: &'static str, otherwise: &'static str| {
        if version.at_least(major) { expression } else { otherwise }
    };
    [
        or(14, "s.subbinary", "false"),
        or(14, "s.substream::text", "NULL::text"),
        or(15, "s.subtwophasestate <> 'd'", "false"),
        or(15, "s.subdisableonerr", "false"),
        or(16, "NOT s.subpasswordrequired", "false"),
        or(16, "s.subrunasowner", "false"),
        or(16, "s.suborigin", "NULL::text"),
        or(17, "s.subfailover", "false"),
    ]
}

/// What stands between the parentheses of `WITH`.
fn options(row: &Row, version: Version) -> String {
    let slot: Option<&str> = row.get(4);
    let slot = slot.map_or_else(|| "NONE".to_owned(), literal);
    let commit = literal(row.get(6));
    let mut options = vec![format!("connect = false, slot_name = {slot}, synchronous_commit = {commit}")];
    let set = |at: usize, text: &str| row.get::<_, bool>(at).then(|| text.to_owned());
    options.extend(set(7, "binary = true"));
    if version.at_least(14) {
        // Named whatever it is: the default is another one since 18.
        let streaming = match row.get::<_, Option<&str>>(8) {
            Some("t" | "true") => "on",
            Some("p") => "parallel",
            _ => "off",
        };
        options.push(format!("streaming = {streaming}"));
    }
    options.extend(set(9, "two_phase = true"));
    options.extend(set(10, "disable_on_error = true"));
    options.extend(set(11, "password_required = false"));
    options.extend(set(12, "run_as_owner = true"));
    options.extend(row.get::<_, Option<&str>>(13).map(|origin| format!("origin = {}", literal(origin))));
    options.extend(set(14, "failover = true"));
    options.join(", ")
}
