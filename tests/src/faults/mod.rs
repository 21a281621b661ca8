//! A proxy before an S3 gateway that spoils answers on purpose, and counts what passes.
//!
//! It speaks HTTP/1.1 on both sides and hands requests on as they are, `Host` included, so that their signatures hold. What a
//! [`Fault`] does to an answer is in `fault.rs`. What changes in the bucket meanwhile is done by [`Proxy::meanwhile`].

mod fault;
pub mod table;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, EXPECT, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

pub use fault::Fault;

/// What a request asks of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A page of a listing of objects.
    Listing,
    /// An object, or a range of one.
    Get,
    /// What is known of an object.
    Head,
    /// An object is stored in one request.
    Put,
    /// An object becomes a copy of another.
    Copy,
    /// A multipart upload begins.
    Begin,
    /// A part of one is stored.
    Part,
    /// A multipart upload becomes an object.
    Complete,
    /// A multipart upload is given up.
    Abort,
    /// One object is deleted, or several are.
    Delete,
    /// Anything else: buckets, uploads under way.
    Other,
}

impl Asked {
    /// By method, path and query, as path-style requests have them.
    fn of<B>(request: &Request<B>) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let has = |name: &str| query.split('&').any(|part| part.split('=').next() == Some(name));
        let path = request.uri().path();
        let is_object = path.trim_start_matches('/').split_once('/').is_some_and(|(_, key)| !key.is_empty());
        match (request.method(), is_object) {
            (&Method::GET, false) if path == "/" || has("uploads") || has("location") || has("versioning") => Self::Other,
            (&Method::GET, false) => Self::Listing,
            (&Method::GET, true) if has("uploadId") => Self::Other,
            (&Method::GET, true) => Self::Get,
            (&Method::HEAD, true) => Self::Head,
            (&Method::PUT, true) if has("partNumber") => Self::Part,
            (&Method::PUT, true) if request.headers().contains_key("x-amz-copy-source") => Self::Copy,
            (&Method::PUT, true) => Self::Put,
            (&Method::POST, true) if has("uploads") => Self::Begin,
            (&Method::POST, true) if has("uploadId") => Self::Complete,
            (&Method::DELETE, true) if has("uploadId") => Self::Abort,
            (&Method::DELETE, true) => Self::Delete,
            (&Method::POST, false) if has("delete") => Self::Delete,
            _ => Self::Other,
        }
    }
}

/// A request that passed, and what was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it asked.
    pub asked: Asked,
    /// Its path and query.
    pub target: String,
    /// The status that the client got; 0 if it got none.
    pub status: u16,
    /// How many bytes of the answer's body the client was sent.
    pub bytes: u64,
    /// What it suffered.
    pub fault: Option<Fault>,
}

/// A fault for some of the requests of a kind.
#[derive(Debug)]
struct Rule {
    asked: Option<Asked>,
    skip: usize,
    times: usize,
    fault: Fault,
}

/// When something changes meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before the gateway is asked for the object.
    Asked,
    /// After its answer has begun, of which the client has nothing yet.
    Answered,
}

/// What changes, and when.
type Change = (When, Box<dyn FnOnce() + Send>);

struct State {
    gateway: SocketAddr,
    rules: Mutex<Vec<Rule>>,
    /// Whoever fetches an object waits for it.
    change: tokio::sync::Mutex<Option<Change>>,
    seen: Mutex<Vec<Seen>>,
}

type Body = BoxBody<Bytes, std::io::Error>;

/// A running proxy. Dropped, it takes its connections along.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proxy").field(&self.address).finish()
    }
}

