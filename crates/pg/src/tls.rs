//! TLS to a server, with libpq's meaning of `sslmode` (PostgreSQL documentation, "SSL Support").

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use backup_core::{Doing as _, Error, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{ChannelBinding, Config, RootCert, SslMode};

/// What makes the TLS connections of `config`: reads the root certificates, our own certificate and its key.
///
/// As with libpq, a root certificate makes `require` (and `prefer`) check the chain, and without one they check nothing.
pub(crate) fn connector(config: &Config) -> Result<MakeRustlsConnect> {
    let roots = match &config.tls.root {
        RootCert::None => None,
        RootCert::File(path) => Some(certificates(path).doing(|| format!("read sslrootcert {}", path.display()))?),
        RootCert::System => Some(of_the_machine()?),
    };
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier {
        roots: roots.map(Roots::new).transpose()?,
        full: config.tls.mode == SslMode::VerifyFull,
        bound: config.channel_binding == ChannelBinding::Require,
        provider: Arc::clone(&provider),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .doing(|| "set TLS up")?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut tls = match &config.tls.client {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = certificates(cert).doing(|| format!("read sslcert {}", cert.display()))?;
            let private = private_key(key).doing(|| format!("read sslkey {}", key.display()))?;
            builder.with_client_auth_cert(chain, private).doing(|| format!("use {} with {}", cert.display(), key.display()))?
        }
    };
    // What the server asks for when TLS starts at once.
    tls.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(MakeRustlsConnect::new(tls))
}

/// The authorities that this machine trusts, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`. An empty image has none.
fn of_the_machine() -> Result<Vec<CertificateDer<'static>>> {
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() {
        let hint = "give sslrootcert=FILE, or name a file of certificates in SSL_CERT_FILE";
        return Err(Error::failed("this machine has no certificate of an authority").with_hint(hint));
    }
    Ok(found)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|error| Error::failed(error.to_string()))?;
    if found.is_empty() { Err(Error::failed("there is no PEM certificate in it")) } else { Ok(found) }
}

/// Reads a key that nobody else can read: of ours with no right for others, or of root's and readable by a group.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let about = fs::metadata(path)?;
    let open = if about.uid() == 0 { 0o037 } else { 0o077 };
    if about.permissions().mode() & open != 0 {
        return Err(Error::failed("others have access to it").with_hint("run chmod 0600 on it"));
    }
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        Error::failed(error.to_string())
            .with_hint("give a PEM file with an unencrypted key: there is nobody to ask for its passphrase")
    })
}

#[derive(Debug)]
struct Roots {
    certificates: Vec<CertificateDer<'static>>,
    store: RootCertStore,
}

impl Roots {
    fn new(certificates: Vec<CertificateDer<'static>>) -> Result<Self> {
        let mut store = RootCertStore::empty();
        let (added, _) = store.add_parsable_certificates(certificates.iter().cloned());
        if added == 0 {
            return Err(Error::failed("no root certificate can be used").with_hint("give X.509 version 3 certificates"));
        }
        Ok(Self { certificates, store })
    }
}

/// Checks as much of a server's certificate as was asked for.
#[derive(Debug)]
struct Verifier {
    /// Whose certificates are trusted; `None` trusts everybody.
    roots: Option<Roots>,
    /// Whether the certificate has to carry the host's name.
    full: bool,
    /// Whether the login will be bound to the certificate, so that its key must be shown to be the server's.
    bound: bool,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// Lets pass that a certificate is too odd to check a signature with, where nobody asked who the server is.
    /// A signature that is wrong never passes.
    fn unless_nobody_asked(
        &self,
        checked: Result<HandshakeSignatureValid, rustls::Error>,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match checked {
            Err(rustls::Error::InvalidCertificate(why))
                if self.roots.is_none() && !self.bound && why != CertificateError::BadSignature =>
            {
                Ok(HandshakeSignatureValid::assertion())
            }
            checked => checked,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        match verify_server_cert_signed_by_trust_anchor(&certificate, &roots.store, intermediates, now, algorithms) {
            Ok(()) => {}
            // A server whose self-signed certificate is itself the root file. That it is a CA's is found after its dates were checked.
            Err(error) if is_ca_as_end_entity(&error) && roots.certificates.iter().any(|root| root == end_entity) => {}
            Err(error) => return Err(error),
        }
        if self.full {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.unless_nobody_asked(verify_tls12_signature(message, cert, dss, algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.unless_nobody_asked(verify_tls13_signature(message, cert, dss, algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether the only thing wrong is that the certificate is a certificate authority's.
fn is_ca_as_end_entity(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(CertificateError::Other(other)) if other.0.to_string() == "CaUsedAsEndEntity")
}
