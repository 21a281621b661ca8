//! What s3cmd's configuration file says, `.s3cfg`: the server, who asks, and how a sync is done.

mod parse;
mod write;

use std::path::PathBuf;
use std::time::Duration;

use backup_core::{Error, Result};
use zeroize::Zeroizing;

use crate::ContentType;
use crate::s3::{Access, Credentials};

/// Looks an environment variable up: a library does not read the environment.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a `.s3cfg` says, as far as it means something here. The defaults are s3cmd's.
#[derive(Debug, Clone)]
pub struct S3Cfg {
    /// The keys, if it has both.
    pub credentials: Option<Credentials>,
    /// The server, `HOST[:PORT]`.
    pub host_base: String,
    /// How a bucket is addressed: `%(bucket)s.HOST[:PORT]`, or anything else for path style.
    pub host_bucket: String,
    /// Path style whatever `host_bucket` says, as the fork of s3cmd has it that the Deis document names.
    pub use_path_mode: bool,
    /// TLS.
    pub use_https: bool,
    /// A file of PEM certificates to trust instead of the machine's.
    pub ca_certs_file: Option<PathBuf>,
    /// Where buckets are made; decides the region.
    pub bucket_location: String,
    /// How long an answer may stand still.
    pub socket_timeout: Duration,
    /// How often a request that failed is made again.
    pub max_retries: u32,
    /// From this many bytes on an object is stored in parts of as many.
    pub part_size: u64,
    /// Whether s3cmd stores objects in parts. Here they always are, which a person is told.
    pub enable_multipart: bool,
    /// Keep mode, owner and times of files in the header that s3cmd has for them.
    pub preserve_attrs: bool,
    /// Delete what the source has no longer.
    pub delete_removed: bool,
    /// How many deletions are too many.
    pub max_delete: Option<u64>,
    /// Pass over what the destination has, whatever it is.
    pub skip_existing: bool,
    /// Change nothing.
    pub dry_run: bool,
    /// Bytes per second.
    pub limit_rate: Option<u64>,
    /// Storage class of new objects.
    pub storage_class: Option<String>,
    /// Media type of new objects.
    pub content_type: ContentType,
}

impl Default for S3Cfg {
    fn default() -> Self {
        Self {
            credentials: None,
            host_base: "s3.amazonaws.com".to_owned(),
            host_bucket: "%(bucket)s.s3.amazonaws.com".to_owned(),
            use_path_mode: false,
            use_https: true,
            ca_certs_file: None,
            bucket_location: "US".to_owned(),
            socket_timeout: Duration::from_secs(300),
            max_retries: 5,
            part_size: 15 << 20,
            enable_multipart: true,
            preserve_attrs: true,
            delete_removed: false,
            max_delete: None,
            skip_existing: false,
            dry_run: false,
            limit_rate: None,
            storage_class: None,
            content_type: ContentType::default(),
        }
    }
}

impl S3Cfg {
    /// The server as it is asked for `bucket`, or for the list of buckets. Keys that the file does not have come from the
    /// variables that s3cmd takes them from.
    pub fn access(&self, bucket: Option<&str>, lookup: Lookup<'_>) -> Result<Access> {
        let virtual_host = self.host_bucket.strip_prefix("%(bucket)s.").filter(|_| bucket.is_some_and(is_dns_name));
        let virtual_host = virtual_host.filter(|_| !self.use_path_mode);
        let host = virtual_host.unwrap_or(&self.host_base);
        if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte)) {
            return Err(Error::usage(format!("{host:?} is not a server")).with_hint("host_base is HOST or HOST:PORT"));
        }
        let credentials = self.credentials.clone().map_or_else(|| from_environment(lookup), |keys| Ok(Some(keys)))?;
        let mut access = Access::new(format!("{}://{host}", if self.use_https { "https" } else { "http" }), credentials);
        access.path_style = virtual_host.is_none();
        access.region = match self.bucket_location.as_str() {
            "US" | "" => None,
            "EU" => Some("eu-west-1".to_owned()),
            other => Some(other.to_owned()),
        };
        access.ca.clone_from(&self.ca_certs_file);
        access.timeout = self.socket_timeout;
        access.attempts = self.max_retries.saturating_add(1);
        Ok(access)
    }
}