impl Proxy {
    /// A proxy on a free port of this machine that hands on to `gateway`.
    pub fn start(gateway: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("set");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(State { gateway, rules: Mutex::default(), change: Default::default(), seen: Mutex::default() });
        let shared = Arc::clone(&state);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, Arc::clone(&shared)));
            }
        });
        Self { address, state, runtime: Some(runtime) }
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Spoils requests that ask for `asked`, or all if that is none: the first `skip` of them pass, the next `times` do not.
    /// Of several faults for one request it is the one that was asked for first.
    pub fn spoil(&self, asked: impl Into<Option<Asked>>, skip: usize, times: usize, fault: Fault) {
        locked(&self.state.rules).push(Rule { asked: asked.into(), skip, times, fault });
    }

    /// Does `change` once, while the next object, or a range of one, is fetched. Until it is done the client gets nothing of that, and
    /// other requests for objects wait.
    pub fn meanwhile(&self, when: When, change: impl FnOnce() + Send + 'static) {
        *self.state.change.blocking_lock() = Some((when, Box::new(change)));
    }

    /// Lets everything pass from now on.
    pub fn heal(&self) {
        locked(&self.state.rules).clear();
    }

    /// What passed since it was last asked, in the order of the answers.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut locked(&self.state.seen))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection of a client, request by request.
async fn serve(client: TcpStream, state: Arc<State>) -> std::io::Result<()> {
    let client = client.into_std()?;
    let last = TcpStream::from_std(client.try_clone()?)?;
    let service = service_fn(|request| handle(request, Arc::clone(&state)));
    let connection = TokioIo::new(TcpStream::from_std(client)?);
    if hyper::server::conn::http1::Builder::new().serve_connection(connection, service).await.is_err() {
        // It ends as that of a gateway that died: reset.
        last.set_zero_linger()?;
    }
    Ok(())
}

/// One request: handed on, spoiled, or both.
async fn handle(request: Request<Incoming>, state: Arc<State>) -> Result<Response<Body>, std::io::Error> {
    let request = request.map(|body| body.map_err(std::io::Error::other).boxed());
    let asked = Asked::of(&request);
    let target = request.uri().to_string();
    let fault = state.fault(asked);
    let answer = match fault.clone() {
        Some(fault) => fault.spoil(request, |request| hand_on(request, &state)).await,
        None if asked == Asked::Get => state.fetch(request).await,
        None => hand_on(request, &state).await,
    };
    let status = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
    let mut seen = locked(&state.seen);
    let at = seen.len();
    seen.push(Seen { asked, target, status, bytes: 0, fault });
    drop(seen);
    Ok(answer?.map(|body| counted(body, at, state)))
}

impl State {
    /// Asks the gateway for an object, which may change meanwhile.
    async fn fetch(&self, request: Request<Body>) -> Result<Response<Body>, std::io::Error> {
        let mut waiting = self.change.lock().await;
        let Some((when, change)) = waiting.take() else {
            drop(waiting);
            return hand_on(request, self).await;
        };
        let change = || tokio::task::spawn_blocking(change);
        if when == When::Asked {
            change().await.map_err(std::io::Error::other)?;
            return hand_on(request, self).await;
        }
        let answer = hand_on(request, self).await;
        change().await.map_err(std::io::Error::other)?;
        answer
    }

    /// What this request is to suffer.
    fn fault(&self, asked: Asked) -> Option<Fault> {
        let mut rules = locked(&self.rules);
        let mut found = None;
        for rule in rules.iter_mut().filter(|rule| rule.asked.is_none_or(|one| one == asked)) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 && found.is_none() {
                rule.times -= 1;
                found = Some(rule.fault.clone());
            }
        }
        found
    }
}

/// Asks the gateway, over a connection of its own.
async fn hand_on(mut request: Request<Body>, state: &State) -> Result<Response<Body>, std::io::Error> {
    let stream = TcpStream::connect(state.gateway).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
    tokio::spawn(connection);
    // The client is told to go on as soon as its body is read.
    request.headers_mut().remove(EXPECT);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    let mut answer = sender.send_request(request).await.map_err(std::io::Error::other)?;
    answer.headers_mut().remove(CONNECTION);
    Ok(answer.map(|body| body.map_err(std::io::Error::other).boxed()))
}

/// The same body, its bytes added up in what was seen.
fn counted(body: Body, at: usize, state: Arc<State>) -> Body {
    body.map_frame(move |frame| {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        if let Some(seen) = locked(&state.seen).get_mut(at) {
            seen.bytes += bytes as u64;
        }
        frame
    })
    .boxed()
}

/// An answer of the proxy's own.
fn answer(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}
