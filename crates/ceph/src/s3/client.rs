//! What the client library is told, which has opinions of its own on checksums, retries and clocks.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, IdentityCache, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use backup_core::Result;

use super::whole::Whole;
use super::{Access, http};

/// A client that asks each request once, as `access` says.
pub(super) fn client(access: &Access) -> Result<Client> {
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(access.region.clone().unwrap_or_else(|| "us-east-1".to_owned())))
        .endpoint_url(access.endpoint.trim_end_matches('/'))
        .force_path_style(access.path_style)
        .http_client(http::client(access)?)
        // Digests are ours: a checksum of the library's comes in a trailer, which older gateways refuse.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        // Patience is ours too, by the size of what is sent.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .disable_clock_skew_correction(true)
        .disable_s3_express_session_auth(true)
        .interceptor(Whole)
        .identity_cache(IdentityCache::no_cache());
    config = match &access.credentials {
        Some(keys) => config.credentials_provider(aws_sdk_s3::config::Credentials::new(
            keys.access_key.clone(),
            keys.secret_key.as_str(),
            keys.session_token.as_ref().map(|token| token.as_str().to_owned()),
            None,
            "backup-ceph",
        )),
        None => config.allow_no_auth(),
    };
    Ok(Client::from_conf(config.build()))
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::primitives::ByteStream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::Credentials;

    #[tokio::test]
    async fn nothing_is_sent_that_old_gateways_refuse() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", server.local_addr().expect("its address"));
        let answered = tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.expect("a connection");
            let mut request = vec![0; 1 << 16];
            let mut read = 0;
            while !request[..read].ends_with(b"bytes") {
                read += stream.read(&mut request[read..]).await.expect("a request");
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\netag: \"e\"\r\n\r\n").await.expect("answered");
            String::from_utf8(request[..read].to_vec()).expect("text").to_lowercase()
        });
        let client = client(&Access::new(endpoint, Some(Credentials::new("key", "secret")))).expect("a client");
        let put = client.put_object().bucket("bucket").key("k").body(ByteStream::from_static(b"bytes"));
        put.send().await.expect("stored");
        let request = answered.await.expect("answered");
        assert!(request.starts_with("put /bucket/k"), "{request}");
        for header in ["x-amz-checksum", "x-amz-sdk-checksum", "x-amz-trailer", "aws-chunked"] {
            assert!(!request.contains(header), "{header}: {request}");
        }
    }
}
