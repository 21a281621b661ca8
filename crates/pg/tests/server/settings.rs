//! What is pinned, and how a session ends.

use backup_pg::pg_error;
use futures_util::StreamExt as _;
use tokio_postgres::error::SqlState;

use super::*;

#[tokio::test]
async fn hostile_settings_of_a_database_do_not_reach_a_dump() {
    let Some(scratch) = start(|_| ()).await else { return };
    ask(scratch.config(), &["CREATE DATABASE \"o'\n\"\"ö\""]).await;
    let config = scratch.config().with_database("o'\n\"ö");
    let hostile = [
        ("client_encoding", "LATIN1"),
        ("search_path", "evil', 'pg_catalog"),
        ("datestyle", "SQL', 'DMY"),
        ("intervalstyle", "iso_8601"),
        ("extra_float_digits", "-10"),
        ("bytea_output", "escape"),
        ("xmlbinary", "hex"),
        ("timezone", "Asia/Tokyo"),
        ("quote_all_identifiers", "on"),
        ("standard_conforming_strings", "off"),
        ("row_security", "on"),
        ("default_transaction_read_only", "on"),
        ("statement_timeout", "60000"),
        ("lock_timeout", "60000"),
        ("idle_in_transaction_session_timeout", "60000"),
    ];
    for (name, value) in hostile {
        let sql = format!("ALTER DATABASE \"o'\n\"\"ö\" SET {name} = '{value}'");
        ask(scratch.config(), &[&sql]).await;
    }
    // What would be found first, were the path not emptied before anything is called.
    let trap = "CREATE SCHEMA evil;
        CREATE FUNCTION evil.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS 'SELECT $1';
        CREATE FUNCTION evil.never(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false';
        CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.never)";
    ask(&config, &["SET default_transaction_read_only = off", trap]).await;

    let session = connect(&config, Purpose::Dump).await.unwrap();
    for (name, expected) in [
        ("client_encoding", "UTF8"),
        ("search_path", ""),
        ("datestyle", "ISO, MDY"),
        ("intervalstyle", "postgres"),
        ("extra_float_digits", "3"),
        ("bytea_output", "hex"),
        ("xmlbinary", "base64"),
        ("timezone", "UTC"),
        ("lc_monetary", "C"),
        ("quote_all_identifiers", "off"),
        ("standard_conforming_strings", "on"),
        ("row_security", "off"),
        ("synchronize_seqscans", "off"),
        ("default_transaction_read_only", "off"),
        ("statement_timeout", "0"),
        ("lock_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
        ("idle_session_timeout", "0"),
        ("restrict_nonsystem_relation_kind", "view, foreign-table"),
    ] {
        assert_eq!(value(&session, &format!("SELECT current_setting('{name}', true)")).await, expected, "{name}");
    }
    let restore = connect(&config, Purpose::Restore).await.unwrap();
    assert_eq!(value(&restore, "SELECT current_setting('restrict_nonsystem_relation_kind')").await, "");
    assert_eq!(value(&restore, "SELECT current_setting('default_transaction_read_only')").await, "off");
    let ask = connect(&config, Purpose::Ask).await.unwrap();
    assert_eq!(value(&ask, "SELECT current_setting('client_encoding')").await, "UTF8");
    assert_eq!(value(&ask, "SELECT current_setting('timezone')").await, "Asia/Tokyo");
}

#[tokio::test]
async fn a_server_that_goes_away_is_told_as_that() {
    let Some(scratch) = start(|_| ()).await else { return };
    let victim = connect(scratch.config(), Purpose::Dump).await.unwrap();
    let other = connect(scratch.config(), Purpose::Dump).await.unwrap();
    let pid: i32 = victim.client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let terminate = async {
        // Only once the query runs can it be cut off.
        let runs = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND query LIKE '%pg_sleep%' AND state = 'active'";
        while other.client.query_one(runs, &[&pid]).await.unwrap().get::<_, i64>(0) == 0 {}
        other.client.execute("SELECT pg_terminate_backend($1)", &[&pid]).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(victim.client.batch_execute("SELECT pg_sleep(600)"), terminate);
    let error = pg_error("read table a", outcome.unwrap_err());
    assert!(error.chain().starts_with("failed to read table a: the server went away: "), "{error:?}");
    assert!(error.chain().contains("57P01"), "{error:?}");

    let pid = rustix::process::Pid::from_raw(i32::try_from(scratch.pid().unwrap()).unwrap()).unwrap();
    let server = connect(scratch.config(), Purpose::Dump).await.unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let error = pg_error("read table b", server.client.batch_execute("SELECT pg_sleep(600)").await.unwrap_err());
    assert!(error.chain().starts_with("failed to read table b: the server went away"), "{error:?}");
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn a_query_is_cancelled_from_elsewhere() {
    let Some(scratch) = start(|_| ()).await else { return };
    let session = connect(scratch.config(), Purpose::Dump).await.unwrap();
    let query = session.client.batch_execute("SELECT pg_sleep(600)");
    tokio::pin!(query);
    // A request that comes before the query does nothing, so it is made until one meets it.
    let error = loop {
        tokio::select! {
            outcome = &mut query => break outcome.unwrap_err(),
            () = session.cancel() => {}
        }
    };
    assert!(pg_error("wait", error).chain().contains("57014"));
    // The last request may have come after its end; then it stops what runs next.
    let still = loop {
        match session.client.query_one("SELECT 'still here'", &[]).await {
            Ok(row) => break row,
            Err(error) => assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED)),
        }
    };
    assert_eq!(still.get::<_, &str>(0), "still here");
}

#[tokio::test]
async fn a_dropped_session_is_gone_from_the_server() {
    let Some(scratch) = start(|_| ()).await else { return };
    let watcher = connect(scratch.config(), Purpose::Ask).await.unwrap();
    let others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let count = async || watcher.client.query_one(others, &[]).await.unwrap().get::<_, i64>(0);
    let session = connect(scratch.config(), Purpose::Dump).await.unwrap();
    let endless = "COPY (SELECT generate_series(1, 1000000000000)) TO STDOUT";
    let mut rows = Box::pin(session.client.copy_out(endless).await.unwrap());
    rows.next().await.unwrap().unwrap();
    assert_eq!(count().await, 1);
    drop((rows, session));
    in_time(async { while count().await > 0 {} }).await;
    connect(scratch.config(), Purpose::Dump).await.unwrap().close().await;
    in_time(async { while count().await > 0 {} }).await;
}
