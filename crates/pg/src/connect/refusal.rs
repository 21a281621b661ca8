//! Why a host did not let us in, and what to do about it.

use std::io;
use std::time::Duration;

use backup_core::Error;

use crate::config::{Address, Config, Host};
use crate::pg_error::{cause, io_error};

/// Why a host did not let us in.
pub(super) struct Refusal {
    pub(super) error: Error,
    /// Whether the other hosts would say the same.
    pub(super) last: bool,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, last: false }
    }
}

pub(super) fn timed_out(limit: Duration) -> Refusal {
    Error::failed(format!("the server did not answer within {} s", limit.as_secs()))
        .with_hint("check the host, the port and the firewall between, or raise connect_timeout")
        .into()
}

/// What a failed attempt means, and what to do about it.
pub(super) fn refusal(config: &Config, host: &Host, error: Option<tokio_postgres::Error>) -> Refusal {
    let Some(error) = error else { return Error::failed("there is no way to try").into() };
    if error.as_db_error().is_some() {
        // As libpq: a server that is not ready, or full, may have a neighbour that is not.
        let class = error.code().map(|code| code.code().get(..2).unwrap_or_default().to_owned()).unwrap_or_default();
        return Refusal { error: cause(error), last: !["53", "57"].contains(&class.as_str()) };
    }
    if is_tls(&error) {
        return tls_refusal(error).into();
    }
    let text = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    let kind = io_error(&error).map(io::Error::kind);
    let here = matches!(host.address, Address::Socket(_));
    match kind {
        _ if text == "password missing" => Refusal {
            error: Error::failed(format!("the server asks for the password of {:?} and none is known", config.user))
                .with_hint("set PGPASSWORD, or write it into ~/.pgpass"),
            last: true,
        },
        _ if text.starts_with("unsupported authentication method") => {
            Error::failed("the server asks for a login by GSSAPI or SSPI")
                .with_hint("let the user in by password (scram-sha-256), certificate or peer in pg_hba.conf")
                .into()
        }
        Some(io::ErrorKind::ConnectionRefused) => Error::failed("nothing listens there").with_hint(CHECK_SERVER).into(),
        Some(io::ErrorKind::NotFound) if here => Error::failed("there is no socket of a server").with_hint(CHECK_SERVER).into(),
        Some(io::ErrorKind::PermissionDenied) if here => Error::failed("the socket may not be used by this user")
            .with_hint("run as a user who may, or connect over TCP")
            .into(),
        Some(_) if text.contains("failed to lookup address") => Error::failed("the host's name is not known")
            .with_hint("check the spelling of the host, and the name service")
            .into(),
        _ => cause(error).into(),
    }
}

const CHECK_SERVER: &str = "check that the server runs, and the host and port (PGHOST, PGPORT)";

fn tls_refusal(error: tokio_postgres::Error) -> Error {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidForName, NotValidForNameContext, UnknownIssuer};
    let handshake =
        io_error(&error).and_then(io::Error::get_ref).and_then(|inner| inner.downcast_ref::<rustls::Error>()).cloned();
    let hint = match &handshake {
        Some(rustls::Error::InvalidCertificate(UnknownIssuer)) => {
            "give the certificate of who signed the server's as sslrootcert"
        }
        Some(rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
            "connect by a name that the certificate carries as subjectAltName, or use sslmode=verify-ca"
        }
        Some(rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. })) => "renew the server's certificate",
        Some(rustls::Error::InvalidCertificate(_)) => "make the server a certificate of X.509 version 3 with a subjectAltName",
        Some(rustls::Error::AlertReceived(_)) => "the server may ask for a certificate of ours: give sslcert and sslkey",
        None if error.to_string().contains("TLS") => "turn ssl on in the server, or use sslmode=prefer",
        _ => "check that both sides speak TLS 1.2 or 1.3",
    };
    let source = error.into_source();
    let told = Error::failed("TLS failed").with_hint(hint);
    match source {
        Some(source) => told.with_source(source),
        None => told,
    }
}

pub(super) fn is_tls(error: &tokio_postgres::Error) -> bool {
    // The kind is not public but its text is.
    error.to_string() == "error performing TLS handshake"
}
