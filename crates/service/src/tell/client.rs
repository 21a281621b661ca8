//! Asks something of a receiver over HTTP/1.1: one request, one connection, one verdict.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use backup_core::{BoxError, Doing, Error, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, LOCATION, PROXY_AUTHORIZATION, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tell::Address;

/// How long a request may take, redirects included.
const TIME: Duration = Duration::from_secs(10);

/// How many redirects are followed.
const REDIRECTS: usize = 3;

/// The most that the head of an answer may hold, in bytes. Its body is never read.
const HEAD: usize = 16 << 10;

/// Something that bytes go over.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

type Request1 = Request<Full<Bytes>>;

/// Speaks HTTP to receivers. It keeps no connection and nothing of an answer but its status.
pub struct Client {
    tls: TlsConnector,
    proxies: Option<Matcher>,
    time: Duration,
}

impl Client {
    /// A client that trusts the authorities of the machine (or of `SSL_CERT_FILE` and `SSL_CERT_DIR`) and also `more`.
    ///
    /// Without any authority every `https` address fails, and every `http` address works.
    pub fn new(more: impl IntoIterator<Item = CertificateDer<'static>>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "certificates of authorities could not be read");
        }
        roots.add_parsable_certificates(found.certs);
        for root in more {
            roots.add(root).doing(|| "trust a certificate")?;
        }
        let mut tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .doing(|| "set TLS up")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: TlsConnector::from(Arc::new(tls)), proxies: None, time: TIME })
    }

    /// Goes through the proxies that `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name, as curl does.
    pub fn with_proxies_of_environment(self) -> Self {
        self.with_proxies(Matcher::from_env())
    }

    /// Goes through `http`, a proxy's URL, to each address that `no` does not except, in the form of `NO_PROXY`.
    pub fn with_proxy(self, http: &str, no: &str) -> Self {
        self.with_proxies(Matcher::builder().all(http.to_owned()).no(no.to_owned()).build())
    }

    fn with_proxies(mut self, proxies: Matcher) -> Self {
        self.proxies = Some(proxies);
        self
    }

    /// Gives a request up after `time` instead of 10 seconds.
    pub fn with_time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// Asks for `address`. An answer other than 2xx is an error.
    pub(crate) async fn get(&self, address: &Address) -> Result<()> {
        self.ask(Method::GET, address, "", Bytes::new()).await
    }

    /// Sends `body`. An answer other than 2xx is an error.
    pub(crate) async fn post(&self, address: &Address, content: &'static str, body: impl Into<Bytes>) -> Result<()> {
        self.ask(Method::POST, address, content, body.into()).await
    }

    async fn ask(&self, method: Method, address: &Address, content: &'static str, body: Bytes) -> Result<()> {
        let asked = tokio::time::timeout(self.time, self.follow(&method, address.clone(), content, &body)).await;
        let asked = asked.unwrap_or_else(|_| Err(Error::failed(format!("no answer within {:?}", self.time))));
        asked.doing(|| format!("tell {address}"))
    }

    async fn follow(&self, method: &Method, mut address: Address, content: &'static str, body: &Bytes) -> Result<()> {
        for _ in 0..=REDIRECTS {
            let mut request = Request::builder().method(method).header(CONNECTION, "close");
            request = request.header(USER_AGENT, concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")));
            request = request.header(HOST, address.authority(false));
            if !content.is_empty() {
                request = request.header(CONTENT_TYPE, content);
            }
            if let Some(authorization) = address.authorization() {
                request = request.header(AUTHORIZATION, authorization);
            }
            let request = request.body(Full::new(body.clone())).doing(|| "make a request")?;
            let answer = self.once(&address, request).await?;
            let status = answer.status();
            // A message that is moved by 301, 302 or 303 would arrive as a request without it.
            let is_followed = match status {
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
                StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => *method == Method::GET,
                _ => false,
            };
            let location = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            match location.filter(|_| status.is_redirection()).map(|location| address.moved(location)) {
                _ if status.is_success() => return Ok(()),
                Some(next) if is_followed => address = next?,
                Some(Ok(next)) => {
                    let hint = format!("name the address that it has at {next} now");
                    return Err(Error::failed(format!("it answers {}", status.as_u16())).with_hint(hint));
                }
                _ => return Err(Error::failed(format!("it answers {}", status.as_u16()))),
            }
        }
        Err(Error::failed("it redirects again and again"))
    }

    /// One request to one address, through a proxy if one is set for it.
    async fn once(&self, address: &Address, mut request: Request1) -> Result<Response<Incoming>> {
        // The path is all that a receiver wants to know, and a proxy is told the whole address.
        let path = address.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().doing(|| "make a request")?;
        let stream: Box<dyn Stream> = match self.proxies.as_ref().and_then(|proxies| proxies.intercept(address.uri())) {
            None => Box::new(connect(address.host(), address.port()).await?),
            Some(proxy) if address.is_tls() => Box::new(tunnel(&proxy, address).await?),
            Some(proxy) => {
                *request.uri_mut() = address.uri().clone();
                if let Some(authorization) = proxy.basic_auth() {
                    request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
                }
                Box::new(dial(&proxy).await?)
            }
        };
        if !address.is_tls() {
            return exchange(stream, request).await;
        }
        let name = ServerName::try_from(address.host().to_owned()).doing(|| "understand the host's name")?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| {
            Error::failed("failed to agree on TLS")
                .with_source(error)
                .with_hint("if its certificate is of an authority of your own, name that in SSL_CERT_FILE")
        })?;
        exchange(stream, request).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("proxies", &self.proxies).field("time", &self.time).finish_non_exhaustive()
    }
}

