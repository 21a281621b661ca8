//! A server's refusals as one clear line with a hint.

use std::io;

use backup_core::{Error, Kind};
use tokio_postgres::error::{DbError, SqlState};

/// The error of something that was asked of a server: `failed to {doing}`, what the server said, and what to do about it.
///
/// A missing database is [`Kind::NotFound`]; everything else is [`Kind::Failed`]. What the server calls a detail is
/// kept, where the query stood is not.
pub fn pg_error(doing: impl AsRef<str>, error: tokio_postgres::Error) -> Error {
    let cause = cause(error);
    Error::new(cause.kind(), format!("failed to {}", doing.as_ref())).with_source(cause)
}

/// What the server or the way to it said.
pub(crate) fn cause(error: tokio_postgres::Error) -> Error {
    if let Some(db) = error.as_db_error() {
        return said(db);
    }
    if error.is_closed() || io_error(&error).is_some_and(is_gone) {
        return gone("the server closed the connection");
    }
    match error.into_source() {
        Some(source) => Error::failed("the connection failed").with_source(source),
        None => Error::failed("the server sent what does not belong there"),
    }
}

fn gone(how: impl Into<String>) -> Error {
    Error::failed(format!("the server went away: {}", how.into()))
        .with_hint("see the server's log for the reason, then run again: nothing half-done was kept")
}

/// The I/O error at the bottom of `error`.
pub(crate) fn io_error(error: &tokio_postgres::Error) -> Option<&io::Error> {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

/// What the server said, with its own hint or ours.
fn said(error: &DbError) -> Error {
    let code = error.code();
    let mut line = error.message().to_owned();
    if let Some(detail) = error.detail() {
        line = format!("{line} ({detail})");
    }
    line = format!("{line} [SQLSTATE {}]", code.code());
    if [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN].contains(code) {
        return gone(line);
    }
    let kind = if *code == SqlState::INVALID_CATALOG_NAME { Kind::NotFound } else { Kind::Failed };
    let told = Error::new(kind, line);
    match error.hint().map(str::to_owned).or_else(|| hint(code).map(str::to_owned)) {
        Some(hint) => told.with_hint(hint),
        None => told,
    }
}

fn hint(code: &SqlState) -> Option<&'static str> {
    const HINTS: &[(&SqlState, &str)] = &[
        (&SqlState::INVALID_PASSWORD, "check PGPASSWORD, the connection string or ~/.pgpass"),
        (
            &SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            "check the user's name, and that pg_hba.conf lets this user into this database from here",
        ),
        (&SqlState::INVALID_CATALOG_NAME, "list the databases that exist with psql -l"),
        (
            &SqlState::TOO_MANY_CONNECTIONS,
            "use fewer parallel jobs, or raise max_connections or the limit of the role or database",
        ),
        (&SqlState::CANNOT_CONNECT_NOW, "the server is starting up or shutting down: try again soon"),
        (&SqlState::INSUFFICIENT_PRIVILEGE, "log in as a superuser, or grant the role pg_read_all_data and what else it needs"),
        (
            &SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            "names and definitions with bytes that are no text are taken with the external source: --source pg_dumpall",
        ),
        (
            &SqlState::UNTRANSLATABLE_CHARACTER,
            "names and definitions that UTF-8 has no characters for are taken with the external source: --source pg_dumpall",
        ),
        (&SqlState::DISK_FULL, "the server's disk is full: make room there"),
        (
            &SqlState::OUT_OF_MEMORY,
            "raise the server's max_locks_per_transaction if there are many tables, else give it memory",
        ),
        (&SqlState::LOCK_NOT_AVAILABLE, "another session holds a lock on the table: run again once it has ended"),
        (&SqlState::QUERY_CANCELED, "somebody, or a limit of the server's, cancelled the query"),
        (
            &SqlState::T_R_SERIALIZATION_FAILURE,
            "on a standby, set hot_standby_feedback or a longer max_standby_streaming_delay, or use the primary",
        ),
        (&SqlState::READ_ONLY_SQL_TRANSACTION, "the server is a standby or set read-only: use the primary"),
        (&SqlState::PROTOCOL_VIOLATION, "if a connection pooler stands in between, connect to the server itself"),
    ];
    HINTS.iter().find(|(known, _)| *known == code).map(|(_, hint)| *hint)
}
