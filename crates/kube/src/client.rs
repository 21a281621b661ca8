//! Asks the API something: one request, one connection, one answer of JSON.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use backup_core::{Doing, Error, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::access::{Access, Server};
use crate::credentials::{Credentials, bearer};
use crate::objects::Status;

/// How long a request may take.
const TIME: Duration = Duration::from_secs(15);

/// The most that an answer may hold, in bytes.
const MOST: usize = 8 << 20;

/// The most that the head of an answer may hold, in bytes.
const HEAD: usize = 64 << 10;

/// The most that is told of what the API says of a refusal, in characters.
const WORDS: usize = 300;

/// Speaks to one API as one user. It keeps no connection.
pub(crate) struct Client {
    server: Server,
    name: ServerName<'static>,
    tls: TlsConnector,
    credentials: Credentials,
    time: Duration,
}

/// Why there is no answer, or none of 2xx.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The status, if there was one.
    pub(crate) code: u16,
    /// What an object is called that is not there, if that was said.
    pub(crate) missing: Option<String>,
    /// Whether the same request may well be answered a moment later.
    pub(crate) passes: bool,
    pub(crate) error: Error,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { code: 0, missing: None, passes: false, error }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        refusal.error
    }
}

/// What a request came to: the status and the body.
struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Client {
    pub(crate) fn new(access: Access) -> Result<Self> {
        let Access { server, tls_name, roots, certificate, credentials, .. } = access;
        let mut store = RootCertStore::empty();
        if roots.is_empty() {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        for root in roots {
            store.add(root).doing(|| "trust the authority of the API")?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .doing(|| "set TLS up")?
            .with_root_certificates(store);
        let mut tls = match certificate {
            None => builder.with_no_client_auth(),
            Some(own) => builder.with_client_auth_cert(own.chain, own.key).doing(|| "use the certificate of the kubeconfig")?,
        };
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = tls_name.unwrap_or_else(|| server.host.clone());
        let name = ServerName::try_from(name).doing(|| format!("understand the name of {server}"))?;
        Ok(Self { server, name, tls: TlsConnector::from(Arc::new(tls)), credentials, time: TIME })
    }

    /// Gives a request up after `time` instead of 15 seconds.
    pub(crate) fn with_time(self, time: Duration) -> Self {
        Self { time, ..self }
    }

    /// The API's address.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Asks for `path`, its query included, or replaces what is there by `body`.
    pub(crate) async fn ask(&self, path: &str, accept: &'static str, body: Option<&Value>) -> Result<Value, Refusal> {
        let doing = || format!("ask the API at {}", self.server);
        let mut tries = 0;
        loop {
            let token = self.credentials.token().await.doing(doing)?;
            let exchanged = tokio::time::timeout(self.time, self.exchange(path, accept, body, token.as_deref())).await;
            let exchanged = exchanged.unwrap_or_else(|_| {
                let error = Error::failed(format!("no answer within {:?}", self.time));
                Err(Refusal { passes: true, ..error.into() })
            });
            let answer = exchanged.map_err(|refusal| {
                let error = Error::failed(format!("failed to {}", doing())).with_source(refusal.error);
                Refusal { error, ..refusal }
            })?;
            if answer.status.is_success() {
                let value = serde_json::from_slice(&answer.body);
                return value.map_err(|_| Error::failed(format!("the API at {} answers what is no JSON", self.server)).into());
            }
            tries += 1;
            if answer.status == StatusCode::UNAUTHORIZED && tries == 1 && self.credentials.forget().await {
                continue;
            }
            return Err(self.refusal(&answer, token.as_deref()));
        }
    }

    async fn exchange(
        &self,
        path: &str,
        accept: &str,
        body: Option<&Value>,
        token: Option<&String>,
    ) -> Result<Answer, Refusal> {
        let mut request = Request::builder()
            .method(if body.is_some() { Method::PUT } else { Method::GET })
            .uri(format!("{}{path}", self.server.prefix))
            .header(HOST, self.server.authority())
            .header(USER_AGENT, concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close")
            .header(ACCEPT, accept);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, bearer(token)?);
        }
        let body = body.map(|body| Bytes::from(body.to_string()));
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body.unwrap_or_default())).doing(|| "make a request")?;
        let stream = TcpStream::connect((self.server.host.as_str(), self.server.port)).await.map_err(passing("connect"))?;
        let stream = self.tls.connect(self.name.clone(), stream).await.map_err(|error| {
            // What rustls refuses stays refused; a connection that breaks off does not.
            let passes = error.kind() != io::ErrorKind::InvalidData;
            let error = Error::failed("failed to agree on TLS").with_source(error);
            Refusal { passes, ..error.into() }
        })?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(passing("speak HTTP"))?;
        let mut answer = std::pin::pin!(async {
            let answer = sender.send_request(request).await.map_err(passing("get an answer"))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MOST).collect().await.map_err(|error| {
                let passes = !error.is::<LengthLimitError>();
                let error = Error::failed("the answer breaks off or is too long").with_source(error);
                Refusal { passes, ..error.into() }
            })?;
            Ok(Answer { status, body: body.to_bytes() })
        });
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            // It has ended, so there is an answer or there never will be one.
            _ = connection => answer.await,
        }
    }

    /// What an answer other than 2xx says. A token stands in none of it, whatever the API says.
    fn refusal(&self, answer: &Answer, token: Option<&String>) -> Refusal {
        let status: Status = serde_json::from_slice(&answer.body).unwrap_or_default();
        let code = answer.status.as_u16();
        let words: String = status.message.chars().take(WORDS).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let words = Zeroizing::new(words);
        let is_safe = token.is_none_or(|token| !status.message.contains(token.as_str()));
        let words = if is_safe && !words.is_empty() { format!(": {}", *words) } else { String::new() };
        let error = Error::failed(format!("the API at {} answers {code}{words}", self.server));
        let error = match code {
            401 => error.with_hint("log in again, or renew the token: the API does not know who asks"),
            300..=399 => error.with_hint("name the address of the API itself: redirects are not followed"),
            _ => error,
        };
        let is_missing = code == 404 && status.reason == "NotFound";
        let missing = status.details.name.filter(|_| is_missing);
        Refusal { code, missing, passes: code == 429 || code >= 500, error }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, credentials, .. } = self;
        f.debug_struct("Client").field("server", server).field("credentials", credentials).finish_non_exhaustive()
    }
}

fn passing<E: Into<backup_core::BoxError>>(doing: &'static str) -> impl FnOnce(E) -> Refusal {
    move |error| Refusal { passes: true, ..Error::failed(format!("failed to {doing}")).with_source(error).into() }
}
