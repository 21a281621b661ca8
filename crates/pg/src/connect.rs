//! One connection to a server, its settings pinned.

mod pin;
mod refusal;

use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backup_core::{Doing, Error, Kind, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, CancelToken, Client, Connection, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{Address, ChannelBinding, Config, Host, SslMode, TargetSessionAttrs};
use crate::pg_error::{cause, pg_error};
use crate::{Version, tls};
pub use pin::pin;
use refusal::{Refusal, is_tls, refusal, timed_out};

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
    /// The encoding of the database, as `UTF8`, `LATIN1` or `SQL_ASCII`.
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
    /// Where the server is asked, if not where the token says.
    through: Option<(PathBuf, String)>,
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
            let opened = Box::pin(open(config, host, wanted, &tls, purpose));
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

    /// Asks the server to stop the query that runs. Best effort: it may have ended, and then the request stops the next one;
    /// or the server be out of reach.
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
        let asked = async {
            match &self.through {
                None => self.token.cancel_query(self.tls.clone()).await.map_err(|error| error.to_string()),
                Some((path, name)) => {
                    let (stream, tls) = through(path, name, &self.tls).await.map_err(|error| error.to_string())?;
                    self.token.cancel_query_raw(stream, tls).await.map_err(|error| error.to_string())
                }
            }
        };
        let cancelled = tokio::time::timeout(Duration::from_secs(5), asked).await;
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
        let settings = settings(config, host, way);
        let opened = match (&host.through, &host.address) {
            (Some(path), Address::Tcp(name)) => {
                let (stream, tls_there) = through(path, name, tls).await?;
                match settings.connect_raw(stream, tls_there).await {
                    Ok((client, connection)) => Ok(welcome(client, connection, host, wanted, tls, purpose).await),
                    Err(error) => Err(error),
                }
            }
            _ => match settings.connect(tls.clone()).await {
                Ok((client, connection)) => Ok(welcome(client, connection, host, wanted, tls, purpose).await),
                Err(error) => Err(error),
            },
        };
        match opened {
            Ok(welcomed) => return welcomed,
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

/// A stream that leads to the server called `name` by a socket here, and what speaks TLS with that one.
async fn through(
    path: &Path,
    name: &str,
    tls: &MakeRustlsConnect,
) -> Result<(UnixStream, <MakeRustlsConnect as MakeTlsConnect<UnixStream>>::TlsConnect)> {
    let stream = UnixStream::connect(path).await.doing(|| format!("connect to {}", path.display()))?;
    let tls = MakeTlsConnect::<UnixStream>::make_tls_connect(&mut tls.clone(), name);
    Ok((stream, tls.map_err(|error| Error::failed("TLS cannot be spoken with a server of that name").with_source(error))?))
}

/// Whether the same host could let us in with TLS instead of without, or the other way round. A password is never
/// tried twice.
fn asks_for_another_way(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&tokio_postgres::error::SqlState::INVALID_AUTHORIZATION_SPECIFICATION) || is_tls(error)
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
    let through = match (&host.through, &host.address) {
        (Some(path), Address::Tcp(name)) => Some((path.clone(), name.clone())),
        _ => None,
    };
    let canceller = Canceller { token: client.cancel_token(), tls: tls.clone(), through };
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
