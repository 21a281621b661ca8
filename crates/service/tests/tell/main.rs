//! Notices that go out to a real receiver, whatever it does.

mod client;
mod log;
mod missed;
mod receiver;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use backup_core::{Error, Name, Result};
use backup_service::tell::{Channel, Client, Form, PagerDuty, Patience, Ping, Telling, Wants, Webhook};
use backup_service::{Listener, Notice, What};
use jiff::SignedDuration;
use log::Log;
use receiver::{Answer, Receiver, status};

/// Long enough for a busy machine, and short enough for a test that fails.
const GRACE: Duration = Duration::from_secs(20);

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn notice(what: What) -> Notice {
    Notice { job: name("shop"), at: "2026-11-02T01:00:00Z".parse().expect("a time"), what }
}

fn succeeded(after: u32) -> Notice {
    notice(What::Succeeded { line: "stored 3 MiB".into(), took: SignedDuration::from_secs(2), after })
}

fn failed(line: &str) -> Notice {
    notice(What::Failed { line: line.into(), hint: Some("start it".into()), failures: 1 })
}

fn missed() -> Notice {
    notice(What::Missed { due: "2026-11-01T01:00:00Z".parse().expect("a time"), count: 1 })
}

fn late() -> Notice {
    notice(What::Late { due: "2026-11-01T01:00:00Z".parse().expect("a time"), begun: true })
}

fn idle() -> Notice {
    notice(What::Idle { line: "nothing new".into() })
}

fn begun() -> Notice {
    notice(What::Begun)
}

fn started() -> Notice {
    notice(What::Started { line: "serving".into() })
}

fn client() -> Client {
    Client::new([]).expect("a client")
}

fn webhook(url: &str) -> Webhook {
    Webhook {
        client: Arc::new(client()),
        address: url.parse().expect("a URL"),
        friendly_name: "The shop & more".into(),
        name: "shop-prod".into(),
        form: Form::UrlEncoded,
        wants: Wants::All,
    }
}

/// One that waits so little that a test can wait for it.
fn impatient() -> Patience {
    Patience { first: Duration::from_millis(5), longest: Duration::from_millis(20), total: GRACE, ..Patience::default() }
}

fn telling(channel: impl Channel + 'static, patience: Patience) -> Telling {
    Telling::new([Arc::new(channel) as Arc<dyn Channel>], patience)
}

/// Tells `notices` over `channel`, to the end.
async fn tell(channel: impl Channel + 'static, notices: &[Notice]) {
    let telling = telling(channel, impatient());
    notices.iter().for_each(|notice| telling.on(notice));
    telling.finish(GRACE).await;
}

fn body(request: &str) -> &str {
    request.split_once("\r\n\r\n").expect("a head and a body").1
}

