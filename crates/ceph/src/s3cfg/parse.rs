//! How s3cmd's configuration file is read: every key that s3cmd knows, and what becomes of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use backup_core::{Doing, Error, Result};
use zeroize::Zeroizing;

use super::{Lookup, S3Cfg};
use crate::s3::Credentials;

/// Keys of s3cmd that mean nothing here: of other commands, of its own output, or of how it works inside.
const SILENT: &str = " access_token_refresh acl_grants acl_revokes add_encoding_exts additional_destinations cache_file \
    cloudfront_host connection_max_age connection_pooling content_disposition content_type debug_exclude debug_include \
    delay_updates delete_after enable encoding exclude expiry_date expiry_days expiry_prefix files_from force get_continue \
    gpg_command gpg_decrypt gpg_encrypt gpg_passphrase human_readable_sizes include invalidate_default_index_on_cf \
    invalidate_default_index_root_on_cf keep_dirs limit list_allow_unordered list_md5 log_target_prefix long_listing \
    multipart_copy_chunk_size_mb multipart_max_chunks progress_class progress_meter public_url_use_https put_continue \
    recursive recv_chunk remove_headers restore_days restore_priority send_chunk signurl_use_https simpledb_host \
    skip_destination_validation stats sts_endpoint throttle_max upload_id urlencoding_mode use_http_expect use_mime_magic \
    verbosity website_endpoint website_error website_index ";

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

    /// Sets a key as a line of the file would. No error shows the value.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let keys = Keys::default();
        let mut parsed = Parsed { cfg: std::mem::take(self), keys, warnings: Vec::new() };
        let set = parsed.set(key, value.trim(), &|_| None);
        *self = parsed.cfg;
        set
    }

    /// Reads a file, as [`parse`](Self::parse) does its text.
    pub fn read(path: &Path, lookup: Lookup<'_>) -> Result<(Self, Vec<String>)> {
        let doing = || format!("read {}", path.display());
        let text = Zeroizing::new(std::fs::read_to_string(path).doing(doing)?);
        Self::parse(&text, lookup).doing(doing)
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
            "use_path_mode" => cfg.use_path_mode = boolean(key, value)?,
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
            "enable_multipart" => {
                cfg.enable_multipart = boolean(key, value)?;
                if !cfg.enable_multipart {
                    self.warn("enable_multipart = False counts for nothing here: large objects are stored in parts".to_owned());
                }
            }
            "multipart_chunk_size_mb" => cfg.part_size = number(key, value, 5..=5120)? << 20,
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
            "mime_type" => cfg.content_type.always = Some(value.to_owned()).filter(|value| !value.is_empty()),
            "guess_mime_type" => cfg.content_type.guess = boolean(key, value)?,
            "default_mime_type" => {
                if !value.is_empty() {
                    value.clone_into(&mut cfg.content_type.otherwise);
                }
            }
            // That of a proxy, which is refused.
            "proxy_port" => {}
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

#[cfg(test)]
mod tests {
    use backup_core::Kind;

    use super::*;
    use crate::ContentType;

    fn parse(text: &str) -> (S3Cfg, Vec<String>) {
        S3Cfg::parse(text, &|name| (name == "KEY").then(|| "from-env".to_owned())).expect("it is good")
    }

    #[test]
    fn comments_sections_quotes_variables_and_the_last_value() {
        let text = "# c\n[one]\naccess_key = old\n\taccess_key=\"new = \"  \n[two]\nsecret_key = $KEY\nbucket_location = $NONE\n\
            max_delete = 7\nlimitrate = 10k\nmultipart_chunk_size_mb = 20\nstorage_class = COLD\n\
            mime_type = a/b\nguess_mime_type = no\ndefault_mime_type = c/d\n";
        let (cfg, warnings) = parse(text);
        let keys = cfg.credentials.expect("keys");
        assert_eq!((keys.access_key.as_str(), keys.secret_key.as_str()), ("new =", "from-env"));
        assert_eq!((cfg.bucket_location.as_str(), cfg.max_delete, cfg.limit_rate), ("US", Some(7), Some(10_240)));
        assert_eq!((cfg.part_size, cfg.storage_class.as_deref()), (20 << 20, Some("COLD")));
        let ContentType { always, guess, otherwise } = cfg.content_type;
        assert_eq!((always.as_deref(), guess, otherwise.as_str()), (Some("a/b"), false, "c/d"));
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn what_means_nothing_is_passed_over_and_what_is_unknown_is_told_once() {
        let (_, warnings) = parse("verbosity = WARNING\nencrypt = False\nfoo = 1\nfoo = 2\nno line\nacl_public = None\n");
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("\"foo\"") && warnings[1].contains("line 5"), "{warnings:?}");
        let (cfg, warnings) = parse("multipart_chunk_size_mb = 20\nenable_multipart = False\n");
        assert_eq!((cfg.part_size, cfg.enable_multipart), (20 << 20, false));
        assert!(warnings.len() == 1 && warnings[0].contains("in parts"), "{warnings:?}");
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
    fn what_s3cmd_writes_by_itself_is_read_without_a_warning() {
        let (cfg, warnings) = parse(include_str!("../../tests/data/s3cmd-2.s3cfg"));
        assert!(warnings.is_empty(), "{warnings:?}");
        assert!(cfg.credentials.is_some());
        assert_eq!(format!("{:?}", S3Cfg { credentials: None, ..cfg }), format!("{:?}", S3Cfg::default()));
    }
}
