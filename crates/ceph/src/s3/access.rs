//! Where an S3 server is, and who asks.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

/// Where an S3 server is, who asks, and how patiently.
#[derive(Debug, Clone)]
pub struct Access {
    /// Its URL: `http://HOST[:PORT]` or `https://HOST[:PORT]`.
    pub endpoint: String,
    /// The region that requests are signed for; `us-east-1`, which Ceph takes too, if there is none.
    pub region: Option<String>,
    /// `http://HOST/BUCKET/KEY` instead of `http://BUCKET.HOST/KEY`.
    pub path_style: bool,
    /// A file of PEM certificates to trust instead of the machine's.
    pub ca: Option<PathBuf>,
    /// Who asks; nobody in particular if there are none.
    pub credentials: Option<Credentials>,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long the server may take to answer a request, and how long an answer may stand still.
    pub timeout: Duration,
    /// How often a request is made before its failure is the caller's: at least 1.
    pub attempts: u32,
}

impl Access {
    /// Path style, a connection in 10 s, an answer in 300 s, 5 attempts.
    pub fn new(endpoint: impl Into<String>, credentials: Option<Credentials>) -> Self {
        Self {
            endpoint: endpoint.into(),
            region: None,
            path_style: true,
            ca: None,
            credentials,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(300),
            attempts: 5,
        }
    }
}

/// Keys of whoever asks. What is secret in them is wiped from memory when the last clone goes, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The access key, which is no secret.
    pub access_key: String,
    /// The secret key.
    pub secret_key: Zeroizing<String>,
    /// The token of credentials that expire.
    pub session_token: Option<Zeroizing<String>>,
}

impl Credentials {
    /// Keys that do not expire.
    pub fn new(access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        Self { access_key: access_key.into(), secret_key: Zeroizing::new(secret_key.into()), session_token: None }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let mut credentials = Credentials::new("key", "secret");
        credentials.session_token = Some(Zeroizing::new("token".to_owned()));
        let printed = format!("{:?}", Access::new("http://localhost", Some(credentials)));
        assert!(printed.contains("\"key\"") && !printed.contains("secret") && !printed.contains("token"), "{printed}");
    }
}
