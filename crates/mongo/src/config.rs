//! Which server, and as whom: a host or a connection string, and what does not stand in it.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backup_core::{Error, Result};
use mongodb::error::ErrorKind;
use mongodb::options::{ClientOptions, Tls, TlsOptions};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::mongo_error::mongo_error;
use crate::secret::Secret;
use crate::tls;

/// How long a server may take to be found, unless the connection string says otherwise.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is encoded in the path of a socket, which the driver knows by the `.sock` at its end.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.');

/// How to reach a deployment.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// `HOST`, `HOST:PORT`, `SET/HOST:PORT,…`, `mongodb://…` or `mongodb+srv://…`. One host alone is spoken to directly, whatever
    /// it is a member of.
    pub server: String,
    /// Who logs in, where the connection string does not say it.
    pub username: Option<String>,
    /// The password, where the connection string does not say it.
    pub password: Option<Secret>,
    /// The database that knows the user; `admin` by default.
    pub auth_source: Option<String>,
    /// Whether the server is spoken to over TLS, whatever the connection string says.
    pub tls: bool,
    /// A file (PEM) of the authorities that vouch for the server. With it there is TLS.
    pub tls_ca: Option<PathBuf>,
    /// A file (PEM) with a certificate and its key, to show to the server. With it there is TLS.
    pub tls_certificate: Option<PathBuf>,
    /// Whether a secondary is read; the primary, where none answers in time.
    pub secondary: bool,
    /// What the connections are called in the server's log and lists; by default what the connection string says, else the program.
    pub app_name: Option<String>,
}

impl Config {
    /// A config of `server` with nothing else to it.
    pub fn new(server: impl Into<String>) -> Self {
        Self { server: server.into(), ..Self::default() }
    }

    /// A config of the server that listens on the socket at `path`, which ends in `.sock`.
    pub fn socket(path: &Path) -> Self {
        let path = percent_encode(path.as_os_str().as_bytes(), PATH);
        Self::new(format!("mongodb://{path}/?directConnection=true"))
    }

    /// Whether a password stands in the connection string.
    pub fn has_password_in_server(&self) -> bool {
        self.server.split_once("://").is_some_and(|(_, rest)| password(rest).is_some())
    }

