//! What s3cmd's configuration file says, `.s3cfg`, and how one is written.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use backup_core::{Doing, Error, Result};
use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

use crate::s3::{Access, Credentials};

/// Looks an environment variable up: a library does not read the environment.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Keys of s3cmd that mean nothing here: of other commands, of its own output, or of how it works inside.
const SILENT: &str = " access_token_refresh acl_grants acl_revokes add_encoding_exts additional_destinations cache_file \
    cloudfront_host connection_max_age connection_pooling content_disposition content_type debug_exclude debug_include \
    delay_updates delete_after enable encoding exclude expiry_date expiry_days expiry_prefix files_from force get_continue \
    gpg_command gpg_decrypt gpg_encrypt gpg_passphrase human_readable_sizes include invalidate_default_index_on_cf \
    invalidate_default_index_root_on_cf keep_dirs limit list_allow_unordered list_md5 log_target_prefix long_listing \
    multipart_copy_chunk_size_mb multipart_max_chunks progress_class progress_meter public_url_use_https put_continue \
    recursive recv_chunk remove_headers restore_days restore_priority send_chunk signurl_use_https simpledb_host \
    skip_destination_validation stats sts_endpoint throttle_max upload_id urlencoding_mode use_http_expect use_mime_magic \
    use_path_mode verbosity website_endpoint website_error website_index ";

/// Keys whose `True` asks for what is not done here, and what becomes of that.
const REFUSED: [(&str, &str); 9] = [
    ("acl_public", "objects would not be public"),
    ("delete_after_fetch", "the source would not be deleted"),
    ("encrypt", "objects would not be encrypted"),
    ("follow_symlinks", "symbolic links would be passed over"),
    ("invalidate_on_cf", "nothing would be invalidated"),
    ("requester_pays", "the owner of the bucket would pay"),
    ("server_side_encryption", "objects would not be encrypted"),
    ("signature_v2", "requests would be signed with version 4"),
    ("stop_on_error", "a sync would go on with the next object"),
];

/// Keys whose value, if there is one, asks for what is not done here.
const REFUSED_IF_SET: [(&str, &str); 5] = [
    ("add_headers", "the headers would not be sent"),
    ("kms_key", "objects would not be encrypted"),
    ("proxy_host", "the server would be asked without the proxy"),
    ("ssl_client_cert_file", "the certificate would not be shown"),
    ("ssl_client_key_file", "the certificate would not be shown"),
];

/// What a `.s3cfg` says, as far as it means something here. The defaults are s3cmd's.
#[derive(Debug, Clone)]
pub struct S3Cfg {
    /// The keys, if it has both.
    pub credentials: Option<Credentials>,
    /// The server, `HOST[:PORT]`.
    pub host_base: String,
    /// How a bucket is addressed: `%(bucket)s.HOST[:PORT]`, or anything else for path style.
    pub host_bucket: String,
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
    /// From this many bytes on an object is stored in parts of as many, if in parts at all.
    pub part_size: Option<u64>,
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
    /// Media type of new objects where none is guessed.
    pub mime_type: String,
}

impl Default for S3Cfg {
    fn default() -> Self {
        Self {
            credentials: None,
            host_base: "s3.amazonaws.com".to_owned(),
            host_bucket: "%(bucket)s.s3.amazonaws.com".to_owned(),
            use_https: true,
            ca_certs_file: None,
            bucket_location: "US".to_owned(),
            socket_timeout: Duration::from_secs(300),
            max_retries: 5,
            part_size: Some(15 << 20),
            preserve_attrs: true,
            delete_removed: false,
            max_delete: None,
            skip_existing: false,
            dry_run: false,
            limit_rate: None,
            storage_class: None,
            mime_type: "binary/octet-stream".to_owned(),
        }
    }
}

