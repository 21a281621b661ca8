//! Settings of a session that decide what its text means.

use tokio_postgres::Client;

use super::Purpose;

/// Pins the settings of a session against what the role, the database or the server has set, as `pg_dump` does in
/// `setup_connection` and for the same reason: text must mean the same when it is read and when it is written.
///
/// Beyond `pg_dump`'s list it pins what changes the text of values (`bytea_output`, `TimeZone`, `lc_monetary`,
/// `xmlbinary`, `quote_all_identifiers`), so that equal rows have equal text on any server, `array_nulls`, without which a NULL in
/// an array comes back as text, `jit`, which only costs time here, `enable_tidscan`, without which each range of a table reads all of
/// it, and `default_transaction_read_only`, which would make a restore fail.
/// `client_encoding` is UTF8 from the login on. What a server does not know is passed over.
pub async fn pin(client: &Client, purpose: Purpose) -> Result<(), tokio_postgres::Error> {
    const PINNED: &[(&str, &str)] = &[
        ("array_nulls", "on"),
        ("bytea_output", "hex"),
        ("client_encoding", "UTF8"),
        ("datestyle", "ISO, MDY"),
        ("default_transaction_read_only", "off"),
        ("escape_string_warning", "off"),
        ("enable_tidscan", "on"),
        ("extra_float_digits", "3"),
        ("idle_in_transaction_session_timeout", "0"),
        ("idle_session_timeout", "0"),
        ("intervalstyle", "postgres"),
        ("jit", "off"),
        ("lc_monetary", "C"),
        ("lock_timeout", "0"),
        ("quote_all_identifiers", "off"),
        ("row_security", "off"),
        ("standard_conforming_strings", "on"),
        ("synchronize_seqscans", "off"),
        ("timezone", "UTC"),
        ("transaction_timeout", "0"),
        ("xmlbinary", "base64"),
    ];
    // By itself and first, since a limit of milliseconds could end any other statement.
    client.batch_execute("SET statement_timeout = 0").await?;
    // Before the first name that is looked up by path.
    client.batch_execute("SELECT pg_catalog.set_config('search_path', '', false)").await?;
    let mut pinned = PINNED.to_vec();
    if purpose == Purpose::Dump {
        // Reading a table must not run what its owner has hidden in a view of the same name (CVE-2024-7348).
        pinned.push(("restrict_nonsystem_relation_kind", "view, foreign-table"));
    }
    let values: Vec<_> = pinned.iter().map(|(name, value)| format!("('{name}', '{value}')")).collect();
    let known = "pg_catalog.current_setting(p.name, true) IS NOT NULL";
    let sql = format!(
        "SELECT pg_catalog.set_config(p.name, p.value, false) FROM (VALUES {}) AS p (name, value) WHERE {known}",
        values.join(", ")
    );
    client.batch_execute(&sql).await
}
