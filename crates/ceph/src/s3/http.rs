//! Requests to an S3 server and their answers: HTTP/1.1 by hyper, TLS by rustls with ring.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{self, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use backup_core::{Doing, Error, Result};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tower_service::Service;

use super::Access;
use super::prompt::{Connector, Prompt};

/// What makes requests to `access.endpoint`, over connections that are kept for the next ones.
pub(super) fn client(access: &Access) -> Result<SharedHttpClient> {
    let roots = if access.endpoint.starts_with("https:") { roots(access)? } else { RootCertStore::empty() };
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .doing(|| "set TLS up")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    // That it is https is none of its business.
    tcp.enforce_http(false);
    let connector = Timely { https: HttpsConnector::from((Connector(tcp), tls)), most: access.connect_timeout };
    let pool = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
    let http = SharedHttpConnector::new(Http(pool));
    Ok(http::http_client_fn(move |_, _| http.clone()))
}

/// The authorities that are believed.
fn roots(access: &Access) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match &access.ca {
        Some(path) => {
            let mut add = || {
                for certificate in CertificateDer::pem_file_iter(path).map_err(said)? {
                    roots.add(certificate.map_err(said)?).map_err(said)?;
                }
                if roots.is_empty() { Err(Error::failed("there is no certificate in it")) } else { Ok(()) }
            };
            add().doing(|| format!("read the certificates in {}", path.display()))?;
        }
        // Machines have some that nobody can read.
        None if roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs).0 == 0 => {
            return Err(Error::failed("this machine has no certificates to trust")
                .with_hint("install ca-certificates, or name a file of them with --s3-ca"));
        }
        None => {}
    }
    Ok(roots)
}

fn said(error: impl std::error::Error) -> Error {
    Error::failed(error.to_string())
}

/// The client library's requests, made by hyper.
#[derive(Debug)]
struct Http(Client<Timely, SdkBody>);

impl http::HttpConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let pool = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let answer = pool.request(request).await.map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x)).map_err(|error| ConnectorError::user(error.into()))
        })
    }
}

/// What makes connections, TLS and all, within a time.
#[derive(Debug, Clone)]
struct Timely {
    https: HttpsConnector<Connector>,
    most: Duration,
}

impl Service<Uri> for Timely {
    type Response = MaybeHttpsStream<Prompt>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, most) = (self.https.call(uri), self.most);
        let late = move |_| {
            let told = format!("no connection could be made in {} s", most.as_secs());
            BoxError::from(io::Error::new(io::ErrorKind::TimedOut, told))
        };
        async move { tokio::time::timeout(most, connecting).await.map_err(late)? }.boxed()
    }
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