impl S3Cfg {
    /// Reads the text of a file as s3cmd does: any `[section]`, `key = value`, `#` comments, quotes around a value, and
    /// `$NAME` for the value of an environment variable. The last value of a key counts.
    ///
    /// Also returns what a person should be warned of, a line each. What asks for something that is not done here and that
    /// would change what a sync means is [`Kind::Usage`](backup_core::Kind::Usage). No error shows a value.
    pub fn parse(text: &str, lookup: Lookup<'_>) -> Result<(Self, Vec<String>)> {
        let mut parsed = Parsed { cfg: Self::default(), keys: Keys::default(), warnings: Vec::new() };
        for (nth, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') || (line.starts_with('[') && line.ends_with(']')) {
                continue;
            }
            let pair = line.split_once('=').map(|(key, value)| (key.trim_end(), value.trim_start()));
            let Some((key, value)) = pair.filter(|(key, _)| is_word(key)) else {
                parsed.warn(format!("line {} of the s3cmd configuration is not `key = value`", nth + 1));
                continue;
            };
            let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            parsed.set(key, unquoted.unwrap_or(value).trim(), lookup)?;
        }
        let Parsed { mut cfg, keys, warnings } = parsed;
        cfg.credentials = keys.credentials();
        Ok((cfg, warnings))
    }

    /// Writes what [`parse`](Self::parse) and s3cmd read, in place of a file that is there, at once or not at all. Only its
    /// owner may read it.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = self.text()?;
        replace(path, text.as_bytes()).doing(|| format!("write {}", path.display()))
    }

    /// The server as it is asked for `bucket`, or for the list of buckets. Keys that the file does not have come from the
    /// variables that s3cmd takes them from.
    pub fn access(&self, bucket: Option<&str>, lookup: Lookup<'_>) -> Result<Access> {
        let virtual_host = self.host_bucket.strip_prefix("%(bucket)s.").filter(|_| bucket.is_some_and(is_dns_name));
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

    fn text(&self) -> Result<Zeroizing<String>> {
        let mut text = Zeroizing::new(String::with_capacity(4096));
        text.push_str("[default]\n");
        let mut line = |key: &str, value: &str| {
            if value.starts_with('$') || value != value.trim() || value.chars().any(char::is_control) {
                return Err(Error::usage(format!("the value of {key} cannot be written so that s3cmd reads it")));
            }
            let quotes = if value.starts_with('"') { "\"" } else { "" };
            for piece in [key, " = ", quotes, value, quotes, "\n"] {
                text.push_str(piece);
            }
            Ok(())
        };
        if let Some(Credentials { access_key, secret_key, session_token }) = &self.credentials {
            line("access_key", access_key)?;
            line("secret_key", secret_key)?;
            line("access_token", session_token.as_ref().map_or("", |token| token))?;
        }
        let yes = |yes: bool| if yes { "True" } else { "False" };
        line("host_base", &self.host_base)?;
        line("host_bucket", &self.host_bucket)?;
        line("use_https", yes(self.use_https))?;
        line("ca_certs_file", &self.ca_certs_file.as_deref().unwrap_or(Path::new("")).to_string_lossy())?;
        line("bucket_location", &self.bucket_location)?;
        line("socket_timeout", &self.socket_timeout.as_secs().to_string())?;
        line("max_retries", &self.max_retries.to_string())?;
        line("enable_multipart", yes(self.part_size.is_some()))?;
        line("multipart_chunk_size_mb", &(self.part_size.unwrap_or(15 << 20) >> 20).to_string())?;
        line("preserve_attrs", yes(self.preserve_attrs))?;
        line("delete_removed", yes(self.delete_removed))?;
        line("max_delete", &self.max_delete.map_or("-1".to_owned(), |most| most.to_string()))?;
        line("skip_existing", yes(self.skip_existing))?;
        line("limitrate", &self.limit_rate.unwrap_or(0).to_string())?;
        line("storage_class", self.storage_class.as_deref().unwrap_or(""))?;
        line("default_mime_type", &self.mime_type)?;
        Ok(text)
    }
}

#[derive(Default)]
struct Keys {
    access: String,
    secret: Zeroizing<String>,
    token: Zeroizing<String>,
}

impl Keys {
    fn credentials(self) -> Option<Credentials> {
        let mut credentials = Credentials::new(self.access, "");
        credentials.secret_key = self.secret;
        credentials.session_token = Some(self.token).filter(|token| !token.is_empty());
        Some(credentials).filter(|keys| !keys.access_key.is_empty() && !keys.secret_key.is_empty())
    }
}

struct Parsed {
    cfg: S3Cfg,
    keys: Keys,
    warnings: Vec<String>,
}

