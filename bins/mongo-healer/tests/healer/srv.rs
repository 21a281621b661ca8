//! A deployment of which a name server alone says what its servers are: `mongodb+srv://`.

use std::net::UdpSocket;
use std::process::Command;

use backup_tests::{Authority, Mongod, MongodSetup, alone};
use bson::{Document, doc};

use crate::{mongo_healer, told};

/// What tells the test that it runs with that name server.
const INSIDE: &str = "WITH_A_NAME_SERVER";
const PASSWORD: &str = "pa55-w0rd";

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_a_name_server_names_are_spoken_to_over_tls_as_it_says() {
    if std::env::var_os(INSIDE).is_some() {
        return look_up().await;
    }
    let scratch = tempfile::tempdir().expect("a folder");
    let (hosts, resolv) = (scratch.path().join("hosts"), scratch.path().join("resolv.conf"));
    std::fs::write(&hosts, "127.0.0.1 localhost node1.shop.test\n").expect("written");
    std::fs::write(&resolv, "nameserver 127.0.0.1\n").expect("written");
    let mut this = Command::new(std::env::current_exe().expect("a program"));
    let name = "srv::servers_that_a_name_server_names_are_spoken_to_over_tls_as_it_says";
    this.args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
    let Some(mut this) = alone(&hosts, &resolv, &this) else { return };
    let (code, out, err) = told(&this.output().expect("it runs"));
    assert!(code == 0 && out.contains("1 passed"), "{out}{err}");
}

/// In a network of its own.
async fn look_up() {
    let authority = Authority::new();
    let tls = Some((authority.ca(), authority.certificate("/O=servers/CN=node1", "DNS:node1.shop.test,IP:127.0.0.1")));
    let setup = MongodSetup { password: Some(PASSWORD.to_owned()), tls, ..MongodSetup::default() };
    let Some(server) = Mongod::start_with(&setup).await else { return };
    server.client().database("app").collection::<Document>("users").insert_one(doc! { "_id": 1 }).await.expect("stored");
    let reader = doc! { "createUser": "reader", "pwd": PASSWORD, "roles": [{ "role": "backup", "db": "admin" }] };
    server.client().database("logins").run_command(reader).await.expect("made");
    let (port, socket) = (server.port(), UdpSocket::bind("127.0.0.1:53").expect("a socket"));
    std::thread::spawn(move || answer(&socket, port));

    let scratch = tempfile::tempdir().expect("a folder");
    let ca = authority.ca().to_string_lossy().into_owned();
    let backup = |name: &str| {
        let mut command = mongo_healer(scratch.path());
        command.env("BACKUP_PASSWORD", PASSWORD).args(["backup", &scratch.path().join("sink").to_string_lossy()]);
        let url = format!("mongodb+srv://reader@{name}.shop.test/?serverSelectionTimeoutMS=5000");
        told(&command.args([url.as_str(), "app", "--tls-ca", &ca]).output().expect("it runs"))
    };
    // Over TLS, and with the login's database, neither of which stands in the URL.
    let (code, out, err) = backup("db");
    assert_eq!(code, 0, "{out}{err}");
    // Whom the name server gives away to somebody else's domain, and whom it does not know.
    for (name, says) in [("taken", "elsewhere.test"), ("none", "none.shop.test")] {
        let (code, out, err) = backup(name);
        assert!(code == 1 && out.is_empty() && err.contains(says), "{name}: {code} {out}{err}");
        assert!(!err.contains(PASSWORD), "{err}");
    }
}

/// Answers for `_mongodb._tcp.db.shop.test` and `….taken.shop.test`, and for no other name.
fn answer(socket: &UdpSocket, port: u16) {
    let mut query = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut query) {
        let Some((name, kind, question)) = asked(&query[..length]) else { continue };
        let rest = match (name.as_str(), kind) {
            ("_mongodb._tcp.db.shop.test", SRV) => Some(srv("node1.shop.test", port)),
            ("_mongodb._tcp.taken.shop.test", SRV) => Some(srv("node1.elsewhere.test", port)),
            ("db.shop.test" | "taken.shop.test", TXT) => Some(text("authSource=logins")),
            _ => None,
        };
        // The same number, an answer, and either one record or none of the name.
        let mut reply = query[..2].to_vec();
        reply.extend([0x81, if rest.is_some() { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(rest.is_some()), 0, 0, 0, 0]);
        reply.extend(question);
        if let Some(data) = rest {
            reply.extend([0xc0, 12]);
            reply.extend(kind.to_be_bytes());
            reply.extend([0, 1, 0, 0, 1, 0]);
            reply.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
            reply.extend(data);
        }
        let _ = socket.send_to(&reply, from);
    }
}

const TXT: u16 = 16;
const SRV: u16 = 33;

/// The name that is asked for, the kind of record, and both as they stand there.
fn asked(query: &[u8]) -> Option<(String, u16, &[u8])> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes(*query.get(at..)?.first_chunk()?);
    Some((labels.join("."), kind, query.get(12..at + 4)?))
}

fn srv(host: &str, port: u16) -> Vec<u8> {
    let mut data = vec![0, 0, 0, 0];
    data.extend(port.to_be_bytes());
    for label in host.split('.') {
        data.extend(text(label));
    }
    data.push(0);
    data
}

fn text(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).expect("short")], text.as_bytes()].concat()
}