    /// The servers as they are told to people: without user, password and options.
    pub fn place(&self) -> Cow<'_, str> {
        let hosts = self.server.split_once("://").map_or(self.server.as_str(), |(_, rest)| rest);
        let hosts = authority(hosts);
        let hosts = hosts.rsplit_once('@').map_or(hosts, |(_, hosts)| hosts);
        // A path of a socket is encoded.
        percent_decode_str(hosts).decode_utf8_lossy()
    }

    /// What the driver is told.
    pub(crate) async fn options(&self) -> Result<ClientOptions> {
        let url = self.url()?;
        let parsed = ClientOptions::parse(url.as_str()).await;
        let mut options = parsed.map_err(|error| self.not_understood(&url, &error))?;
        options.app_name = self.app_name.clone().or(options.app_name);
        options.app_name.get_or_insert_with(|| "mongo-healer".to_owned());
        options.server_selection_timeout.get_or_insert(PATIENCE);
        if let (Some(credential), Some(source)) = (&mut options.credential, &self.auth_source) {
            credential.source = Some(source.clone());
        }
        if self.tls || self.tls_ca.is_some() || self.tls_certificate.is_some() {
            let mut tls = match options.tls.take() {
                Some(Tls::Enabled(tls)) => tls,
                _ => TlsOptions::default(),
            };
            tls.ca_file_path = self.tls_ca.clone().or(tls.ca_file_path);
            tls.cert_key_file_path = self.tls_certificate.clone().or(tls.cert_key_file_path);
            options.tls = Some(Tls::Enabled(tls));
        }
        if let Some(Tls::Enabled(tls)) = &options.tls {
            tls::check(tls)?;
        }
        Ok(options)
    }

    /// Why a connection string leads nowhere.
    fn not_understood(&self, url: &str, error: &mongodb::error::Error) -> Error {
        match error.kind.as_ref() {
            ErrorKind::DnsResolve { .. } => mongo_error(format!("find the servers of {}", self.place()), error),
            ErrorKind::InvalidArgument { message, .. } => without(url, message),
            other => without(url, &other.to_string()),
        }
    }

    /// The connection string as a whole, with its secrets.
    fn url(&self) -> Result<Zeroizing<String>> {
        let (scheme, rest, is_host) = match self.server.split_once("://") {
            Some((scheme @ ("mongodb" | "mongodb+srv"), rest)) => (scheme, rest.to_owned(), false),
            Some((scheme, _)) => {
                return Err(Error::usage(format!("no MongoDB server has a URL that begins with {scheme}://"))
                    .with_hint("write HOST, HOST:PORT, mongodb://… or mongodb+srv://…"));
            }
            None => ("mongodb", self.hosts()?, true),
        };
        let url = Zeroizing::new(match (self.user(&rest), is_host) {
            (None, _) => format!("{scheme}://{rest}"),
            (Some(user), _) => {
                let hosts = Zeroizing::new(user);
                let after = authority(&rest).rsplit_once('@').map_or(0, |(user, _)| user.len() + 1);
                format!("{scheme}://{}@{}", hosts.as_str(), rest.get(after..).unwrap_or_default())
            }
        });
        Ok(url)
    }

    /// Who logs in and with which password, as it stands in a URL; `None` to leave what stands there.
    fn user(&self, rest: &str) -> Option<String> {
        let said = authority(rest).rsplit_once('@').map(|(user, _)| user);
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let user = match (said, &self.username) {
            (_, Some(name)) => encoded(name),
            (Some(said), None) => said.split(':').next().unwrap_or_default().to_owned(),
            (None, None) => return None,
        };
        let secret = self.password.as_ref().map(|secret| encoded(secret.reveal()));
        let secret = secret.or_else(|| Some(said?.split_once(':')?.1.to_owned()));
        Some(secret.map_or_else(|| user.clone(), |secret| format!("{user}:{secret}")))
    }

    /// `HOST[:PORT]` and `SET/HOST[:PORT],…` as they stand in a URL.
    fn hosts(&self) -> Result<String> {
        let (set, hosts) = match self.server.split_once('/') {
            Some((set, hosts)) => (Some(set), hosts),
            None => (None, self.server.as_str()),
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[],%".contains(c);
        if hosts.is_empty() || !hosts.chars().all(is_plain) {
            return Err(Error::usage(format!("{:?} names no server", self.server))
                .with_hint("write HOST, HOST:PORT, mongodb://… or mongodb+srv://…"));
        }
        Ok(match set {
            Some(set) => format!("{hosts}/?replicaSet={}", utf8_percent_encode(set, NON_ALPHANUMERIC)),
            None if hosts.contains(',') => format!("{hosts}/"),
            None => format!("{hosts}/?directConnection=true"),
        })
    }
}

/// What stands before the path and the options: user, password and hosts.
fn authority(rest: &str) -> &str {
    // A password may have a slash in it that should have been encoded: what follows the last @ is no part of it.
    let user = rest.rfind('@').map_or(0, |at| at + 1);
    let end = rest.get(user..).and_then(|hosts| hosts.find(['/', '?'])).map_or(rest.len(), |end| user + end);
    rest.get(..end).unwrap_or(rest)
}

fn password(rest: &str) -> Option<&str> {
    Some(authority(rest).rsplit_once('@')?.0.split_once(':')?.1)
}

