//! A stand-in for the API of a Kubernetes or OpenShift cluster, over HTTPS.
//!
//! No cluster can run where the tests do. This one has no nodes: controllers in memory follow what is wanted a little later,
//! as the real ones do, and every answer has the shape that the real API's has: versions that conflict, the subresource
//! `scale` of both groups, pages, status objects for what is refused. It can also answer as no API should.

mod answer;
mod world;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

pub use world::{Object, Pod, World};

/// The one namespace that there is.
pub const NAMESPACE: &str = "shop";

/// The token that is known at first.
pub const TOKEN: &str = "t0k3n-of-a-service-account";

/// How often the controllers work.
const TICK: Duration = Duration::from_millis(2);

/// What goes wrong at a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is never answered.
    Hang,
    /// The connection is closed without an answer.
    Close,
    /// The request is carried out, and half of the answer comes.
    Cut,
    /// The answer never ends.
    Endless,
    /// This is answered with status 200.
    Body(String),
    /// A status object with this code is answered, with this message.
    Status(u16, String),
}

/// One request.
struct Request {
    method: String,
    path: String,
    token: Option<String>,
    has_certificate: bool,
    body: String,
}

/// A running stand-in; gone when it is dropped.
pub struct StandIn {
    world: Arc<Mutex<World>>,
    folder: tempfile::TempDir,
    port: u16,
    over: Arc<AtomicBool>,
}

