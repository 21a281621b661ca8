//! What is asked over HTTP, and what is answered.

use std::sync::Arc;
use std::time::Duration;

use backup_core::{Doing, Error, Name, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{HeaderMap, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use tokio::sync::Semaphore;

use crate::http::Token;
use crate::{Desk, Metrics};

/// The longest body of a request, in bytes; nothing here needs any.
const BODY: u64 = 4096;

/// How long files may take that an answer needs.
const FILES: Duration = Duration::from_secs(5);

/// How many answers may wait for files at once: a file system that hangs must not take all threads.
const READERS: usize = 4;

pub(super) type Answer = Response<Full<Bytes>>;

/// What answers need.
#[derive(Debug)]
pub(super) struct Routes {
    pub(super) desk: Desk,
    pub(super) metrics: Metrics,
    pub(super) token: Option<Token>,
    files: Arc<Semaphore>,
}

impl Routes {
    pub(super) fn new(desk: Desk, metrics: Metrics) -> Self {
        Self { desk, metrics, token: None, files: Arc::new(Semaphore::new(READERS)) }
    }

    /// Answers one request.
    pub(super) async fn answer(&self, request: &Request<Incoming>) -> Answer {
        if request.body().size_hint().exact().is_none_or(|size| size > BODY) {
            return say(StatusCode::PAYLOAD_TOO_LARGE, "send no body\n");
        }
        let (method, path) = (request.method(), request.uri().path());
        let job = path.strip_prefix("/jobs/").and_then(|rest| rest.strip_suffix("/run"));
        let allowed = match (path, job) {
            ("/healthz" | "/readyz" | "/metrics", _) => "GET, HEAD",
            (_, Some(_)) => "POST",
            _ => return say(StatusCode::NOT_FOUND, "there are /healthz, /readyz, /metrics and /jobs/NAME/run\n"),
        };
        if !allowed.split(", ").any(|allowed| method == allowed) {
            let mut answer = say(StatusCode::METHOD_NOT_ALLOWED, "this takes another method\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
            return answer;
        }
        match (path, job) {
            (_, Some(job)) => self.run(job, request.headers()),
            ("/healthz", _) if self.desk.is_alive() => say(StatusCode::OK, "ok\n"),
            ("/healthz", _) => say(StatusCode::SERVICE_UNAVAILABLE, "the service does not run\n"),
            ("/readyz", _) => {
                let desk = self.desk.clone();
                self.reading(move || desk.ready()).await.map_or_else(|answer| answer, |()| say(StatusCode::OK, "ok\n"))
            }
            _ => self.metrics().await,
        }
    }

    /// Does what waits for files elsewhere, and answers for it if it fails.
    async fn reading<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T, Answer> {
        let reading = async {
            let reader = Arc::clone(&self.files).acquire_owned().await.doing(|| "wait for other readers")?;
            let work = move || {
                let _reader = reader;
                work()
            };
            tokio::task::spawn_blocking(work).await.doing(|| "answer")?
        };
        let read = tokio::time::timeout(FILES, reading).await;
        read.unwrap_or_else(|_| Err(Error::failed("the files of the service do not answer"))).map_err(|error| {
            // Who asks may be anybody, and paths are for the log.
            tracing::warn!("{}", error.chain());
            say(StatusCode::SERVICE_UNAVAILABLE, "not ready: the log says why\n")
        })
    }

    async fn metrics(&self) -> Answer {
        let metrics = self.metrics.clone();
        match self.reading(move || metrics.text()).await {
            Err(answer) => answer,
            Ok(text) => {
                let mut answer = say(StatusCode::OK, text);
                let content = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                answer.headers_mut().insert(CONTENT_TYPE, content);
                answer
            }
        }
    }

    /// Has a job run, for somebody who shows the token.
    fn run(&self, job: &str, headers: &HeaderMap) -> Answer {
        let Some(token) = &self.token else {
            return say(StatusCode::FORBIDDEN, "runs cannot be asked for here: configure a token for HTTP first\n");
        };
        if !headers.get(AUTHORIZATION).is_some_and(|shown| token.is_shown_by(shown.as_bytes())) {
            let mut answer = say(StatusCode::UNAUTHORIZED, "show the token: Authorization: Bearer TOKEN\n");
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return answer;
        }
        let name = percent_decode_str(job).decode_utf8().ok().and_then(|name| name.parse::<Name>().ok());
        match name.map(|name| self.desk.ask(&name)) {
            Some(Ok(())) => say(StatusCode::ACCEPTED, "it runs as soon as it can\n"),
            _ => say(StatusCode::NOT_FOUND, "there is no such job\n"),
        }
    }
}

/// An answer of plain text.
pub(super) fn say(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
