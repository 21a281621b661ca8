//! The HTTP server of a running service, asked by clients good and bad, and the metrics that it gives.

#![expect(clippy::panic, reason = "a test fails by panicking")]

mod metrics;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use backup_core::{Context, Error, Kind, Name, Result};
use backup_service::http::Server;
use backup_service::testing::MovedClock;
use backup_service::{Desk, Job, Metrics, Outcome, Schedule, Service, Why, Work};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

const TOKEN: &str = "0123456789abcdef";

/// A name that is hard to write into a path and a label.
const ODD: &str = "a/b \"c\"\\\n%é";

#[derive(Debug, Default)]
struct Told {
    outcomes: Mutex<Vec<Result<Outcome>>>,
    runs: AtomicU32,
    ran: Notify,
    /// A run waits for this, if there is such a gate.
    gate: Mutex<Option<Arc<Notify>>>,
}

#[async_trait]
impl Work for Told {
    async fn run(&self, _: &Context, _: Why) -> Result<Outcome> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.ran.notify_one();
        let gate = self.gate.lock().expect("a gate").clone();
        if let Some(gate) = gate {
            gate.notified().await;
        }
        let outcome = self.outcomes.lock().expect("outcomes").pop();
        outcome.unwrap_or_else(|| Ok(Outcome::Done { line: "done".into(), bytes: Some(17) }))
    }

    fn is_proof(&self) -> bool {
        !self.outcomes.lock().expect("outcomes").is_empty()
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

struct Bench {
    address: SocketAddr,
    desk: Desk,
    metrics: Metrics,
    works: BTreeMap<&'static str, Arc<Told>>,
    clock: Arc<MovedClock>,
    /// Of the service and of the server.
    contexts: (Context, Context),
    state: tempfile::TempDir,
}

impl Bench {
    async fn start(change: impl FnOnce(Server) -> Server) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(MovedClock::at("2026-11-01T12:00:00Z".parse().expect("a time")));
        let works: BTreeMap<_, Arc<Told>> = ["shop", ODD].map(|job| (job, Arc::default())).into();
        let job = |(text, work): (&&str, &Arc<Told>)| Job {
            name: name(text),
            schedule: Schedule::cron("0 1 * * *", TimeZone::UTC).expect("cron"),
            at_start: false,
            jitter: SignedDuration::ZERO,
            late: SignedDuration::from_hours(1),
            retries: 0,
            work: work.clone(),
        };
        let service = Service::new(works.iter().map(job).collect(), state.path(), 2).expect("a service");
        let service = service.with_clock(clock.clone());
        let desk = service.desk();
        let metrics = Metrics::new(desk.clone()).with_place(name("shop"), state.path()).with_place(name(ODD), "/no/such/place");
        let server = Server::bind("127.0.0.1:0".parse().expect("an address"), desk.clone(), metrics.clone()).await;
        let server = change(server.expect("a server"));
        let (address, contexts) = (server.address(), (Context::default(), Context::default()));
        let (one, two) = contexts.clone();
        tokio::spawn(async move { service.run(&one).await.expect("it ends well") });
        tokio::spawn(async move { server.run(&two).await.expect("it ends well") });
        while !desk.is_alive() {
            tokio::task::yield_now().await;
        }
        Self { address, desk, metrics, works, clock, contexts, state }
    }

    /// Sends `request` as it is, and returns all that is answered.
    async fn send(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("a server");
        let mut answer = Vec::new();
        // Who is refused while it still talks may not hear why.
        let _ = stream.write_all(request).await;
        let _ = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await.expect("it closes");
        String::from_utf8(answer).expect("text")
    }

    /// The status and the body for a request with `headers`, each with its line's end.
    async fn ask(&self, line: &str, headers: &str) -> (u16, String) {
        let answer = self.send(format!("{line} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{line:?} is answered {answer:?}"));
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).expect("a status");
        (status.parse().expect("a number"), body.to_owned())
    }

    async fn status(&self, line: &str) -> u16 {
        self.ask(line, "").await.0
    }

    fn runs(&self, job: &str) -> u32 {
        self.works[job].runs.load(Ordering::SeqCst)
    }

    async fn ran(&self, job: &str) {
        tokio::time::timeout(Duration::from_secs(10), self.works[job].ran.notified()).await.expect("it runs");
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn it_says_whether_the_service_lives_and_is_ready() {
    let bench = Bench::start(|server| server).await;
    assert_eq!(bench.ask("GET /healthz", "").await, (200, "ok\n".into()));
    assert_eq!(bench.ask("GET /readyz?verbose", "").await, (200, "ok\n".into()));
    assert_eq!(bench.ask("HEAD /readyz", "").await, (200, String::new()));
    let left: Vec<_> =
        std::fs::read_dir(bench.state.path()).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("probe")), "{left:?}");
    std::fs::remove_dir_all(bench.state.path()).expect("removed");
    let (status, body) = bench.ask("GET /readyz", "").await;
    assert_eq!(status, 503);
    assert!(!body.contains(&bench.state.path().display().to_string()), "paths are for the log: {body}");
    assert_eq!(bench.status("GET /healthz").await, 200);
    bench.contexts.0.cancel.cancel();
    while bench.desk.is_alive() {
        tokio::task::yield_now().await;
    }
    assert_eq!((bench.status("GET /healthz").await, bench.status("GET /readyz").await), (503, 503));
}

