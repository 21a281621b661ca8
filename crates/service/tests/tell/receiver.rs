//! An HTTP receiver on 127.0.0.1 that answers as it is told and remembers what it was asked.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

/// What a receiver does with one request.
pub(crate) enum Answer {
    /// Sends these bytes and closes.
    Bytes(String),
    /// Says nothing, for as long as the client waits.
    Hang,
    /// Sends these bytes again and again.
    Endless(&'static str),
}

/// An answer of `status` with some `headers`, each with its line's end.
pub(crate) fn status(status: u16, headers: &str) -> Answer {
    Answer::Bytes(format!("HTTP/1.1 {status} Whatever\r\n{headers}Content-Length: 2\r\n\r\nok"))
}

#[derive(Default)]
struct Shared {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<String>>,
    more: Notify,
}

/// It answers 200 once it has no other answer left.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Receiver {
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::start_with(answers, None).await
    }

    pub(crate) async fn start_with(answers: impl IntoIterator<Item = Answer>, tls: Option<TlsAcceptor>) -> Self {
        let shared = Arc::new(Shared { answers: Mutex::new(answers.into_iter().collect()), ..Shared::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let to = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a client");
                let (shared, tls) = (Arc::clone(&to), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => answer(stream, &shared).await,
                        // Who does not like the certificate is gone.
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => answer(stream, &shared).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self { address, shared }
    }

    /// The URL of `path` here.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next `count` requests, head and body. Fails the test if they do not come.
    pub(crate) async fn asked(&self, count: usize) -> Vec<String> {
        let waiting = async {
            while self.shared.asked.lock().expect("asked").len() < count {
                self.shared.more.notified().await;
            }
        };
        let came = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        let asked = std::mem::take(&mut *self.shared.asked.lock().expect("asked"));
        assert!(came.is_ok(), "{count} requests were to come: {asked:?}");
        asked
    }

    /// How many requests have come that nobody has looked at.
    pub(crate) fn count(&self) -> usize {
        self.shared.asked.lock().expect("asked").len()
    }
}

/// Reads a request and answers it; none once the client has gone.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) -> Option<()> {
    let mut text = Vec::new();
    let head = loop {
        if let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut text).await.ok()? == 0 {
            return None;
        }
    };
    let lines = String::from_utf8_lossy(&text[..head]).to_lowercase();
    if let Some(to) = lines.strip_prefix("connect ").and_then(|rest| rest.split(' ').next()) {
        // A proxy that really connects, whatever the name.
        shared.asked.lock().expect("asked").push(String::from_utf8_lossy(&text).into_owned());
        let port = to.rsplit(':').next()?;
        let mut there = TcpStream::connect(format!("127.0.0.1:{port}")).await.ok()?;
        stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.ok()?;
        copy_bidirectional(&mut stream, &mut there).await.ok()?;
        return Some(());
    }
    let length =
        lines.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().expect("a length"));
    while text.len() < head + length {
        if stream.read_buf(&mut text).await.ok()? == 0 {
            return None;
        }
    }
    shared.asked.lock().expect("asked").push(String::from_utf8(text).expect("text"));
    shared.more.notify_one();
    let answer = shared.answers.lock().expect("answers").pop_front();
    match answer.unwrap_or_else(|| status(200, "")) {
        Answer::Bytes(bytes) => stream.write_all(bytes.as_bytes()).await.ok()?,
        Answer::Hang => std::future::pending().await,
        Answer::Endless(bytes) => loop {
            stream.write_all(bytes.as_bytes()).await.ok()?;
        },
    }
    stream.shutdown().await.ok()
}
