//! A listing server: it plays a bucket of as many objects as a test wants, which no real server could be filled with in time.

use std::convert::Infallible;
use std::fmt::Write;
use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, ETAG, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The MD5 of nothing, which all its objects are.
const EMPTY: &str = "\"d41d8cd98f00b204e9800998ecf8427e\"";
/// How many objects stand on a page.
const PAGE: u64 = 1000;

/// A running server on 127.0.0.1. Every bucket that it is asked for has the same empty objects; it takes every object that it is
/// given, and forgets it. It looks at no signature. Dropped, it takes its connections along.
#[derive(Debug)]
pub struct ListingServer {
    address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl ListingServer {
    /// A server whose buckets have `objects`, but the bucket `empty`, which has none.
    pub fn start(objects: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("set");
        let address = listener.local_addr().expect("its address");
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            while let Ok((client, _)) = listener.accept().await {
                let _ = client.set_nodelay(true);
                let service = service_fn(move |request| answer(request, objects));
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(client), service));
            }
        });
        Self { address, runtime: Some(runtime) }
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The key of an object; they are in byte order.
    pub fn key(nth: u64) -> String {
        format!("wal_005/{nth:024X}.lzo")
    }
}

impl Drop for ListingServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn answer(request: Request<Incoming>, objects: u64) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let _ = body.collect().await;
    let (bucket, key) = parts.uri.path().trim_start_matches('/').split_once('/').unwrap_or((parts.uri.path(), ""));
    let is_listing = parts.method == Method::GET && key.is_empty();
    let text = match is_listing {
        true if bucket.trim_start_matches('/') == "empty" => page("", 0),
        true => page(parts.uri.query().unwrap_or_default(), objects),
        false => String::new(),
    };
    let mut answer = Response::new(Full::from(text));
    let headers = answer.headers_mut();
    if is_listing {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    } else {
        headers.insert(ETAG, HeaderValue::from_static(EMPTY));
    }
    if parts.method == Method::DELETE {
        *answer.status_mut() = StatusCode::NO_CONTENT;
    }
    Ok(answer)
}

/// A page of ListObjectsV2: the token is the number of the first object on it.
fn page(query: &str, objects: u64) -> String {
    let parameter = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let first: u64 = parameter("continuation-token").and_then(|token| token.parse().ok()).unwrap_or_default();
    let most = parameter("max-keys").and_then(|most| most.parse().ok()).unwrap_or(PAGE).min(PAGE);
    let last = objects.min(first.saturating_add(most));
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult>");
    for nth in first..last {
        let key = ListingServer::key(nth);
        let _ = write!(
            text,
            "<Contents><Key>{key}</Key><LastModified>2015-02-01T10:15:00.000Z</LastModified><ETag>{EMPTY}</ETag><Size>0</Size>\
             <StorageClass>STANDARD</StorageClass></Contents>"
        );
    }
    let _ = write!(text, "<IsTruncated>{}</IsTruncated>", last < objects);
    if last < objects {
        let _ = write!(text, "<NextContinuationToken>{last}</NextContinuationToken>");
    }
    text + "</ListBucketResult>"
}
