//! Redirects, TLS and proxies on the way to a receiver.

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::*;

#[tokio::test]
async fn redirects_are_followed_with_the_message_or_not_at_all() {
    let log = Log::new();
    let there = Receiver::start([]).await;
    let here = Receiver::start([
        status(307, "Location: /moved?s3cret\r\n"),
        status(308, &format!("Location: {}\r\n", there.url("/new"))),
        // A message must not become a request without it.
        status(302, &format!("Location: {}\r\n", there.url("/s3cret"))),
    ])
    .await;
    let mut url = here.url("/old");
    url.insert_str("http://".len(), "ann:pw@");
    tell(webhook(&url), &[failed("x")]).await;
    let (first, second) = (here.asked(2).await, there.asked(1).await);
    assert!(first[0].starts_with("POST /old ") && first[1].starts_with("POST /moved?s3cret "), "{first:?}");
    assert!(first[1].contains("uthorization: Basic YW5uOnB3"), "{first:?}");
    assert!(second[0].starts_with("POST /new ") && body(&second[0]) == body(&first[0]), "{second:?}");
    assert!(!second[0].to_lowercase().contains("authorization"), "another machine gets no password: {second:?}");
    assert_eq!(log.warnings(), [""; 0]);

    tell(webhook(&here.url("/old")), &[failed("x")]).await;
    assert_eq!((here.asked(2).await.len(), there.count()), (2, 0));
    let warning = log.warnings().concat();
    let hint = format!("it answers 302 (name the address that it has at http://{} now)", there.address);
    assert!(warning.contains(&hint) && !warning.contains("s3cret"), "{warning}");

    // A ping has nothing to lose.
    let here = Receiver::start([status(301, &format!("Location: {}\r\n", there.url("/ping")))]).await;
    let ping = Ping::new(Arc::new(client()), name("shop"), here.url("/old").parse().expect("a URL")).expect("a ping");
    tell(ping, &[succeeded(0)]).await;
    assert!(there.asked(1).await[0].starts_with("GET /ping "));
}

#[tokio::test]
async fn redirects_without_an_end_are_left_after_three() {
    let log = Log::new();
    let receiver = Receiver::start((0..4).map(|_| status(307, "Location: /again\r\n"))).await;
    tell(webhook(&receiver.url("/")), &[failed("x")]).await;
    assert_eq!(receiver.asked(5).await.len(), 5);
    assert!(log.warnings().concat().contains("it redirects again and again"), "{}", log.text());
    for location in ["http://[::1", "\u{1}", "//evil", "ftp://x/s3cret"] {
        let receiver = Receiver::start([status(307, &format!("Location: {location}\r\n"))]).await;
        tell(webhook(&receiver.url("/")), &[failed("x")]).await;
        assert_eq!(receiver.asked(2).await.len(), 2, "{location:?} is a failure, and it is tried again");
    }
    assert!(!log.text().contains("s3cret"));
}

/// A receiver that speaks TLS as `localhost`, and the certificate to trust.
async fn tls_receiver(folder: &std::path::Path) -> (Receiver, CertificateDer<'static>) {
    let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE -keyout key.pem -out crt.pem";
    let made =
        std::process::Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder).output().expect("openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let certificate = CertificateDer::from_pem_file(folder.join("crt.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("a certificate with its key");
    (Receiver::start_with([], Some(TlsAcceptor::from(Arc::new(config)))).await, certificate)
}

#[tokio::test]
async fn tls_is_spoken_to_those_whom_an_authority_vouches_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let (receiver, certificate) = tls_receiver(folder.path()).await;
    let url = format!("https://localhost:{}/", receiver.address.port());
    let trusting = || Client::new([certificate.clone()]).expect("a client");
    tell(Webhook { client: Arc::new(trusting()), ..webhook(&url) }, &[failed("x")]).await;
    assert_eq!(receiver.asked(1).await.len(), 1);

    let log = Log::new();
    let brief = Patience { total: Duration::from_millis(200), ..impatient() };
    let by_number = format!("https://127.0.0.1:{}/", receiver.address.port());
    for (client, url) in [(client(), &url), (trusting(), &by_number)] {
        let stranger = telling(Webhook { client: Arc::new(client), ..webhook(url) }, brief);
        stranger.on(&failed("x"));
        stranger.finish(GRACE).await;
    }
    assert_eq!(receiver.count(), 0, "nothing was said to a stranger");
    assert!(log.text().contains("failed to agree on TLS: ") && log.text().contains("SSL_CERT_FILE"), "{}", log.text());
    assert!(log.text().contains("not valid for name"), "{}", log.text());

    // Over a proxy, which is told the host and no more.
    let proxy = Receiver::start([]).await;
    let through = trusting().with_proxy(&format!("http://ann:pw@{}", proxy.address), "");
    tell(Webhook { client: Arc::new(through), ..webhook(&format!("{url}t0ken")) }, &[failed("x")]).await;
    let (connect, asked) = (proxy.asked(1).await, receiver.asked(1).await);
    assert!(connect[0].starts_with(&format!("CONNECT localhost:{} HTTP/1.1\r\n", receiver.address.port())), "{connect:?}");
    assert!(connect[0].contains("uthorization: Basic YW5uOnB3") && !connect[0].contains("t0ken"), "{connect:?}");
    assert!(asked[0].starts_with("POST /t0ken ") && !asked[0].to_lowercase().contains("authorization"), "{asked:?}");
}

#[tokio::test]
async fn a_proxy_is_asked_unless_the_host_is_excepted() {
    let (proxy, receiver) = (Receiver::start([]).await, Receiver::start([]).await);
    let through = |no: &str| client().with_proxy(&format!("http://{}", proxy.address), no);
    tell(Webhook { client: Arc::new(through("")), ..webhook("http://hooks.test/t0ken") }, &[failed("x")]).await;
    let asked = proxy.asked(1).await;
    assert!(asked[0].starts_with("POST http://hooks.test/t0ken HTTP/1.1\r\n"), "{asked:?}");
    assert!(head(&asked[0]).contains(&"host: hooks.test".into()), "{asked:?}");
    tell(Webhook { client: Arc::new(through("127.0.0.0/8")), ..webhook(&receiver.url("/")) }, &[failed("x")]).await;
    assert_eq!((receiver.count(), proxy.count()), (1, 0));
}
