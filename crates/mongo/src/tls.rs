//! The files of TLS: whether they hold what they should, before a server is asked.

use std::path::Path;

use backup_core::{Error, Kind, Result};
use mongodb::options::TlsOptions;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Makes sure that the files can be used: the driver leaves out what is no authority, and tells of others late.
pub(crate) fn check(tls: &TlsOptions) -> Result<()> {
    if let Some(file) = &tls.ca_file_path {
        let mut authorities = RootCertStore::empty();
        for certificate in certificates(file)? {
            authorities
                .add(certificate)
                .map_err(|error| unusable(file, "a certificate in it is no authority's").with_source(error))?;
        }
    }
    if let Some(file) = &tls.cert_key_file_path {
        certificates(file)?;
        let key = PrivateKeyDer::from_pem_file(file);
        key.map_err(|error| unusable(file, "there is no key in it").with_source(error))?;
    }
    Ok(())
}

/// At least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found: Vec<CertificateDer<'static>> = found.map_err(|error| unusable(file, "it cannot be read").with_source(error))?;
    if found.is_empty() {
        return Err(unusable(file, "there is no certificate in it"));
    }
    Ok(found)
}

fn unusable(file: &Path, why: &str) -> Error {
    Error::new(Kind::Usage, format!("the file {} is not what TLS needs: {why}", file.display()))
        .with_hint("give PEM: certificates that begin with -----BEGIN CERTIFICATE-----, and with one that is shown its key")
}