impl Parsed {
    fn warn(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn set(&mut self, key: &str, value: &str, lookup: Lookup<'_>) -> Result<()> {
        let variable;
        let value = match value.strip_prefix('$') {
            None => value,
            Some(name) => {
                variable = lookup(name).map(Zeroizing::new);
                // As s3cmd has it: one that is not set leaves the default.
                let Some(value) = &variable else { return Ok(()) };
                value.trim()
            }
        };
        let Self { cfg, keys, .. } = self;
        match key {
            "access_key" => value.clone_into(&mut keys.access),
            "secret_key" => keys.secret = Zeroizing::new(value.to_owned()),
            "access_token" => keys.token = Zeroizing::new(value.to_owned()),
            "host_base" => without_scheme(value).clone_into(&mut cfg.host_base),
            "host_bucket" => without_scheme(value).clone_into(&mut cfg.host_bucket),
            "use_https" => cfg.use_https = boolean(key, value)?,
            "check_ssl_certificate" | "check_ssl_hostname" => {
                if !boolean(key, value)? {
                    return Err(refused(key, "certificates are always checked")
                        .with_hint("name the certificate to trust in ca_certs_file, and remove the line"));
                }
            }
            "ca_certs_file" => cfg.ca_certs_file = Some(PathBuf::from(value)).filter(|_| !value.is_empty()),
            "bucket_location" => value.clone_into(&mut cfg.bucket_location),
            "socket_timeout" => cfg.socket_timeout = Duration::from_secs(number(key, value, 1..=86_400)?),
            "max_retries" => cfg.max_retries = u32::try_from(number(key, value, 0..=1000)?).unwrap_or(1000),
            "enable_multipart" => cfg.part_size = boolean(key, value)?.then(|| cfg.part_size.unwrap_or(15 << 20)),
            "multipart_chunk_size_mb" => {
                let size = number(key, value, 5..=5120)? << 20;
                cfg.part_size = cfg.part_size.map(|_| size);
            }
            "preserve_attrs" => cfg.preserve_attrs = boolean(key, value)?,
            "delete_removed" => cfg.delete_removed = boolean(key, value)?,
            "max_delete" => cfg.max_delete = if value == "-1" { None } else { Some(number(key, value, 0..=u64::MAX)?) },
            "skip_existing" => cfg.skip_existing = boolean(key, value)?,
            "dry_run" => cfg.dry_run = boolean(key, value)?,
            "limitrate" => cfg.limit_rate = Some(rate(key, value)?).filter(|rate| *rate > 0),
            "storage_class" => cfg.storage_class = Some(value.to_owned()).filter(|class| !class.is_empty()),
            "reduced_redundancy" => {
                if boolean(key, value)? {
                    cfg.storage_class = Some("REDUCED_REDUNDANCY".to_owned());
                }
            }
            "default_mime_type" | "mime_type" => {
                if !value.is_empty() {
                    value.clone_into(&mut cfg.mime_type);
                }
            }
            // The port of a proxy that is refused, and whether a name tells a type, which it does not here.
            "proxy_port" | "guess_mime_type" => {}
            key => return self.other(key, value),
        }
        Ok(())
    }

    fn other(&mut self, key: &str, value: &str) -> Result<()> {
        if let Some((_, instead)) = REFUSED.iter().find(|(refused, _)| *refused == key) {
            return if value != "None" && boolean(key, value)? { Err(refused(key, instead)) } else { Ok(()) };
        }
        if let Some((_, instead)) = REFUSED_IF_SET.iter().find(|(refused, _)| *refused == key) {
            return if value.is_empty() { Ok(()) } else { Err(refused(key, instead)) };
        }
        if !SILENT.contains(&format!(" {key} ")) {
            self.warn(format!("the s3cmd configuration has a key {key:?}, which means nothing here"));
        }
        Ok(())
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn refused(key: &str, instead: &str) -> Error {
    Error::usage(format!("the s3cmd configuration sets {key}, which is not done here: {instead}"))
        .with_hint(format!("remove {key} from the file if that is all right"))
}

fn wrong(key: &str, should: &str) -> Error {
    Error::usage(format!("the s3cmd configuration has a value of {key} that is not {should}"))
}

fn boolean(key: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(wrong(key, "True or False")),
    }
}

fn number(key: &str, value: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64> {
    let number = value.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| wrong(key, &format!("a number from {} to {}", range.start(), range.end())))
}

fn rate(key: &str, value: &str) -> Result<u64> {
    let (digits, shift) = match value.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 10),
        None => value.strip_suffix(['m', 'M']).map_or((value, 0), |digits| (digits, 20)),
    };
    Ok(number(key, digits, 0..=u64::MAX >> 20)? << shift)
}

