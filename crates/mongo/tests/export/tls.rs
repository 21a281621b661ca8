//! TLS: whom a server is taken for, and who it takes us for.

use std::path::PathBuf;

use backup_core::{Kind, Result};
use backup_mongo::{Config, Secret, Server, connect};
use backup_tests::{Authority, Mongod, MongodSetup};
use bson::{Document, doc};

use crate::{deployment, files, snapshot};

const PASSWORD: &str = "p@ss/w:rd";

const ADDRESS: &str = "IP:127.0.0.1";

/// A server that speaks nothing but TLS and lets nobody in without a login.
async fn behind_tls(authority: &Authority) -> Option<Mongod> {
    let tls = Some((authority.ca(), authority.certificate("/O=servers/CN=server", "IP:127.0.0.1,DNS:localhost")));
    let setup = MongodSetup { password: Some(PASSWORD.to_owned()), tls, ..MongodSetup::default() };
    Mongod::start_with(&setup).await
}

/// How the server is reached, without a login.
fn config(server: &Mongod, ca: Option<PathBuf>, more: &str) -> Config {
    let url = format!("mongodb://{}/?directConnection=true&serverSelectionTimeoutMS=2000{more}", server.host());
    Config { tls_ca: ca, ..Config::new(url) }
}

fn root(config: Config) -> Config {
    Config { username: Some("root".to_owned()), password: Some(Secret::from(PASSWORD)), ..config }
}

