//! An S3 server is there when it is asked for, and gone afterwards.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use backup_tests::Rgw;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

/// The status line and all that follows.
fn answer(mut connection: impl Read + Write) -> (String, String) {
    let request = "GET /nobodys-bucket HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    connection.write_all(request.as_bytes()).expect("a request is sent");
    let mut answer = BufReader::new(connection);
    let (mut status, mut rest) = (String::new(), String::new());
    answer.read_line(&mut status).expect("a status");
    let _ = answer.read_to_string(&mut rest);
    (status.trim().to_owned(), rest)
}

fn address(url: &str) -> &str {
    url.rsplit('/').next().expect("an address")
}

#[test]
fn a_gateway_answers_over_http_and_over_tls() {
    let Some(rgw) = Rgw::shared() else { return };
    let (status, rest) = answer(TcpStream::connect(address(&rgw.url())).expect("it listens"));
    assert_eq!(status, "HTTP/1.1 404 Not Found");
    assert!(rest.contains("<Code>NoSuchBucket</Code>"), "{rest}");

    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(rgw.ca()).expect("a certificate")).expect("an authority");
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions").with_root_certificates(roots);
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    let client = rustls::ClientConnection::new(Arc::new(config.with_no_client_auth()), name).expect("a client");
    let socket = TcpStream::connect(address(&rgw.tls_url())).expect("it listens");
    let (status, rest) = answer(rustls::StreamOwned::new(client, socket));
    assert_eq!(status, "HTTP/1.1 404 Not Found");
    assert!(rest.contains("<Code>NoSuchBucket</Code>"), "{rest}");
    assert!(rgw.log().contains("\"GET /nobodys-bucket HTTP/1.1\" 404"), "{}", rgw.log());
}

#[test]
fn each_user_has_keys_of_his_own() {
    let Some(rgw) = Rgw::shared() else { return };
    let (one, other) = (rgw.user("one"), rgw.user("other"));
    assert_ne!(one, other);
    assert!(rgw.admin(&["user", "info", "--uid", "one"]).contains(&one.secret_key));
}

#[test]
fn s3cmd_stores_a_file_and_has_it_back() {
    let Some(rgw) = Rgw::shared() else { return };
    let keys = rgw.user("s3cmd");
    let s3cmd = |arguments: &[&str]| {
        let output = rgw.s3cmd(&keys)?.args(arguments).output().expect("s3cmd runs");
        assert!(output.status.success(), "s3cmd {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8(output.stdout).expect("text"))
    };
    if s3cmd(&["mb", "s3://of-s3cmd"]).is_none() {
        return;
    }
    s3cmd(&["put", "--quiet", "Cargo.toml", "s3://of-s3cmd/a folder/file"]);
    let back = s3cmd(&["get", "--quiet", "s3://of-s3cmd/a folder/file", "-"]).expect("s3cmd is there");
    assert_eq!(back, std::fs::read_to_string("Cargo.toml").expect("our Cargo.toml"));
}

#[test]
fn a_gateway_is_gone_on_drop() {
    let Some(rgw) = Rgw::start() else { return };
    let (address, folder) = (address(&rgw.url()).to_owned(), rgw.ca().parent().expect("a folder").to_owned());
    drop(rgw);
    assert!(!folder.exists(), "{} is still there", folder.display());
    assert!(TcpStream::connect(&address).is_err(), "something still listens on {address}");
}

#[test]
fn a_test_process_that_ends_leaves_no_gateway() {
    if std::env::var_os("BACKUP_TESTS_DIE").is_some() {
        if let Some(rgw) = Rgw::shared() {
            println!("\nurl={}", rgw.url());
            std::process::abort();
        }
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "a_test_process_that_ends_leaves_no_gateway", "--nocapture"])
        .env("BACKUP_TESTS_DIE", "1")
        .output()
        .expect("this program runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some(url) = said.lines().find_map(|line| line.strip_prefix("url=")) else { return };
    // The keeper has ended: it held the standard error that was read to its end.
    assert!(TcpStream::connect(address(url)).is_err(), "the gateway at {url} outlived its test");
}
