//! One connection to a server, its settings pinned.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use backup_core::{Error, Kind, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, CancelToken, Client, Connection, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{Address, ChannelBinding, Config, Host, SslMode, TargetSessionAttrs};
use crate::pg_error::{cause, io_error, pg_error};
use crate::{Version, tls};

/// What a connection is for: it decides which settings are pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To read definitions and rows that are to come back the same: see [`pin`].
    Dump,
    /// To write them into a database: as [`Dump`](Self::Dump), but views and foreign tables can be used.
    Restore,
    /// Anything else. Nothing is pinned.
    Ask,
}

/// A connection to one database.
///
/// Dropping it closes the socket at once: the server ends what it was doing when it notices, and rolls back.
/// [`close`](Self::close) takes leave first; [`cancel`](Self::cancel) stops a query that runs.
#[derive(Debug)]
pub struct Session {
    /// Asks the server.
    pub client: Client,
    /// The server's release.
    pub version: Version,
    /// The encoding of the database, as `UTF8` or `SQL_ASCII`.
    pub encoding: String,
    /// The host that let us in.
    pub host: Host,
    canceller: Canceller,
    driver: Driver,
}

/// Stops the query that runs on a session, from anywhere.
#[derive(Clone)]
pub struct Canceller {
    token: CancelToken,
    tls: MakeRustlsConnect,
}

/// Moves the bytes of a connection until it is dropped.
#[derive(Debug)]
struct Driver(JoinHandle<()>);

/// Opens a connection: tries the hosts in order and pins what `purpose` asks for.
///
/// Errors name the target without secrets. A wrong password, unlike an unreachable host, is not tried at the next host.
pub async fn connect(config: &Config, purpose: Purpose) -> Result<Session> {
    let doing = || format!("failed to connect to {}", config.describe());
    let wrap = |error: Error| Error::new(error.kind(), doing()).with_source(error);
    let tls = tls::connector(config).map_err(wrap)?;
    let mut refusals: Vec<Error> = Vec::new();
    let rounds: &[TargetSessionAttrs] = match config.target_session_attrs {
        TargetSessionAttrs::PreferStandby => &[TargetSessionAttrs::Standby, TargetSessionAttrs::Any],
        ref wanted => std::slice::from_ref(wanted),
    };
    for &wanted in rounds {
        refusals.clear();
        for host in &config.hosts {
            let opened = open(config, host, wanted, &tls, purpose);
            let opened = match config.connect_timeout {
                Some(limit) => tokio::time::timeout(limit, opened).await.unwrap_or_else(|_| Err(timed_out(limit))),
                None => opened.await,
            };
            match opened {
                Ok(session) => return Ok(session),
                Err(refusal) if refusal.last => return Err(wrap(refusal.error)),
                Err(refusal) => refusals.push(refusal.error),
            }
        }
    }
    let first = if refusals.is_empty() { Error::usage("no host is given") } else { refusals.remove(0) };
    if refusals.is_empty() {
        return Err(wrap(first));
    }
    let kind = refusals.iter().fold(first.kind(), |kind, next| if next.kind() == kind { kind } else { Kind::Failed });
    let hint = first.hint().unwrap_or("see what each of the hosts says").to_owned();
    let lines: Vec<_> = std::iter::once(&first).chain(&refusals).zip(&config.hosts).collect();
    let lines: Vec<_> = lines.iter().map(|(error, host)| format!("{}: {}", host.describe(), error.chain())).collect();
    Err(Error::new(kind, doing()).with_source(Error::new(kind, lines.join("; ")).with_hint(hint)))
}

impl Session {
    /// What stops a query of this session from elsewhere.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Asks the server to stop the query that runs. Best effort: it may have ended, or the server be out of reach.
    pub async fn cancel(&self) {
        self.canceller.cancel().await;
    }

    /// Takes leave of the server and waits until the connection is closed. A query that still runs is awaited.
    pub async fn close(self) {
        let Self { client, mut driver, .. } = self;
        drop(client);
        let _ = (&mut driver.0).await;
    }
}