/// The lines of a head, in lower case.
fn head(request: &str) -> Vec<String> {
    request.split_once("\r\n\r\n").expect("a head").0.to_lowercase().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_webhook_gets_the_four_fields_of_the_backup_container() {
    let receiver = Receiver::start([]).await;
    tell(
        webhook(&receiver.url("/hooks/t0ken?key=s3cret")),
        &[begun(), succeeded(0), late(), failed("no\nroute: 100% \"é\" & co")],
    )
    .await;
    let asked = receiver.asked(4).await;
    let lines = head(&asked[0]);
    assert_eq!(lines[0], "post /hooks/t0ken?key=s3cret http/1.1");
    assert!(lines.contains(&"content-type: application/x-www-form-urlencoded".into()), "{lines:?}");
    assert!(lines.contains(&format!("host: {}", receiver.address)), "{lines:?}");
    let fields = |request: &str| form_urlencoded::parse(body(request).as_bytes()).into_owned().collect::<Vec<_>>();
    let told = |status: &str, message: &str| {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        vec![
            field("projectFriendlyName", "The shop & more"),
            field("projectName", "shop-prod"),
            field("statusCode", status),
            field("message", message),
        ]
    };
    assert_eq!(fields(&asked[0]), told("INFO", "shop: begun"));
    assert_eq!(fields(&asked[1]), told("INFO", "shop: stored 3 MiB in 2s"));
    assert_eq!(fields(&asked[2]), told("WARN", "shop: the run that was due at 2026-11-01T01:00:00Z still goes on"));
    assert_eq!(fields(&asked[3]), told("ERROR", "shop: failed: no route: 100% \"é\" & co (start it)"));
}

#[tokio::test]
async fn a_webhook_of_json_says_more() {
    let receiver = Receiver::start([]).await;
    tell(Webhook { form: Form::Json, ..webhook(&receiver.url("/")) }, &[failed("a \"quote\" \\ ")]).await;
    let asked = receiver.asked(1).await;
    assert!(head(&asked[0]).contains(&"content-type: application/json".into()), "{asked:?}");
    let told: serde_json::Value = serde_json::from_str(body(&asked[0])).expect("JSON");
    let expected = serde_json::json!({
        "projectFriendlyName": "The shop & more", "projectName": "shop-prod", "statusCode": "ERROR",
        "message": "shop: failed: a \"quote\" \\  (start it)", "job": "shop", "at": "2026-11-02T01:00:00Z", "what": "failed",
    });
    assert_eq!(told, expected);
}

#[tokio::test]
async fn troubles_and_recoveries_are_always_told_and_successes_if_asked() {
    let all = [started(), begun(), succeeded(0), idle(), failed("x"), missed(), late(), succeeded(2)];
    for (wants, expected) in [
        (Wants::Troubles, "failed missed late succeeded"),
        (Wants::Successes, "started succeeded failed missed late succeeded"),
        (Wants::All, "started begun succeeded idle failed missed late succeeded"),
    ] {
        let told: Vec<_> = all.iter().filter(|notice| wants.wants(notice)).map(|notice| notice.what.word()).collect();
        assert_eq!(told.join(" "), expected, "{wants:?}");
    }
    let receiver = Receiver::start([]).await;
    tell(Webhook { wants: Wants::Troubles, ..webhook(&receiver.url("/")) }, &all).await;
    assert_eq!(receiver.count(), 4);
}

#[tokio::test]
async fn a_ping_says_that_a_run_begins_ends_well_or_does_not() {
    let receiver = Receiver::start([]).await;
    let ping = || {
        let address = receiver.url("/ping/uuid?rid=7").parse().expect("a URL");
        Ping::new(Arc::new(client()), name("shop"), address).expect("a ping")
    };
    let other = Notice { job: name("other"), ..begun() };
    tell(ping(), &[started(), begun(), other, succeeded(0), late(), failed("x"), missed(), idle()]).await;
    let lines: Vec<_> =
        receiver.asked(5).await.iter().map(|request| request.lines().next().expect("a line").to_owned()).collect();
    let paths = ["/start", "", "/fail", "/fail", ""].map(|end| format!("GET /ping/uuid{end}?rid=7 HTTP/1.1"));
    assert_eq!(lines, paths);
    tell(ping().with_message(), &[failed("x")]).await;
    let asked = receiver.asked(1).await;
    assert!(asked[0].starts_with("POST /ping/uuid/fail?rid=7 HTTP/1.1\r\n"), "{asked:?}");
    assert_eq!(body(&asked[0]), "shop: failed: x (start it)");
}

#[tokio::test]
async fn a_pager_is_told_of_errors_alone_in_json_whatever_they_say() {
    let receiver = Receiver::start([]).await;
    let address = receiver.url("/generic/2010-04-15/create_event.json").parse().expect("a URL");
    let pager = PagerDuty { client: Arc::new(client()), address, service_key: "k\"ey".into() };
    assert!(!format!("{pager:?} {pager}").contains("k\"ey") && !format!("{pager:?} {pager}").contains("create_event"));
    let long = "ä".repeat(5000);
    tell(pager, &[succeeded(3), late(), begun(), failed("\"},\n\t\u{1b}{\\"), missed(), failed(&long)]).await;
    let asked = receiver.asked(3).await;
    let told = |request: &str| serde_json::from_str::<serde_json::Value>(body(request)).expect("JSON");
    let expected = serde_json::json!({
        "service_key": "k\"ey", "event_type": "trigger", "description": "shop: failed: \"},   {\\ (start it)",
    });
    assert_eq!(told(&asked[0]), expected);
    let last = told(&asked[2])["description"].as_str().expect("text").to_owned();
    assert_eq!((last.chars().count(), last.ends_with("ä…")), (1024, true));
}

#[test]
fn no_channel_shows_its_secrets() {
    let url = "http://ann:s3cret@h.example/s3cret?s3cret";
    let client = || Arc::new(client().with_proxy("http://ann:s3cret@proxy.example", ""));
    let service_key = "s3cret".into();
    let pager = PagerDuty { client: client(), address: url.parse().expect("a URL"), service_key };
    let hook = Webhook { client: client(), ..webhook(url) };
    let ping = Ping::new(client(), name("shop"), url.parse().expect("a URL")).expect("a ping");
    let channels: [&dyn Channel; 3] = [&pager, &hook, &ping];
    for channel in channels {
        let shown = format!("{channel} {channel:?}");
        assert!(shown.contains("http://h.example") && !shown.contains("s3cret"), "{shown}");
    }
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_again_and_the_order_is_kept() {
    let garbage = Answer::Bytes("SSH-2.0-OpenSSH_9.2\r\n".into());
    let closed = Answer::Bytes(String::new());
    let long = status(200, &format!("X: {}\r\n", "x".repeat(20_000)));
    let receiver = Receiver::start([status(500, ""), garbage, closed, long, status(404, ""), status(204, "")]).await;
    let log = Log::new();
    tell(webhook(&receiver.url("/t0ken?s3cret")), &[failed("first"), succeeded(1)]).await;
    let asked = receiver.asked(7).await;
    assert!(asked[..6].iter().all(|request| request.contains("first")), "{asked:?}");
    assert!(asked[6].contains("stored"), "{asked:?}");
    let warnings = log.warnings();
    assert_eq!(warnings.len(), 5, "{warnings:?}");
    assert!(
        warnings[0].contains(&format!("failed to tell http://{}: it answers 500; again in", receiver.address)),
        "{warnings:?}"
    );
    assert!(!log.text().contains("s3cret") && !log.text().contains("t0ken"), "{}", log.text());
}

/// A channel that never succeeds, and when it was tried.
#[derive(Debug, Default, Clone)]
struct Deaf(Arc<Mutex<Vec<tokio::time::Instant>>>);

#[async_trait]
impl Channel for Deaf {
    fn wants(&self, _: &Notice) -> bool {
        true
    }

    async fn tell(&self, _: &Notice) -> Result<()> {
        self.0.lock().expect("tries").push(tokio::time::Instant::now());
        Err(Error::failed("nobody hears"))
    }
}

impl fmt::Display for Deaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deaf")
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_tried_less_and_less_often_for_an_hour() {
    let deaf = Deaf::default();
    let telling = telling(deaf.clone(), Patience::default());
    telling.on(&failed("x"));
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    let tries = deaf.0.lock().expect("tries").clone();
    let waits: Vec<f64> = tries.windows(2).map(|two| (two[1] - two[0]).as_secs_f64()).collect();
    // A second, two, four …, each with some chance added, until it is five minutes.
    for (nth, wait) in waits.iter().enumerate() {
        let least = f64::from(1 << nth.min(20)).min(300.0);
        assert!((least..=2.0 * least + 1.0).contains(wait), "{nth}: {waits:?}");
    }
    let total = (tries[tries.len() - 1] - tries[0]).as_secs_f64();
    assert!((3000.0..=3600.0).contains(&total), "{waits:?}");
    assert!((12..=22).contains(&tries.len()), "{waits:?}");
    telling.finish(GRACE).await;
}

#[tokio::test]
async fn a_receiver_that_hangs_or_never_ends_is_given_up_and_delays_nobody() {
    let log = Log::new();
    let hanging = Receiver::start([Answer::Hang, Answer::Endless("HTTP/1.1 200 OK\r\nX: y\r\n"), Answer::Endless("x")]).await;
    let quick = Receiver::start([]).await;
    let short = Arc::new(client().with_time(Duration::from_millis(200)));
    let slow = Webhook { client: short, ..webhook(&hanging.url("/")) };
    let channels: [Arc<dyn Channel>; 2] = [Arc::new(slow), Arc::new(webhook(&quick.url("/")))];
    let telling = Telling::new(channels, impatient());
    let before = Instant::now();
    telling.on(&failed("x"));
    assert!(before.elapsed() < Duration::from_millis(100), "it does not wait");
    assert_eq!(quick.asked(1).await.len(), 1);
    // After each of the three it has got through.
    assert_eq!(hanging.asked(4).await.len(), 4);
    telling.finish(GRACE).await;
    assert!(log.warnings()[0].contains("no answer within 200ms"), "{}", log.text());
    assert_eq!(log.warnings().len(), 3, "{}", log.text());
}

#[tokio::test]
async fn an_answer_that_never_ends_is_an_answer() {
    let receiver = Receiver::start([Answer::Endless("HTTP/1.1 200 OK\r\n\r\n")]).await;
    let log = Log::new();
    tell(webhook(&receiver.url("/")), &[failed("x")]).await;
    assert_eq!((receiver.count(), log.warnings()), (1, Vec::new()));
}

#[tokio::test]
async fn a_message_that_cannot_be_told_is_given_up_after_its_time() {
    let log = Log::new();
    // Nobody listens there: the port was free a moment ago.
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let patience = Patience { total: Duration::from_millis(300), ..impatient() };
    let telling = telling(webhook(&format!("http://{gone}/s3cret")), patience);
    for nth in 0..20 {
        telling.on(&failed(&format!("nobody hears {nth}")));
    }
    let before = Instant::now();
    telling.finish(GRACE).await;
    assert!(before.elapsed() < Duration::from_secs(3), "the time of the others runs while the first is tried");
    let lost: Vec<_> = log.warnings().into_iter().filter(|line| line.contains("not told")).collect();
    assert_eq!(lost.len(), 20, "{}", log.text());
    assert!(lost[19].contains("its time is over: shop: failed: nobody hears 19"), "{lost:?}");
    assert!(log.warnings().iter().filter(|line| line.contains("failed to connect")).count() > 3, "{}", log.text());
    assert!(!log.text().contains("s3cret"), "{}", log.text());
}

#[tokio::test]
async fn a_queue_that_is_full_drops_the_oldest_of_the_least_grave() {
    let receiver = Receiver::start([]).await;
    let log = Log::new();
    let telling = telling(webhook(&receiver.url("/")), Patience { queue: 3, ..impatient() });
    // The task has not had its turn yet: all of these wait.
    let notices = [failed("one"), begun(), succeeded(0), failed("two"), late(), failed("three"), idle(), failed("four")];
    notices.iter().for_each(|notice| telling.on(notice));
    telling.finish(GRACE).await;
    let told: Vec<_> = receiver
        .asked(3)
        .await
        .iter()
        .map(|request| body(request).rsplit_once("+failed%3A+").expect("a failure").1.to_owned())
        .collect();
    assert_eq!(told, ["two", "three", "four"].map(|line| format!("{line}+%28start+it%29")));
    let dropped = log.warnings();
    let expected = ["begun", "stored", "still goes on", "nothing to do", "failed: one"];
    assert_eq!(dropped.len(), expected.len(), "{dropped:?}");
    for (line, word) in dropped.iter().zip(expected) {
        assert!(line.contains("not told, as too many wait") && line.contains(word), "{line}");
    }
}

#[tokio::test]
async fn the_end_of_the_service_hurries_and_then_cuts() {
    // It waits for an hour, if nobody ends it.
    let patience = Patience { first: Duration::from_secs(3600), ..Patience::default() };
    let receiver = Receiver::start([status(503, "")]).await;
    let patient = telling(webhook(&receiver.url("/")), patience);
    let log = Log::new();
    patient.on(&failed("x"));
    assert_eq!(receiver.asked(1).await.len(), 1);
    while log.warnings().is_empty() {
        tokio::task::yield_now().await;
    }
    patient.finish(GRACE).await;
    assert_eq!(receiver.count(), 1, "it was tried again at once");
    drop(log);

    let log = Log::new();
    let hanging = Receiver::start([Answer::Hang]).await;
    let cut = telling(webhook(&hanging.url("/")), patience);
    cut.on(&failed("one"));
    cut.on(&failed("two"));
    hanging.asked(1).await;
    let before = Instant::now();
    cut.finish(Duration::from_millis(100)).await;
    assert!(before.elapsed() < Duration::from_secs(5), "the client would have waited 10 s");
    cut.on(&failed("three"));
    let warnings = log.warnings();
    for (line, word) in
        warnings.iter().zip(["ends: shop: failed: one", "ends: shop: failed: two", "has ended: shop: failed: three"])
    {
        assert!(line.contains(word), "{line}");
    }
    assert_eq!(warnings.len(), 3, "{warnings:?}");
}