async fn connect(host: &str, port: u16) -> Result<TcpStream> {
    TcpStream::connect((host, port)).await.doing(|| "connect")
}

/// Connects to a proxy.
async fn dial(proxy: &Intercept) -> Result<TcpStream> {
    let address: Address = proxy.uri().to_string().parse()?;
    if address.is_tls() {
        return Err(Error::failed("the proxy wants TLS to itself").with_hint("name a proxy whose URL begins with http://"));
    }
    connect(address.host(), address.port()).await.doing(|| format!("reach the proxy {address}"))
}

/// Has a proxy connect us to `address`.
async fn tunnel(proxy: &Intercept, address: &Address) -> Result<impl Stream + use<>> {
    let to = address.authority(true);
    let mut request = Request::builder().method(Method::CONNECT).uri(to.parse::<Uri>().doing(|| "name the host to the proxy")?);
    request = request.header(HOST, to);
    if let Some(authorization) = proxy.basic_auth() {
        request = request.header(PROXY_AUTHORIZATION, HeaderValue::clone(authorization));
    }
    let request = request.body(Full::new(Bytes::new())).doing(|| "make a request")?;
    let io = TokioIo::new(dial(proxy).await?);
    let (mut sender, connection) = builder().handshake(io).await.doing(|| "speak to the proxy")?;
    let asked = async move {
        let answer = sender.send_request(request).await?;
        match answer.status() {
            StatusCode::OK => Ok::<_, BoxError>(hyper::upgrade::on(answer).await?),
            status => Err(Error::failed(format!("it answers {}", status.as_u16())).into()),
        }
    };
    // The tunnel is ours once the connection has let go of it.
    let (asked, _) = tokio::join!(asked, connection.with_upgrades());
    Ok(TokioIo::new(asked.doing(|| "have the proxy connect us")?))
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD);
    builder
}

/// Sends a request and awaits the head of the answer.
async fn exchange(stream: impl Stream + 'static, request: Request1) -> Result<Response<Incoming>> {
    let (mut sender, connection) = builder().handshake(TokioIo::new(stream)).await.doing(|| "speak HTTP")?;
    let mut answer = std::pin::pin!(sender.send_request(request));
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        // It has ended, so there is an answer or there never will be one.
        _ = connection => answer.await,
    };
    answer.doing(|| "get an answer")
}