impl Canceller {
    /// See [`Session::cancel`]. Takes at most five seconds.
    pub async fn cancel(&self) {
        let cancelled = tokio::time::timeout(Duration::from_secs(5), self.token.cancel_query(self.tls.clone())).await;
        tracing::debug!(?cancelled, "asked the server to cancel");
    }
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Canceller").finish_non_exhaustive()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Pins the settings of a session against what the role, the database or the server has set, as `pg_dump` does in
/// `setup_connection` and for the same reason: text must mean the same when it is read and when it is written.
///
/// Beyond `pg_dump`'s list it pins what changes the text of values (`bytea_output`, `TimeZone`, `lc_monetary`,
/// `xmlbinary`, `quote_all_identifiers`), so that equal rows have equal text on any server, `jit`, which only costs
/// time here, and `default_transaction_read_only`, which would make a restore fail.
/// `client_encoding` is UTF8 from the login on. What a server does not know is passed over.
pub async fn pin(client: &Client, purpose: Purpose) -> Result<(), tokio_postgres::Error> {
    const PINNED: &[(&str, &str)] = &[
        ("bytea_output", "hex"),
        ("client_encoding", "UTF8"),
        ("datestyle", "ISO, MDY"),
        ("default_transaction_read_only", "off"),
        ("escape_string_warning", "off"),
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
    let known = "EXISTS (SELECT FROM pg_catalog.pg_settings s WHERE pg_catalog.lower(s.name) = p.name)";
    let sql = format!(
        "SELECT pg_catalog.set_config(p.name, p.value, false) FROM (VALUES {}) AS p (name, value) WHERE {known}",
        values.join(", ")
    );
    client.batch_execute(&sql).await
}

/// Why a host did not let us in.
struct Refusal {
    error: Error,
    /// Whether the other hosts would say the same.
    last: bool,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, last: false }
    }
}

fn timed_out(limit: Duration) -> Refusal {
    Error::failed(format!("the server did not answer within {} s", limit.as_secs()))
        .with_hint("check the host, the port and the firewall between, or raise connect_timeout")
        .into()
}

async fn open(
    config: &Config,
    host: &Host,
    wanted: TargetSessionAttrs,
    tls: &MakeRustlsConnect,
    purpose: Purpose,
) -> Result<Session, Refusal> {
    use tokio_postgres::config::SslMode::{Disable, Prefer, Require};
    let ways: &[_] = match (&host.address, config.tls.mode) {
        (Address::Socket(_), _) | (_, SslMode::Disable) => &[Disable],
        (_, SslMode::Allow) => &[Disable, Require],
        (_, SslMode::Prefer) => &[Prefer, Disable],
        (_, SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull) => &[Require],
    };
    let mut first = None;
    for &way in ways {
        match settings(config, host, way).connect(tls.clone()).await {
            Ok((client, connection)) => return welcome(client, connection, host, wanted, tls, purpose).await,
            Err(error) => {
                let again = asks_for_another_way(&error);
                first.get_or_insert(error);
                if !again {
                    break;
                }
            }
        }
    }
    Err(refusal(config, host, first))
}

/// Whether the same host could let us in with TLS instead of without, or the other way round. A password is never
/// tried twice.
fn asks_for_another_way(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&tokio_postgres::error::SqlState::INVALID_AUTHORIZATION_SPECIFICATION) || is_tls(error)
}

fn is_tls(error: &tokio_postgres::Error) -> bool {
    // The kind is not public but its text is.
    error.to_string() == "error performing TLS handshake"
}