fn without_scheme(host: &str) -> &str {
    let host = host.strip_prefix("http://").or_else(|| host.strip_prefix("https://")).unwrap_or(host);
    host.trim_end_matches('/')
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

/// Puts a file that only its owner may read in the place of `path`.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}.new", std::process::id()));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut file = File::from(rustix::fs::open(&new, flags, Mode::RUSR | Mode::WUSR)?);
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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
    fn comments_sections_quotes_variables_and_the_last_value() {
        let text = "# c\n[one]\naccess_key = old\n\taccess_key=\"new = \"  \n[two]\nsecret_key = $KEY\nbucket_location = $NONE\n\
            max_delete = 7\nlimitrate = 10k\nmultipart_chunk_size_mb = 20\nstorage_class = COLD\n";
        let (cfg, warnings) = parse(text);
        let keys = cfg.credentials.expect("keys");
        assert_eq!((keys.access_key.as_str(), keys.secret_key.as_str()), ("new =", "from-env"));
        assert_eq!((cfg.bucket_location.as_str(), cfg.max_delete, cfg.limit_rate), ("US", Some(7), Some(10_240)));
        assert_eq!((cfg.part_size, cfg.storage_class.as_deref()), (Some(20 << 20), Some("COLD")));
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn what_means_nothing_is_passed_over_and_what_is_unknown_is_told_once() {
        let (_, warnings) = parse("verbosity = WARNING\nencrypt = False\nfoo = 1\nfoo = 2\nno line\nacl_public = None\n");
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("\"foo\"") && warnings[1].contains("line 5"), "{warnings:?}");
    }

    #[test]
    fn what_would_change_the_meaning_is_refused_and_no_value_is_shown() {
        let refused = ["encrypt = yes", "add_headers = x:hush", "proxy_host = hush", "check_ssl_certificate = False"];
        let wrong =
            ["use_https = hush", "socket_timeout = hush", "max_delete = -2", "multipart_chunk_size_mb = 4", "limitrate = 1g"];
        for line in refused.iter().chain(&wrong) {
            let error = S3Cfg::parse(line, &|_| None).expect_err(line);
            assert_eq!(error.kind(), Kind::Usage);
            let key = line.split(' ').next().expect("a key");
            assert!(error.chain().contains(key) && !format!("{error:?}").contains("hush"), "{error:?}");
        }
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

    #[test]
    fn what_is_written_is_read_again_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(".s3cfg");
        std::fs::write(&path, "old").expect("a file");
        let mut cfg = S3Cfg { max_delete: Some(3), limit_rate: Some(5), part_size: None, ..S3Cfg::default() };
        cfg.credentials = Some(Credentials::new("\"a\"", "s=#c"));
        cfg.write(&path).expect("written");
        assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        let (again, warnings) = parse(&std::fs::read_to_string(&path).expect("text"));
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(again.credentials, cfg.credentials);
        assert_eq!((again.max_delete, again.limit_rate, again.part_size), (Some(3), Some(5), None));
        for bad in ["$a", "a\nhost_base = evil", " a"] {
            cfg.credentials = Some(Credentials::new("a", bad));
            assert!(cfg.write(&path).is_err(), "{bad:?}");
        }
        assert_eq!(folder.path().read_dir().expect("a folder").count(), 1, "nothing else is left");
    }

    #[test]
    fn what_s3cmd_writes_by_itself_is_read_without_a_warning() {
        let (cfg, warnings) = parse(include_str!("../tests/data/s3cmd-2.s3cfg"));
        assert!(warnings.is_empty(), "{warnings:?}");
        assert!(cfg.credentials.is_some());
        assert_eq!(format!("{:?}", S3Cfg { credentials: None, ..cfg }), format!("{:?}", S3Cfg::default()));
    }
}
