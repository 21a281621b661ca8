//! A server's refusals as one clear line with a hint.

use backup_core::{Error, Kind};
use mongodb::error::ErrorKind;

/// The error of something that was asked of a server: `failed to {doing}`, what the server said, and what to do about it.
pub fn mongo_error(doing: impl AsRef<str>, error: &mongodb::error::Error) -> Error {
    let cause = cause(error);
    Error::new(cause.kind(), format!("failed to {}", doing.as_ref())).with_source(cause)
}

/// What the server or the way to it said. The driver's own lines tell its whole view of the deployment: only what is wrong is kept.
fn cause(error: &mongodb::error::Error) -> Error {
    match error.kind.as_ref() {
        ErrorKind::ServerSelection { message, .. } => unreachable(message),
        ErrorKind::Authentication { message, .. } => {
            Error::failed(format!("the server refused the login: {message}")).with_hint(LOGIN)
        }
        ErrorKind::Command(said) => {
            let told = Error::failed(format!("{} [{} {}]", said.message, said.code, said.code_name));
            match hint(said.code) {
                Some(hint) => told.with_hint(hint),
                None => told,
            }
        }
        ErrorKind::Io(error) => gone(&error.to_string()),
        ErrorKind::ConnectionPoolCleared { message, .. } => gone(last_error(message)),
        ErrorKind::InvalidTlsConfig { message, .. } => {
            Error::usage(format!("the files for TLS cannot be used: {message}")).with_hint("give files of PEM")
        }
        ErrorKind::InvalidArgument { message, .. } => Error::new(Kind::Usage, message.clone()),
        ErrorKind::DnsResolve { message, .. } => Error::failed(format!("the name of the server is not known: {message}"))
            .with_hint("check the name, and that the name server answers"),
        ErrorKind::IncompatibleServer { message, .. } => Error::failed(message.clone()).with_hint("use MongoDB 4.4 or newer"),
        ErrorKind::InvalidResponse { message, .. } => {
            Error::damaged(format!("the server sent what does not belong there: {message}"))
        }
        other => Error::failed(other.to_string()),
    }
}

const LOGIN: &str = "check user, password and the database that knows the user";

fn unreachable(message: &str) -> Error {
    let said = last_error(message);
    if said.contains("uthentication failed") || said.contains("SCRAM failure") {
        return Error::failed("the server refused the login").with_hint(LOGIN);
    }
    let hint = match said {
        _ if said.contains("not valid for name") => "name the server as its certificate does",
        _ if said.contains("invalid peer certificate") => "give the authority that vouches for the server: --tls-ca FILE",
        _ if said.contains("tls handshake eof") || said.contains("received corrupt message") => {
            "check that the server speaks TLS: --tls, and the files for it, are for one that does"
        }
        _ if said.contains("close_notify") || said.contains("received fatal alert") => {
            "the server ended the connection: see its log, and whether it takes what --tls-certificate shows"
        }
        _ if said.contains("unexpected end of file") || said.contains("early eof") => {
            "check host and port, and whether the server wants TLS: --tls"
        }
        _ => "check host and port, and that mongod runs and lets this machine in",
    };
    Error::failed(format!("no server answers: {said}")).with_hint(hint)
}

fn gone(how: &str) -> Error {
    Error::failed(format!("the server went away: {how}"))
        .with_hint("see the server's log for the reason, then run again: nothing half-done was kept")
}

/// What went wrong, out of the driver's line about all that it knows.
fn last_error(message: &str) -> &str {
    let said = message.rsplit_once("Error: ").map_or(message, |(_, said)| said);
    let said = said.split(", labels: ").next().unwrap_or(said);
    // Where the library for TLS explains itself is no help here.
    let said = said.split(": https://").next().unwrap_or(said);
    said.trim_start_matches("Kind: ").trim_end_matches([' ', '}', ']'])
}

fn hint(code: i32) -> Option<&'static str> {
    Some(match code {
        11 | 18 => LOGIN,
        13 => "give the user the role backup (to read all), or read on the database that is taken",
        43 | 237 => "the server forgot the cursor, or somebody killed it: run again",
        91 | 189 | 11600 | 11602 => "the server shuts down or changes its role: try again soon",
        136 => "a capped collection was written round while it was read: run again, or make it larger",
        175 => "the collection was dropped or changed while it was read: run again",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_deployment_only_what_is_wrong_is_told() {
        let message = "Server selection timeout: No available servers. Topology: { Type: Single, Servers: [ { Address: 127.0.0.1:1, \
                       Type: Unknown, Error: Kind: I/O error: Connection refused (os error 111), labels: {} } ] }";
        assert_eq!(last_error(message), "I/O error: Connection refused (os error 111)");
        assert_eq!(last_error("something else"), "something else");
    }
}
