//! Connections to an S3 server: TLS is rustls with ring.

use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use backup_core::{Doing, Error, Result};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::Access;

/// What makes connections to `access.endpoint`.
pub(super) fn client(access: &Access) -> Result<SharedHttpClient> {
    if !access.endpoint.starts_with("https:") {
        return Ok(Builder::new().build_http());
    }
    let store = match &access.ca {
        Some(path) => {
            let pem = std::fs::read(path).doing(|| format!("read the certificates in {}", path.display()))?;
            // The library panics at what it cannot read.
            checked(&pem).doing(|| format!("read the certificates in {}", path.display()))?;
            TrustStore::empty().with_pem_certificate(pem)
        }
        None if rustls_native_certs::load_native_certs().certs.is_empty() => {
            return Err(Error::failed("this machine has no certificates to trust")
                .with_hint("install ca-certificates, or name a file of them with --s3-ca"));
        }
        None => TrustStore::default(),
    };
    let tls = TlsContext::builder().with_trust_store(store).build().map_err(|error| Error::failed(error.to_string()))?;
    Ok(Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(tls).build_https())
}

/// Fails unless `pem` is certificates, all of them sound.
fn checked(pem: &[u8]) -> Result<()> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| Error::failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| Error::failed(error.to_string()))?;
    }
    if roots.is_empty() { Err(Error::failed("there is no certificate in it")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_an_error_and_no_panic() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut access = Access::new("https://localhost", None);
        access.ca = Some(file.path().to_owned());
        for text in
            ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\n!"]
        {
            std::fs::write(file.path(), text).expect("written");
            assert!(client(&access).is_err(), "{text:?}");
        }
        access.ca = Some("/no/such/file".into());
        assert!(client(&access).is_err());
    }
}
