//! Where the API is, whom to trust there, and as whom to ask.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use backup_core::{Doing, Error, Result};
use hyper::Uri;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::credentials::Credentials;
use crate::kubeconfig;
use crate::workload::Namespace;

/// Where a pod finds its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The longest file that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// The API of a cluster and who asks it. It is shown without secrets.
#[derive(Debug)]
pub struct Access {
    pub(crate) server: Server,
    /// What the server is called in its certificate, if it is not its host.
    pub(crate) tls_name: Option<String>,
    /// The authorities to trust; none: those of the machine.
    pub(crate) roots: Vec<CertificateDer<'static>>,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) credentials: Credentials,
    pub(crate) namespace: Option<Namespace>,
}

/// Our own certificate with its key.
pub(crate) struct Certificate {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

impl Access {
    /// What `kubectl` would take: the kubeconfig files in `KUBECONFIG`, else `~/.kube/config`, else the pod's service account.
    ///
    /// `variable` looks an environment variable up. Files are read here, but for tokens: those are read at each request.
    pub fn find(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        if let Some(list) = set("KUBECONFIG") {
            let files: Vec<PathBuf> = std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect();
            return kubeconfig::read(&files);
        }
        let usual = set("HOME").map(|home| Path::new(&home).join(".kube/config")).filter(|path| path.exists());
        if let Some(usual) = usual {
            return kubeconfig::read(&[usual]);
        }
        match (set("KUBERNETES_SERVICE_HOST"), set("KUBERNETES_SERVICE_PORT")) {
            (Some(host), Some(port)) => Self::in_cluster(&host, &port, Path::new(SERVICE_ACCOUNT)),
            _ => Err(Error::usage("it is not said where the API of the cluster is")
                .with_hint("set KUBECONFIG, or run it in a pod that has a service account")),
        }
    }

    /// The API at `host` and `port` with the service account in `folder`: `ca.crt`, `namespace`, and `token`, which is read anew
    /// at each request, as the cluster replaces it.
    pub fn in_cluster(host: &str, port: &str, folder: &Path) -> Result<Self> {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let ca = read(&folder.join("ca.crt"))?;
        let namespace = read(&folder.join("namespace"))?;
        let namespace = namespace.trim().parse().doing(|| format!("read {}", folder.join("namespace").display()))?;
        Ok(Self {
            server: format!("https://{host}:{port}").parse()?,
            tls_name: None,
            roots: certificates(ca.as_bytes()).doing(|| format!("read {}", folder.join("ca.crt").display()))?,
            certificate: None,
            credentials: Credentials::File(folder.join("token")),
            namespace: Some(namespace),
        })
    }

    /// The namespace that it names.
    pub fn namespace(&self) -> Option<&Namespace> {
        self.namespace.as_ref()
    }
}

/// The API's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Before each path, without a slash at its end: some clusters share an address.
    pub(crate) prefix: String,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority(), self.prefix)
    }
}

impl Server {
    /// Host and port as in the header `Host`.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 443 { host } else { format!("{host}:{}", self.port) }
    }
}

impl FromStr for Server {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let usage = |what: &'static str| Error::usage(what).with_hint("give an address like https://host:6443");
        let uri = Uri::from_str(text.trim()).map_err(|_| usage("the address of the API cannot be understood"))?;
        if uri.scheme_str() != Some("https") {
            return Err(usage("the API is only asked over https"));
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| usage("the address of the API names no host"))?;
        let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let port = match authority.strip_prefix(host) {
            Some("") => 443,
            Some(_) => uri.port_u16().filter(|port| *port > 0).ok_or_else(|| usage("the API has no such port"))?,
            None => return Err(usage("the address of the API has a user in it")),
        };
        if uri.query().is_some() {
            return Err(usage("the address of the API has a query in it"));
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port, prefix: uri.path().trim_end_matches('/').to_owned() })
    }
}

/// The text of a file of at most 1 MiB.
pub(crate) fn read(path: &Path) -> Result<String> {
    let read = || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut std::io::Read::take(std::fs::File::open(path)?, LONGEST), &mut text)?;
        Ok::<_, std::io::Error>(text)
    };
    read().doing(|| format!("read {}", path.display()))
}

/// The certificates in a PEM text, of which there must be one.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| Error::failed(error.to_string()))?;
    if found.is_empty() { Err(Error::failed("there is no PEM certificate in it")) } else { Ok(found) }
}

/// The key in a PEM text.
pub(crate) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| Error::failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_https_and_has_no_secrets() {
        for (text, shown) in [
            ("https://api.test:6443", "https://api.test:6443"),
            ("https://api.test/", "https://api.test"),
            ("https://[fd00::1]:443", "https://[fd00::1]"),
            ("https://10.0.0.1:8443/k8s/clusters/c-1/", "https://10.0.0.1:8443/k8s/clusters/c-1"),
        ] {
            assert_eq!(text.parse::<Server>().expect(text).to_string(), shown);
        }
        for text in [
            "http://api.test",
            "api.test:6443",
            "",
            "https://",
            "https://u:s3cret@api.test",
            "https://a:0",
            "https://a:b",
            "https://a:99999",
            "https://a/?token=s3cret",
            "https://a b",
        ] {
            let error = text.parse::<Server>().expect_err(text);
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn a_machine_that_knows_no_cluster_says_what_to_do() {
        let error = Access::find(|_| None).expect_err("there is none");
        assert!(error.hint().is_some_and(|hint| hint.contains("KUBECONFIG")), "{error:?}");
        let error = Access::find(|name| Some(if name == "HOME" { "/nonexistent" } else { "" }.into())).expect_err("empty");
        assert!(error.hint().is_some_and(|hint| hint.contains("KUBECONFIG")), "{error:?}");
        let error = Access::find(|name| (name == "KUBECONFIG").then(|| "/nonexistent/a:/nonexistent/b".into()));
        assert!(error.expect_err("no file").chain().contains("/nonexistent/a"), "which file");
    }
}
