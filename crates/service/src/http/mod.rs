//! A small HTTP server: whether the service lives, how its jobs stand, and a run now.

mod routes;
mod token;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use backup_core::{Context, Doing, Error, Result};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{Desk, Metrics};
use routes::Routes;
pub use token::Token;

/// How many clients are answered at once. Others wait in the kernel's queue.
const CLIENTS: usize = 64;

/// How long a client may take to ask, be answered and read the answer.
const TIME: Duration = Duration::from_secs(10);

/// The most that the head of a request may hold, in bytes, and in headers.
const HEAD: usize = 16 << 10;
const HEADERS: usize = 64;

/// The server. HTTP/1.1 without TLS, one request per connection:
///
/// | | |
/// | --- | --- |
/// | `GET /healthz` | 200 while the loop of the service turns, else 503 |
/// | `GET /readyz` | 200 once the jobs are loaded and while their state can be kept, else 503 |
/// | `GET /metrics` | [`Metrics`] |
/// | `POST /jobs/NAME/run` | with `Authorization: Bearer TOKEN`: 202 and the job runs as soon as it can; 401, 403 without a token set, 404 |
///
/// `NAME` is %-escaped where a path needs it.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    routes: Routes,
    time: Duration,
}

impl Server {
    /// Listens at `address`; port 0 is any that is free. What it asks of `desk` and `metrics` is of one service.
    pub async fn bind(address: SocketAddr, desk: Desk, metrics: Metrics) -> Result<Self> {
        let listening = async {
            let listener = TcpListener::bind(address).await?;
            listener.local_addr().map(|address| (listener, address))
        };
        let (listener, address) = listening.await.map_err(|error| {
            Error::failed(format!("failed to listen for HTTP at {address}"))
                .with_source(error)
                .with_hint("give an address of this machine and a port that nothing else has")
        })?;
        Ok(Self { listener, address, routes: Routes::new(desk, metrics), time: TIME })
    }

    /// Lets clients that show `token` ask for runs. Without it nobody can.
    pub fn with_token(mut self, token: Token) -> Self {
        self.routes.token = Some(token);
        self
    }

    /// Lets go of a client after `time` instead of 10 seconds.
    pub fn with_time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `cx` is cancelled; then clients that are being answered get a second to hear the rest. No client makes it
    /// fail.
    pub async fn run(self, cx: &Context) -> Result<()> {
        let routes = Arc::new(self.routes);
        let clients = Arc::new(Semaphore::new(CLIENTS));
        let mut answering = JoinSet::new();
        loop {
            let next = async {
                let client = Arc::clone(&clients).acquire_owned().await.doing(|| "wait for a client to go")?;
                Ok::<_, Error>((client, self.listener.accept().await))
            };
            let (client, accepted) = tokio::select! {
                () = cx.cancel.cancelled() => break,
                Some(_) = answering.join_next() => continue,
                next = next => next?,
            };
            match accepted {
                Ok((stream, _)) => {
                    let routes = Arc::clone(&routes);
                    answering.spawn(async move {
                        let _client = client;
                        serve(stream, &routes, self.time).await;
                    });
                }
                Err(error) => {
                    // Out of files, or a client that has gone already.
                    tracing::warn!(%error, "a client of HTTP could not be let in");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        let all = async { while answering.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(1), all).await;
        Ok(())
    }
}

/// Answers one client.
async fn serve(stream: TcpStream, routes: &Routes, time: Duration) {
    let mut http = http1::Builder::new();
    http.max_buf_size(HEAD).max_headers(HEADERS).keep_alive(false);
    let answer = service_fn(async |request| Ok::<_, Infallible>(routes.answer(&request).await));
    match tokio::time::timeout(time, http.serve_connection(TokioIo::new(stream), answer)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a client of HTTP was not understood"),
        Err(_) => tracing::debug!("a client of HTTP took too long"),
    }
}