/// Whether a bucket can be part of the name of a host.
fn is_dns_name(bucket: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(plain);
    (3..=63).contains(&bucket.len()) && bucket.split('.').all(good)
}

pub(crate) fn from_environment(lookup: Lookup<'_>) -> Result<Option<Credentials>> {
    let first = |names: [&str; 2]| names.iter().find_map(|name| lookup(name).filter(|value| !value.is_empty()));
    let Some(access_key) = first(["AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID"]) else { return Ok(None) };
    let Some(secret_key) = first(["AWS_SECRET_KEY", "AWS_SECRET_ACCESS_KEY"]) else {
        return Err(Error::usage("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not"));
    };
    let mut credentials = Credentials::new(access_key, secret_key);
    credentials.session_token = first(["AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"]).map(Zeroizing::new);
    Ok(Some(credentials))
}

#[cfg(test)]
mod tests {
    use backup_core::Kind;

    use super::*;

    fn parse(text: &str) -> (S3Cfg, Vec<String>) {
        S3Cfg::parse(text, &|name| (name == "KEY").then(|| "from-env".to_owned())).expect("it is good")
    }

    #[test]
    fn both_forms_of_the_deis_document_are_path_style() {
        for host_bucket in ["store.example.com/%(bucket)", "store.example.com/%(bucket)s", "store.example.com"] {
            let text = format!("[default]\nhost_base = store.example.com\nhost_bucket = {host_bucket}\nuse_path_mode = True\n");
            let (cfg, warnings) = parse(&text);
            assert!(warnings.is_empty(), "{warnings:?}");
            let access = cfg.access(Some("registry"), &|_| None).expect("an access");
            assert_eq!((access.endpoint.as_str(), access.path_style), ("https://store.example.com", true), "{host_bucket}");
        }
        // The fork needs no more than this, and stock s3cmd would ask another host.
        for (use_path_mode, endpoint, path_style) in
            [("True", "https://store.example.com", true), ("False", "https://s3.amazonaws.com", false)]
        {
            let (cfg, _) = parse(&format!("host_base = store.example.com\nuse_path_mode = {use_path_mode}\n"));
            let access = cfg.access(Some("registry"), &|_| None).expect("an access");
            assert_eq!((access.endpoint.as_str(), access.path_style), (endpoint, path_style));
        }
    }

    #[test]
    fn a_bucket_is_part_of_the_host_where_it_can_be() {
        let (cfg, _) = parse("host_base = http://a.example:7480/\nhost_bucket=%(bucket)s.b.example:7480\nuse_https = no");
        let access = |bucket| {
            let access = cfg.access(bucket, &|_| None).expect("an access");
            (access.endpoint, access.path_style)
        };
        assert_eq!(access(Some("registry")), ("http://b.example:7480".to_owned(), false));
        assert_eq!(access(Some("db_wal")), ("http://a.example:7480".to_owned(), true));
        assert_eq!(access(None), ("http://a.example:7480".to_owned(), true));
    }

    #[test]
    fn patience_is_what_the_file_says() {
        let access = |text: &str| parse(text).0.access(None, &|_| None).expect("an access");
        let usual = access("");
        assert_eq!((usual.attempts, usual.timeout.as_secs(), usual.region, usual.ca), (6, 300, None, None));
        let said = access("max_retries = 0\nsocket_timeout = 7\nbucket_location = EU\nca_certs_file = /ca\n");
        assert_eq!((said.attempts, said.timeout.as_secs()), (1, 7));
        assert_eq!((said.region.as_deref(), said.ca), (Some("eu-west-1"), Some("/ca".into())));
    }

    #[test]
    fn keys_come_from_the_file_and_then_from_the_environment() {
        let both = |name: &str| match name {
            "AWS_ACCESS_KEY_ID" => Some("env".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("hush".to_owned()),
            _ => None,
        };
        let key = |text: &str| {
            let access = S3Cfg::parse(text, &both).expect("good").0.access(None, &both).expect("an access");
            access.credentials.expect("keys").access_key
        };
        assert_eq!(key("access_key = file\nsecret_key = x"), "file");
        assert_eq!(key("access_key = file"), "env", "half a pair is none");
        let half = S3Cfg::default().access(None, &|name| (name == "AWS_ACCESS_KEY").then(|| "a".to_owned()));
        assert_eq!(half.expect_err("half").kind(), Kind::Usage);
    }
}