impl StandIn {
    /// A stand-in for the API of a cluster in which nothing runs yet.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let tls = certificates(folder.path());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let world = Arc::new(Mutex::new(World::default()));
        let over = Arc::new(AtomicBool::new(false));
        let (shared, ended) = (world.clone(), over.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (world, tls) = (shared.clone(), tls.clone());
                thread::spawn(move || serve(stream.expect("a client"), tls, &world));
            }
        });
        let (shared, ended) = (world.clone(), over.clone());
        thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                thread::sleep(TICK);
                shared.lock().unwrap_or_else(PoisonError::into_inner).tick();
            }
        });
        let this = Self { world, folder, port, over };
        this.write_files();
        this
    }

    /// What the cluster holds, to look at and to change behind everybody's back.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many replicas `what` is to have.
    pub fn replicas(&self, what: &str) -> u32 {
        self.world().objects.get(what).expect("it is there").replicas
    }

    /// Lets requests that have `text` in them, or before a `$` at their end, go wrong, so many `times`.
    pub fn break_at(&self, text: &str, fault: Fault, times: u32) {
        self.world().faults.push_back((text.to_owned(), fault, times));
    }

    /// The address of the API.
    pub fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its files lie: `ca.crt`, `client.crt`, `client.key`, `other.crt` of an authority that nobody trusts.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A kubeconfig that leads here with the token.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder().join("config")
    }

    fn write_files(&self) {
        let config = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\nclusters:\n- name: stand-in\n  cluster:\n    server: {}\n    \
             certificate-authority: ca.crt\ncontexts:\n- context: {{cluster: stand-in, user: backup, namespace: {NAMESPACE}}}\n  \
             name: here\nusers:\n- name: backup\n  user:\n    token: {TOKEN}\n",
            self.server()
        );
        for (name, text) in [("config", config.as_str()), ("namespace", NAMESPACE), ("token", TOKEN)] {
            std::fs::write(self.folder().join(name), text).expect("written");
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // The listener looks up at the next client.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// Makes an authority, the server's certificate and a client's, and an authority that nobody trusts.
fn certificates(folder: &Path) -> Arc<ServerConfig> {
    const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    let openssl = |arguments: String| {
        let done = Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder).output().expect("openssl");
        assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    };
    for (name, subject) in [("ca", "Authority"), ("other", "Stranger")] {
        openssl(format!("req -x509 {KEY} -days 2 -subj /CN={subject} -keyout {name}.key -out {name}.crt"));
    }
    std::fs::write(folder.join("server.ext"), "subjectAltName=IP:127.0.0.1,DNS:api.test").expect("written");
    std::fs::write(folder.join("client.ext"), "basicConstraints=CA:FALSE").expect("written");
    for name in ["server", "client"] {
        openssl(format!("req {KEY} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        let sign = "x509 -req -days 2 -CA ca.crt -CAkey ca.key -CAcreateserial";
        openssl(format!("{sign} -in {name}.csr -extfile {name}.ext -out {name}.crt"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = |name: &str| CertificateDer::from_pem_file(folder.join(name)).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca.crt")).expect("an authority");
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).allow_unauthenticated();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(clients.build().expect("a verifier"))
        .with_single_cert(
            vec![certificate("server.crt")],
            PrivateKeyDer::from_pem_file(folder.join("server.key")).expect("a key"),
        )
        .expect("a certificate with its key");
    Arc::new(config)
}

/// Answers the one request of a connection.
fn serve(stream: TcpStream, tls: Arc<ServerConfig>, world: &Mutex<World>) {
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
    let mut stream = StreamOwned::new(ServerConnection::new(tls).expect("a connection"), stream);
    // Who does not like the certificate is gone.
    let Some(request) = read(&mut stream) else { return };
    let (fault, (code, body)) = {
        let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("{} {}", request.method, request.path);
        let is_at = |text: &str| text.strip_suffix('$').map_or_else(|| line.contains(text), |end| line.ends_with(end));
        let fault = world.faults.iter_mut().find(|(text, _, times)| *times > 0 && is_at(text));
        let fault = fault.map(|(_, fault, times)| {
            *times -= 1;
            fault.clone()
        });
        world.asked.push(line);
        let answered = match &fault {
            Some(Fault::Body(body)) => (200, body.clone()),
            Some(Fault::Status(code, message)) => answer::status(*code, "Whatever", message, serde_json::json!(null)),
            Some(Fault::Hang | Fault::Close) => (0, String::new()),
            Some(Fault::Cut | Fault::Endless) | None => answer::answer(&mut world, &request),
        };
        (fault, answered)
    };
    let head = |length: usize| {
        format!("HTTP/1.1 {code} Whatever\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n")
    };
    // A client that has gone is nobody's fault here.
    let _ = match fault {
        Some(Fault::Hang) => stream.read(&mut [0]).map(drop),
        Some(Fault::Close) => Ok(()),
        Some(Fault::Cut) => stream.write_all(format!("{}{}", head(body.len()), &body[..body.len() / 2]).as_bytes()),
        Some(Fault::Endless) => {
            let begun = stream.write_all(head(1 << 40).as_bytes());
            begun.and_then(|()| {
                loop {
                    stream.write_all(&[b' '; 1 << 16])?;
                }
            })
        }
        _ => stream.write_all(format!("{}{body}", head(body.len())).as_bytes()),
    };
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

fn read(stream: &mut StreamOwned<ServerConnection, TcpStream>) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut space = [0; 4096];
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let value = |name: &str| {
                let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
                let mut lines = lines.filter(|(header, _)| header.eq_ignore_ascii_case(name));
                lines.next().map(|(_, value)| value.to_owned())
            };
            let length = value("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                let mut first = head.lines().next().unwrap_or_default().split(' ').map(str::to_owned);
                let token = value("authorization").and_then(|text| text.strip_prefix("Bearer ").map(str::to_owned));
                return Some(Request {
                    method: first.next()?,
                    path: first.next()?,
                    token,
                    has_certificate: stream.conn.peer_certificates().is_some(),
                    body: String::from_utf8_lossy(&bytes[end + 4..]).into_owned(),
                });
            }
        }
        match stream.read(&mut space) {
            Ok(0) | Err(_) => return None,
            Ok(length) => bytes.extend_from_slice(&space[..length]),
        }
    }
}