/// The one line that is told of a connection that fails, and its hint.
fn refused(connected: Result<Server>) -> (Kind, String, String) {
    let error = connected.expect_err("refused");
    let line = error.chain();
    assert!(!line.contains('\n') && line.len() < 300, "{line}");
    assert!(!line.contains(PASSWORD) && !line.contains("PRIVATE"), "{line}");
    (error.kind(), line, error.hint().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_password_and_a_certificate_are_logins_over_tls() {
    let authority = Authority::new();
    let Some(server) = behind_tls(&authority).await else { return };
    let client = server.client();
    client.database("app").collection::<Document>("users").insert_one(doc! { "_id": 1 }).await.expect("stored");
    let reader = doc! { "createUser": "CN=reader,O=shop", "roles": [{ "role": "backup", "db": "admin" }] };
    client.database("$external").run_command(reader).await.expect("made");

    let mut taken = deployment(&server, Some("app"));
    let certificate = Some(authority.certificate("/O=shop/CN=reader", ADDRESS));
    let x509 = config(&server, Some(authority.ca()), "&authMechanism=MONGODB-X509");
    let url = format!("&tls=true&tlsCAFile={}", authority.ca().display());
    for login in [
        root(config(&server, Some(authority.ca()), "")),
        root(config(&server, None, &url)),
        Config { tls_certificate: certificate, ..x509.clone() },
        root(Config { tls_ca: Some(authority.ca()), ..Config::new(format!("localhost:{}", server.port())) }),
    ] {
        taken.config = login;
        let files = files(&*snapshot(&taken).await.expect("a snapshot")).await.expect("all is read");
        assert_eq!(files["app/users.bson"].facts[0].documents.expect("counted").documents, 1);
    }
    // A certificate of a user whom the server does not know, and none at all.
    let stranger = Some(authority.certificate("/O=shop/CN=stranger", ADDRESS));
    for certificate in [stranger, None] {
        let (kind, line, hint) = refused(connect(&Config { tls_certificate: certificate, ..x509.clone() }).await);
        assert!(kind == Kind::Failed && line.contains("refused the login") && hint.contains("user"), "{line} {hint}");
    }
    let other = Authority::new();
    let certificate = Some(other.certificate("/O=shop/CN=reader", ADDRESS));
    let (kind, line, hint) = refused(connect(&Config { tls_certificate: certificate, ..x509.clone() }).await);
    assert!(kind == Kind::Failed && line.contains("no server answers") && !line.contains("http"), "{line}");
    assert!(hint.contains("--tls-certificate"), "{hint}");
    let (_, line, _) = refused(connect(&root(x509)).await);
    assert!(line.ends_with("A password cannot be specified with MONGODB-X509"), "{line}");
    let wrong = Config { password: Some(Secret::from("wr0ng")), ..root(config(&server, Some(authority.ca()), "")) };
    let (_, line, hint) = refused(connect(&wrong).await);
    assert!(line.contains("refused the login") && hint.contains("user"), "{line} {hint}");
}

#[tokio::test]
async fn a_server_that_is_not_who_it_should_be_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let tls = Some((authority.ca(), authority.certificate("/O=servers/CN=server", "DNS:db.example")));
    let Some(server) = Mongod::start_with(&MongodSetup { tls, ..MongodSetup::default() }).await else { return };
    let (kind, line, hint) = refused(connect(&root(config(&server, Some(other.ca()), ""))).await);
    assert!(kind == Kind::Failed && line.contains("UnknownIssuer") && hint.contains("--tls-ca"), "{line} {hint}");
    let (_, line, hint) = refused(connect(&root(config(&server, None, "&tls=true"))).await);
    assert!(line.contains("UnknownIssuer") && hint.contains("--tls-ca"), "{line} {hint}");
    let (_, line, hint) = refused(connect(&root(config(&server, Some(authority.ca()), ""))).await);
    assert!(line.contains("not valid for name") && line.contains("db.example"), "{line}");
    assert!(hint.contains("name"), "{hint}");
}

#[tokio::test]
async fn who_speaks_tls_to_a_plain_server_or_plainly_to_one_of_tls_is_told_so() {
    let authority = Authority::new();
    let Some(server) = behind_tls(&authority).await else { return };
    let (_, line, hint) = refused(connect(&root(config(&server, None, ""))).await);
    assert!(line.contains("no server answers") && hint.contains("--tls"), "{line} {hint}");
    let Some(plain) = Mongod::start().await else { return };
    let (_, line, hint) = refused(connect(&config(&plain, Some(authority.ca()), "")).await);
    assert!(line.contains("no server answers") && hint.contains("--tls"), "{line} {hint}");
}

#[tokio::test]
async fn files_that_are_no_certificates_are_named_before_anybody_is_asked() {
    let authority = Authority::new();
    let scratch = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &[u8]| {
        std::fs::write(scratch.path().join(name), text).expect("written");
        scratch.path().join(name)
    };
    let whole = std::fs::read(authority.certificate("/CN=x", ADDRESS)).expect("read");
    let end = whole.windows(11).position(|bytes| bytes == b"-----BEGIN " && bytes != &whole[..11]).unwrap_or_default();
    let key_at = whole.windows(12).position(|bytes| bytes == b"-----BEGIN P").expect("a key");
    assert_eq!(end, 0, "the certificate is first");
    let (no_key, no_certificate) = (file("no-key", &whole[..key_at]), file("no-certificate", &whole[key_at..]));
    let (missing, empty) = (scratch.path().join("missing"), file("empty", b""));
    let cut = file("cut", &whole[..key_at - 30]);
    let flipped = file("flipped", String::from_utf8_lossy(&whole[..key_at]).replacen("MII", "!!!", 1).as_bytes());
    let server = || Config::new("127.0.0.1:1");
    for ca in [&missing, &empty, &no_certificate, &cut, &flipped] {
        let (kind, line, hint) = refused(connect(&Config { tls_ca: Some(ca.clone()), ..server() }).await);
        assert!(kind == Kind::Usage && line.contains(&ca.display().to_string()) && !hint.is_empty(), "{kind:?} {line} {hint}");
    }
    for shown in [&missing, &empty, &no_certificate, &no_key, &cut] {
        let (kind, line, hint) = refused(connect(&Config { tls_certificate: Some(shown.clone()), ..server() }).await);
        assert!(
            kind == Kind::Usage && line.contains(&shown.display().to_string()) && !hint.is_empty(),
            "{kind:?} {line} {hint}"
        );
    }
}