#[tokio::test]
async fn a_run_is_asked_for_with_the_token() {
    let bench = Bench::start(|server| server.with_token(TOKEN.parse().expect("a token"))).await;
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(bench.ask("POST /jobs/shop/run", &token).await.0, 202);
    bench.ran("shop").await;
    assert_eq!(
        bench.ask("POST /jobs/a%2Fb%20%22c%22%5C%0A%25%C3%A9/run", &format!("{token}Content-Length: 0\r\n")).await.0,
        202
    );
    bench.ran(ODD).await;
    assert_eq!((bench.runs("shop"), bench.runs(ODD)), (1, 1));
    for stranger in [
        "",
        "Authorization: Bearer 0123456789abcdee\r\n",
        "Authorization: Digest 0123456789abcdef\r\n",
        "Authorization: Bearer\r\n",
    ] {
        assert_eq!(bench.ask("POST /jobs/shop/run", stranger).await.0, 401, "{stranger}");
        assert_eq!(bench.ask("POST /jobs/nobody/run", stranger).await.0, 401, "who has no token learns no names");
    }
    for path in ["nobody", "", "%00", "%ff", "shop%2F", "../shop", "shop/run"] {
        assert_eq!(bench.ask(&format!("POST /jobs/{path}/run"), &token).await.0, 404, "{path}");
    }
    assert_eq!(bench.ask("GET /jobs/shop/run", &token).await.0, 405);
    assert_eq!((bench.runs("shop"), bench.runs(ODD)), (1, 1));
}

#[tokio::test]
async fn without_a_token_nobody_asks_for_a_run() {
    let bench = Bench::start(|server| server).await;
    let (status, body) = bench.ask("POST /jobs/shop/run", "Authorization: Bearer \r\n").await;
    assert!(status == 403 && body.contains("configure a token"), "{status} {body}");
    assert_eq!(bench.runs("shop"), 0);
}

#[tokio::test]
async fn what_is_hostile_is_refused_and_the_next_one_is_answered() {
    let bench = Bench::start(|server| server.with_token(TOKEN.parse().expect("a token"))).await;
    for (line, status) in [
        ("GET /", 404),
        ("GET /metrics/", 404),
        ("GET //healthz", 404),
        ("GET /%68ealthz", 404),
        ("POST /healthz", 405),
        ("BREW /metrics", 405),
        ("OPTIONS *", 404),
        ("GET /../../etc/passwd", 404),
        ("GET /jobs/run", 404),
        ("POST /jobs/run", 404),
    ] {
        assert_eq!(bench.status(line).await, status, "{line}");
    }
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    for body in ["Content-Length: 4097\r\n", "Content-Length: 18446744073709551615\r\n", "Transfer-Encoding: chunked\r\n"] {
        assert_ne!(bench.ask("POST /jobs/shop/run", &format!("{token}{body}")).await.0, 202, "{body}");
    }
    let long = "x".repeat(70_000);
    let many: String = (0..1000).map(|nth| format!("X{nth}: y\r\n")).collect();
    for request in [
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n"),
        format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
        "GET /metrics HTTP/1.1\r\nHost : x\r\n\r\n".into(),
        "GET /metrics\r\n\r\n".into(),
        "\u{16}\u{3}\u{1}\0\0".into(),
        "\r\n".repeat(50_000),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
        "POST /jobs/shop/run HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".into(),
    ] {
        let answer = bench.send(request.as_bytes()).await;
        let start: String = request.chars().take(40).collect();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{start:?} is answered {answer:?}");
    }
    assert_eq!(bench.runs("shop"), 0);
    assert_eq!(bench.status("GET /healthz").await, 200);
}

#[tokio::test]
async fn clients_that_say_nothing_do_not_keep_others_out() {
    let bench = Bench::start(|server| server.with_time(Duration::from_millis(300))).await;
    let before = Instant::now();
    let mut silent = Vec::new();
    for nth in 0..120 {
        let mut stream = TcpStream::connect(bench.address).await.expect("a server");
        if nth % 2 == 0 {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nX: ").await.expect("written");
        }
        silent.push(stream);
    }
    assert_eq!(bench.status("GET /healthz").await, 200);
    assert!(before.elapsed() > Duration::from_millis(200), "at some point it was full");
    for mut stream in silent {
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "it was let go");
    }
    // The end of the server is an end.
    let open = TcpStream::connect(bench.address).await.expect("a server");
    bench.contexts.1.cancel.cancel();
    while TcpStream::connect(bench.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    drop(open);
}

#[tokio::test]
async fn an_address_that_is_taken_is_told() {
    let bench = Bench::start(|server| server).await;
    let error = Server::bind(bench.address, bench.desk.clone(), bench.metrics.clone()).await.expect_err("it is taken");
    assert_eq!(error.kind(), Kind::Failed);
    assert!(error.chain().contains(&bench.address.to_string()) && error.hint().is_some(), "{error:?}");
}
