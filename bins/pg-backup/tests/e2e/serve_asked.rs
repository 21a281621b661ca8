//! `serve` is asked: over HTTP, by command, and through the file that node_exporter collects.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command};

use crate::program::{Ran, until};
use crate::serve::Container;
use crate::serve_receiver::Receiver;

pub(crate) const TOKEN: &str = "0123456789abcdef0123";

/// Where a service listens, by its own word.
fn listening(child: &mut Child) -> String {
    let out = child.stdout.as_mut().expect("piped");
    let mut log = String::new();
    loop {
        let mut byte = [0];
        out.read_exact(&mut byte).expect("it says where it listens");
        log.push(char::from(byte[0]));
        if let Some((_, rest)) = log.split_once("listening at http://")
            && let Some((address, _)) = rest.split_once('\n')
        {
            return address.to_owned();
        }
    }
}

/// The status and the body of an answer.
pub(crate) fn ask(address: &str, line: &str, token: Option<&str>) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    write!(stream, "{line} HTTP/1.1\r\nHost: x\r\n{token}Content-Length: 0\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head[9..12].parse().expect("a status"), body.to_owned())
}

#[test]
fn metrics_health_and_a_run_for_who_has_the_token() {
    let Some(container) = Container::new() else { return };
    let token = container.sink.folder().join("token");
    std::fs::write(&token, format!("{TOKEN}\n")).expect("written");
    let textfile = container.sink.folder().join("backup.prom");
    let more = [
        ("BACKUP_LISTEN", "127.0.0.1:0"),
        ("BACKUP_TOKEN_FILE", token.to_str().expect("text")),
        ("BACKUP_TEXTFILE", textfile.to_str().expect("text")),
    ];
    answers_machines(&container, &more);
}

#[test]
fn the_same_by_a_file_of_ours() {
    let Some(container) = Container::new().map(Container::by_toml) else { return };
    std::fs::write(container.sink.folder().join("token"), format!("{TOKEN}\n")).expect("written");
    let service = "listen = \"127.0.0.1:0\"\ntoken = { file = \"token\" }\ntextfile = \"backup.prom\"";
    container.write(service, "shop", "schedule = []\nat_start = true");
    answers_machines(&container, &[]);
}

/// A service that listens, has a token, and writes a file for node_exporter.
fn answers_machines(container: &Container, more: &[(&str, &str)]) {
    let mut child = container.start(more);
    let address = listening(&mut child);
    container.wait(1);
    assert_eq!(ask(&address, "GET /healthz", None).0, 200);
    assert_eq!(ask(&address, "GET /readyz", None).0, 200);
    let metrics = || ask(&address, "GET /metrics", None).1;
    until("the success is in the metrics", || {
        metrics().contains("backup_last_success_timestamp_seconds{backup_job=\"shop\"} ")
    });
    for line in ["backup_free_bytes{backup_job=\"shop\"} ", "backup_consecutive_failures{backup_job=\"shop\"} 0"] {
        assert!(metrics().contains(line), "{}", metrics());
    }
    for (shown, code) in [(None, 401), (Some("0123456789abcdef0124"), 401)] {
        assert_eq!(ask(&address, "POST /jobs/shop/run", shown).0, code, "{shown:?}");
    }
    assert_eq!(ask(&address, "POST /jobs/other/run", Some(TOKEN)).0, 404);
    assert_eq!(container.dumps().len(), 1);
    assert_eq!(ask(&address, "POST /jobs/shop/run", Some(TOKEN)).0, 202);
    container.wait(2);
    let (code, log) = child.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains(TOKEN), "{log}");
    let textfile = container.sink.folder().join("backup.prom");
    let last = std::fs::read_to_string(textfile).expect("the file for node_exporter");
    assert!(last.contains("backup_last_size_bytes{backup_job=\"shop\"} "), "the last state is in it: {last}");
}

#[test]
fn without_a_token_nobody_is_let_in_and_what_cannot_be_meant_is_refused() {
    let Some(container) = Container::new() else { return };
    let mut child = container.start(&[("BACKUP_LISTEN", "127.0.0.1:0")]);
    let address = listening(&mut child);
    assert_eq!(ask(&address, "POST /jobs/shop/run", Some(TOKEN)).0, 403);
    // A second tree, so that it is not the tree that is refused.
    let other = container.sink.folder().join("other");
    let other = ("BACKUP_DIR", other.to_str().expect("text"));
    container.run(&["serve"], &[other, ("BACKUP_LISTEN", &address)]).fails_with_hint(1, &["listen"]);
    assert_eq!(child.stop().0, Some(0));
    let short = container.sink.folder().join("token");
    std::fs::write(&short, "short").expect("written");
    let short = short.to_str().expect("text");
    let ran = container.run(&["serve", "--listen", "127.0.0.1:0", "--token-file", short], &[]).fails(2, &["token"]);
    assert!(!ran.err.contains("short\n"), "{ran:?}");
    container.run(&["serve", "--token-file", short], &[]).fails(2, &["--listen"]);
    container.run(&["serve", "--textfile", "metrics.txt"], &[]).fails_with_hint(2, &["metrics.txt"]);
}

#[test]
fn a_service_that_cannot_read_its_state_ends_although_it_listens() {
    let Some(container) = Container::new() else { return };
    let sum = Command::new("sh").args(["-c", "printf shop | sha256sum"]).output().expect("sha256sum runs").stdout;
    let status = format!(".state/{}.status.json", String::from_utf8_lossy(&sum[..16]));
    std::fs::create_dir_all(container.root().join(status)).expect("a folder");
    let hook = Receiver::start(&[]);
    let mut child = container.start(&[("BACKUP_LISTEN", "127.0.0.1:0"), ("WEBHOOK_URL", &hook.url("/hook"))]);
    until("it ends", || child.try_wait().expect("a child").is_some());
    let ran = Ran::ended(&child.output(), "serve".to_owned());
    ran.fails(1, &["the state of shop"]);
    // Nobody may be looking at the log.
    let (level, message) = hook.take().pop().expect("a message").told();
    assert!(level == "ERROR" && message.contains("the state of shop"), "{level} {message}");
}

#[test]
fn a_running_service_is_asked_by_command() {
    let Some(container) = Container::new() else { return };
    container.run(&["ask"], &[]).fails_with_hint(3, &["no service"]);
    let child = container.start(&[]);
    container.wait(1);
    let ran = container.run(&["ask", "--wait"], &[]).ok();
    assert!(ran.text().starts_with("shop: done, "), "{ran:?}");
    assert_eq!(container.dumps().len(), 2);
    container.run(&["ask", "shop"], &[]).ok();
    container.wait(3);
    container.server.psql("postgres", "ALTER ROLE app NOLOGIN");
    container.run(&["ask", "shop", "--wait"], &[]).fails(1, &["shop", "not permitted to log in"]);
    container.run(&["ask", "store"], &[]).fails_with_hint(3, &["store"]);
    assert_eq!(child.stop().0, Some(0));
    // A wish that nobody has seen is taken back.
    container.run(&["ask"], &[]).fails_with_hint(3, &["shop"]);
    container.server.psql("postgres", "ALTER ROLE app LOGIN");
    let dumps = container.dumps().len();
    let child = container.start(&[]);
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(child.stop().0, Some(0));
    assert_eq!(container.dumps().len(), dumps);
}
