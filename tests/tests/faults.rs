//! The proxy that spoils answers spoils those that it is told to, and no others. The gateway behind it is a stand-in here.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backup_tests::faults::{Asked, Fault, Proxy, When};

const PAGE: &str = "<L><IsTruncated>true</IsTruncated><Contents>a</Contents><Contents>b</Contents></L>";

/// For what comes for certain.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stand-in that answers what is asked of a bucket with [`PAGE`] and all else with ten digits, and tells what it heard.
fn gateway() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let (tell, heard) = channel();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.expect("a client");
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") && client.read(&mut byte).expect("a request") == 1 {
                request.push(byte[0]);
            }
            let mut request = String::from_utf8(request).expect("text");
            let length = request.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
            client.read_exact(&mut body).expect("the body");
            request.push_str(&String::from_utf8(body).expect("text"));
            let answer = if request.starts_with("GET /bucket?") { PAGE } else { "0123456789" };
            write!(client, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).expect("answered");
            if tell.send(request).is_err() {
                break;
            }
        }
    });
    (address, heard)
}

/// What comes back, and how the connection ended before the end of the answer, if it did.
fn ask(proxy: &Proxy, method: &str, target: &str) -> (String, Option<ErrorKind>) {
    let address = proxy.url();
    let mut stream = TcpStream::connect(address.strip_prefix("http://").expect("a URL")).expect("connected");
    stream.set_read_timeout(Some(Duration::from_millis(500))).expect("set");
    let body = if method == "PUT" { "what" } else { "" };
    let length = body.len();
    let head = format!("{method} {target} HTTP/1.1\r\nHost: signed:1\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all((head + body).as_bytes()).expect("sent");
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer).err().map(|error| error.kind());
    (String::from_utf8(answer).expect("text"), ended)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("an answer").1
}

#[test]
fn what_is_not_spoiled_passes_as_it_is_and_is_counted() {
    let (gateway, heard) = gateway();
    let proxy = Proxy::start(gateway);
    proxy.spoil(Asked::Get, 0, 1, Fault::Reset);
    let (answer, ended) = ask(&proxy, "PUT", "/bucket/some%20key");
    assert!(body(&answer) == "0123456789" && ended.is_none(), "{answer} {ended:?}");
    let request = heard.recv().expect("a request");
    assert!(request.starts_with("PUT /bucket/some%20key HTTP/1.1\r\n") && request.ends_with("\r\n\r\nwhat"), "{request}");
    assert!(request.contains("host: signed:1\r\n"), "{request}");
    ask(&proxy, "GET", "/bucket?list-type=2&prefix=a%2F");
    let seen: Vec<_> = proxy.seen().into_iter().map(|seen| (seen.asked, seen.target, seen.status, seen.bytes)).collect();
    let listing = "/bucket?list-type=2&prefix=a%2F".to_owned();
    let expected = [(Asked::Put, "/bucket/some%20key".to_owned(), 200, 10), (Asked::Listing, listing, 200, PAGE.len() as u64)];
    assert_eq!(seen, expected);
    assert!(proxy.seen().is_empty());
}

#[test]
fn each_fault_does_what_it_says() {
    let (gateway, heard) = gateway();
    let proxy = Proxy::start(gateway);
    let spoiled = |asked, method, target, fault: Fault| {
        proxy.spoil(asked, 0, 1, fault);
        let answer = ask(&proxy, method, target);
        (answer, heard.try_recv().is_ok())
    };
    let get = |fault| spoiled(Asked::Get, "GET", "/bucket/key", fault);

    let ((answer, ended), reached) = get(Fault::Answer(503, "SlowDown"));
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("<Code>SlowDown</Code>") && ended.is_none(), "{answer}");
    assert!(!reached);
    assert_eq!(get(Fault::Reset), ((String::new(), Some(ErrorKind::ConnectionReset)), false));
    assert_eq!(get(Fault::Hang), ((String::new(), Some(ErrorKind::WouldBlock)), false));
    assert_eq!(get(Fault::Lose), ((String::new(), Some(ErrorKind::ConnectionReset)), true));
    let ((answer, ended), _) = get(Fault::Cut(4));
    assert_eq!(ended, Some(ErrorKind::ConnectionReset));
    assert!(answer.to_lowercase().contains("content-length: 10\r\n") && body(&answer) == "0123", "{answer}");
    for (fault, bytes) in [(Fault::Short(3), "012"), (Fault::Flip(1), "0023456789"), (Fault::Flip(99), "0123456788")] {
        let ((answer, ended), _) = get(fault);
        assert!(answer.starts_with("HTTP/1.1 200 ") && body(&answer) == bytes && ended.is_none(), "{answer}");
    }
    let ((answer, _), _) = spoiled(Asked::Listing, "GET", "/bucket?list-type=2", Fault::End(1));
    assert_eq!(body(&answer), "<L><IsTruncated>false</IsTruncated><Contents>a</Contents></L>");
}

#[test]
fn a_router_answers_what_is_larger_than_it_takes_and_hands_the_rest_on() {
    let (gateway, heard) = gateway();
    let proxy = Proxy::start(gateway);
    proxy.spoil(None, 0, 2, Fault::Limit(3));
    let (answer, ended) = ask(&proxy, "PUT", "/bucket/key");
    assert!(answer.starts_with("HTTP/1.1 413 ") && body(&answer).contains("<html>") && ended.is_none(), "{answer}");
    assert!(heard.try_recv().is_err());
    assert!(ask(&proxy, "GET", "/bucket/key").0.starts_with("HTTP/1.1 200 "));
    proxy.spoil(None, 0, 1, Fault::Limit(4));
    assert!(ask(&proxy, "PUT", "/bucket/key").0.starts_with("HTTP/1.1 200 "));
}

#[test]
fn what_changes_meanwhile_has_changed_before_the_gateway_is_asked_or_after_it_has_answered() {
    let (gateway, heard) = gateway();
    let proxy = Proxy::start(gateway);
    let heard = Arc::new(Mutex::new(heard));
    let next = |patience| heard.lock().expect("nobody failed").recv_timeout(patience).is_ok();
    for (when, patience) in [(When::Asked, Duration::ZERO), (When::Answered, PATIENCE)] {
        let (changed, changes) = channel();
        let then = heard.clone();
        proxy.meanwhile(when, move || {
            let is_asked = then.lock().expect("nobody failed").recv_timeout(patience).is_ok();
            changed.send(is_asked).expect("somebody waits");
        });
        // By this no object is fetched.
        ask(&proxy, "GET", "/bucket?prefix=a");
        assert!(next(PATIENCE) && changes.try_recv().is_err());
        assert_eq!(body(&ask(&proxy, "GET", "/bucket/key").0), "0123456789");
        assert_eq!(changes.try_recv(), Ok(when == When::Answered));
        assert!(when == When::Answered || next(PATIENCE));
        // Once.
        ask(&proxy, "GET", "/bucket/key");
        assert!(next(PATIENCE) && changes.try_recv().is_err());
    }
}

#[test]
fn some_pass_before_some_are_spoiled_until_all_is_well_again() {
    let (gateway, _heard) = gateway();
    let proxy = Proxy::start(gateway);
    proxy.spoil(Asked::Listing, 1, 2, Fault::Answer(500, "InternalError"));
    proxy.spoil(None, 3, 9, Fault::Answer(403, "AccessDenied"));
    let status = || ask(&proxy, "GET", "/bucket?prefix=a").0[9..12].to_owned();
    assert_eq!([(); 5].map(|()| status()), ["200", "500", "500", "403", "403"]);
    proxy.heal();
    assert_eq!(status(), "200");
}