fn settings(config: &Config, host: &Host, mode: tokio_postgres::config::SslMode) -> tokio_postgres::Config {
    use tokio_postgres::config::{ChannelBinding as Binding, SslNegotiation};
    let mut settings = tokio_postgres::Config::new();
    match &host.address {
        Address::Tcp(name) => settings.host(name),
        Address::Socket(folder) => settings.host_path(folder),
    };
    if let (Address::Tcp(_), Some(address)) = (&host.address, host.hostaddr) {
        settings.hostaddr(address);
    }
    settings.port(host.port).user(&config.user).dbname(&config.dbname).application_name(&config.application_name);
    settings.ssl_mode(mode).channel_binding(match config.channel_binding {
        ChannelBinding::Disable => Binding::Disable,
        ChannelBinding::Prefer => Binding::Prefer,
        ChannelBinding::Require => Binding::Require,
    });
    if config.tls.direct {
        settings.ssl_negotiation(SslNegotiation::Direct);
    }
    if let Some(password) = config.password_for(host) {
        settings.password(password.reveal());
    }
    if let Some(options) = &config.options {
        settings.options(options);
    }
    let keepalives = config.keepalives;
    settings.keepalives(keepalives.on);
    keepalives.idle.map(|idle| settings.keepalives_idle(idle));
    keepalives.interval.map(|interval| settings.keepalives_interval(interval));
    keepalives.count.map(|count| settings.keepalives_retries(count));
    keepalives.user_timeout.map(|limit| settings.tcp_user_timeout(limit));
    settings
}

/// Makes a session of a connection: learns what the server is, and pins.
async fn welcome<S, T>(
    client: Client,
    connection: Connection<S, T>,
    host: &Host,
    wanted: TargetSessionAttrs,
    tls: &MakeRustlsConnect,
    purpose: Purpose,
) -> Result<Session, Refusal>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let encoding = connection.parameter("server_encoding").unwrap_or("UTF8").to_owned();
    let driver = Driver(tokio::spawn(drive(connection)));
    let version = setting(&client, "SHOW server_version_num").await?;
    let version = version.parse().map(Version).map_err(|_| Error::failed(format!("the server's version is {version:?}")))?;
    if !is_wanted(&client, wanted).await? {
        return Err(Error::failed("the server is not what target_session_attrs asks for")
            .with_hint("give the hosts of the other servers as well, or leave it out")
            .into());
    }
    if purpose != Purpose::Ask {
        pin(&client, purpose).await.map_err(|error| pg_error("pin the settings of the session", error))?;
    }
    let canceller = Canceller { token: client.cancel_token(), tls: tls.clone() };
    Ok(Session { client, version, encoding, host: host.clone(), canceller, driver })
}

async fn is_wanted(client: &Client, wanted: TargetSessionAttrs) -> Result<bool> {
    const READ_ONLY: &str = "SHOW transaction_read_only";
    const STANDBY: &str = "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'on' ELSE 'off' END";
    let (sql, answer) = match wanted {
        TargetSessionAttrs::Any | TargetSessionAttrs::PreferStandby => return Ok(true),
        TargetSessionAttrs::ReadWrite => (READ_ONLY, "off"),
        TargetSessionAttrs::ReadOnly => (READ_ONLY, "on"),
        TargetSessionAttrs::Primary => (STANDBY, "off"),
        TargetSessionAttrs::Standby => (STANDBY, "on"),
    };
    Ok(setting(client, sql).await? == answer)
}

/// The one value that `sql` answers with.
async fn setting(client: &Client, sql: &str) -> Result<String> {
    let messages = client.simple_query(sql).await.map_err(|error| pg_error("ask what the server is", error))?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(row.unwrap_or_default().to_owned())
}

/// Moves the bytes of `connection` and tells notices to people who debug.
async fn drive<S, T>(mut connection: Connection<S, T>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
        match message {
            Ok(AsyncMessage::Notice(notice)) => {
                tracing::debug!(severity = notice.severity(), message = notice.message(), "the server told");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(error = cause(error).chain(), "the connection ended");
                return;
            }
        }
    }
}

/// What a failed attempt means, and what to do about it.
fn refusal(config: &Config, host: &Host, error: Option<tokio_postgres::Error>) -> Refusal {
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
            Error::failed("the server asks for GSSAPI, SSPI or LDAP-like login")
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