/// What the driver said of a connection string, unless the password stands in it.
fn without(url: &str, said: &str) -> Error {
    let secret = url.split_once("://").and_then(|(_, rest)| password(rest)).unwrap_or_default();
    let plain = percent_decode_str(secret).decode_utf8_lossy();
    // Also a piece of it: a password with a slash that is not encoded ends the hosts.
    let pieces = [secret, plain.as_ref()].map(|text| text.split(|c: char| !c.is_alphanumeric()));
    let tells = pieces.into_iter().flatten().any(|piece| piece.len() > 2 && said.contains(piece));
    let encode = "in user and password, write characters other than letters and digits as %XX";
    let (said, hint) = match tells || said.contains('%') || said.contains("encoded") {
        true if tells => ("user or password are not written as in a URL", encode),
        true => (said, encode),
        false => (said, "MongoDB's manual has the form and the options of connection strings"),
    };
    Error::usage("failed to understand the connection string").with_source(Error::usage(said.to_owned()).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use mongodb::options::ServerAddress;

    use super::*;

    #[tokio::test]
    async fn a_host_is_spoken_to_directly_and_a_set_is_found() {
        let options = Config::new("db.example:27018").options().await.expect("options");
        let host = ServerAddress::Tcp { host: "db.example".to_owned(), port: Some(27018) };
        assert_eq!((options.hosts, options.direct_connection), (vec![host], Some(true)));
        assert!(options.credential.is_none() && options.tls.is_none());
        let options = Config::new("rs0/a:1,b:2").options().await.expect("options");
        assert_eq!((options.hosts.len(), options.repl_set_name.as_deref()), (2, Some("rs0")));
        assert_eq!(options.direct_connection, None);
        let options = Config::new("[::1]:27018").options().await.expect("options");
        assert!(options.hosts[0].to_string().ends_with(":27018"), "{:?}", options.hosts);
    }

    #[tokio::test]
    async fn a_socket_is_a_server() {
        let config = Config::socket(Path::new("/tmp/a b%/mongod.sock"));
        let hosts = config.options().await.expect("options").hosts;
        assert_eq!(hosts, [ServerAddress::Unix { path: PathBuf::from("/tmp/a b%/mongod.sock") }]);
        assert_eq!(config.place(), "/tmp/a b%/mongod.sock");
    }

    #[tokio::test]
    async fn user_and_password_come_from_beside_the_url_or_from_within() {
        let login = async |server: &str, username: Option<&str>, password: Option<&str>| {
            let username = username.map(str::to_owned);
            let config = Config { username, password: password.map(Secret::from), ..Config::new(server) };
            let credential = config.options().await.expect("options").credential.expect("a login");
            (credential.username.unwrap_or_default(), credential.password.unwrap_or_default())
        };
        let pair = |user: &str, password: &str| (user.to_owned(), password.to_owned());
        assert_eq!(login("localhost", Some("o'n/e"), Some("p@:/ä")).await, pair("o'n/e", "p@:/ä"));
        assert_eq!(login("mongodb://one@localhost/", None, Some("p@:/ä")).await, pair("one", "p@:/ä"));
        assert_eq!(login("mongodb://one:in@localhost/app?appName=x", None, None).await, pair("one", "in"));
        assert_eq!(login("mongodb://one:in@localhost/", Some("two"), Some("out")).await, pair("two", "out"));
        let config = Config { auth_source: Some("app".to_owned()), ..Config::new("mongodb://one:in@localhost/other") };
        assert_eq!(config.options().await.expect("options").credential.expect("a login").source.as_deref(), Some("app"));
        assert_eq!((config.place().as_ref(), config.has_password_in_server()), ("localhost", true));
        assert!(!Config::new("mongodb://one@localhost/").has_password_in_server());
    }

    #[tokio::test]
    async fn what_names_no_server_is_refused_and_no_secret_is_told() {
        for server in [
            "",
            "a b",
            "http://localhost",
            "rs0/",
            "mongodb://",
            "mongodb://u:s3cr3t/x@h:notaport/",
            "mongodb://u:%s3cr3t@h",
            "mongodb+srv://",
            "mongodb+srv://u:s3cr3t@db.example.com:27017/",
            "mongodb+srv://u:s3cr3t@a.example.com,b.example.com/",
            "mongodb+srv://u:s3cr3t@db.example.com/?directConnection=true",
            "mongodb+srv://u:s3cr3t@/app",
            "mongodb+srv:///app",
            "mongodb+srv://u:s3cr3t@db.example.com/?tls=perhaps",
            "mongodb+srv://u:%s3cr3t@db.example.com",
            "mongodb+SRV://a.b.c",
            "mongodb+srv://db.example.com/?authMechanism=NONE",
        ] {
            let error = Config::new(server).options().await.expect_err(server);
            assert_eq!(error.kind(), backup_core::Kind::Usage, "{server}");
            assert!(error.hint().is_some(), "{server}");
            let line = error.chain();
            assert!(!line.contains("s3cr3t") && !line.contains("labels") && line.len() < 200, "{line}");
        }
    }

    #[tokio::test]
    async fn servers_that_no_name_server_knows_are_one_line_and_nobody_is_asked_for_more() {
        let config = Config { password: Some(Secret::from("s3cr3t")), ..Config::new("mongodb+srv://u@db.shop.invalid/") };
        let error = config.options().await.expect_err("nobody knows it");
        let line = error.chain();
        assert!(error.kind() == backup_core::Kind::Failed && line.contains("db.shop.invalid") && line.len() < 300, "{line}");
        assert!(!line.contains("s3cr3t") && error.hint().is_some_and(|hint| hint.contains("name server")), "{line}");
    }
}
