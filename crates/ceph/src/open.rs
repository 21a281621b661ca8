//! Which server, with which keys: options, then the environment, then files.

use std::path::PathBuf;
use std::sync::Arc;

use backup_core::{Doing, Error, Result};
use tokio_util::task::TaskTracker;

use crate::s3cfg::from_environment;
use crate::{Access, PART_SIZES, Place, S3Cfg, S3Sink, Transfer, connect, profile};

/// What a person says about the server of a sink. What is not said comes from the environment and from files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// A configuration of s3cmd to take server and keys from; `~/.s3cfg` is read where nothing else names a server.
    pub s3cfg: Option<PathBuf>,
    /// The URL of the server; else `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, or that of the profile.
    pub endpoint: Option<String>,
    /// The region; else `AWS_REGION`, `AWS_DEFAULT_REGION`, or that of the profile.
    pub region: Option<String>,
    /// Certificates to trust; else `AWS_CA_BUNDLE`, or those of the profile.
    pub ca: Option<PathBuf>,
    /// The profile of `~/.aws/credentials` and `~/.aws/config` whose keys count; else `AWS_PROFILE`, where no variable has keys.
    pub profile: Option<String>,
    /// `http://BUCKET.HOST/` instead of `http://HOST/BUCKET/`.
    pub virtual_host: bool,
    /// The size of parts in bytes.
    pub part_size: Option<u64>,
}

/// Opens the sink that is written as `s3:` and `rest`, and tells what a person should be warned of.
///
/// `lookup` is the environment; `tasks` gets what gives up uploads that were dropped. Nothing is asked of the server yet.
pub fn open(
    rest: &str,
    settings: &Settings,
    lookup: &dyn Fn(&str) -> Option<String>,
    tasks: TaskTracker,
) -> Result<(Arc<S3Sink>, Vec<String>)> {
    let place = Place::parse(rest)?;
    let usual = Transfer::default();
    let transfer = Transfer { part_size: settings.part_size()?.unwrap_or(usual.part_size), ..usual };
    let Found { access, warnings, .. } = find(settings, Some(&place.bucket), lookup)?;
    Ok((Arc::new(S3Sink::new(connect(&access)?, place, transfer, tasks)), warnings))
}

/// A server that was found.
#[derive(Debug)]
pub struct Found {
    /// Where it is and who asks.
    pub access: Access,
    /// The configuration of s3cmd that named it, if one did.
    pub s3cfg: Option<S3Cfg>,
    /// What a person should be warned of, a line each.
    pub warnings: Vec<String>,
}

impl Settings {
    /// The size of parts, if one was given. [`Kind::Usage`](backup_core::Kind::Usage) for one that no part can have.
    pub fn part_size(&self) -> Result<Option<u64>> {
        match self.part_size {
            Some(size) if !PART_SIZES.contains(&size) => {
                Err(Error::usage(format!("parts cannot have {size} bytes")).with_hint("give from 5M to 5G"))
            }
            size => Ok(size),
        }
    }
}

/// Finds the server that is asked for `bucket`, or for the list of buckets. Nothing is asked of it yet.
pub fn find(settings: &Settings, bucket: Option<&str>, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Found> {
    let lookup = &|name: &str| lookup(name).filter(|value| !value.is_empty());
    let home = lookup("HOME").map(PathBuf::from);
    let file = |variable: &str, below: &str| {
        lookup(variable).map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(below))).unwrap_or_default()
    };
    let name = settings.profile.clone().or_else(|| lookup("AWS_PROFILE"));
    let paths = [file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"), file("AWS_CONFIG_FILE", ".aws/config")];
    let profile = profile::read(name.as_deref().unwrap_or("default"), &paths[0], &paths[1])?;
    if let (Some(name), None) = (&name, &profile) {
        let files = format!("{} and {}", paths[0].display(), paths[1].display());
        return Err(Error::usage(format!("there is no profile {name}")).with_hint(format!("profiles stand in {files}")));
    }
    let profile = profile.unwrap_or_default();

    let named = settings.endpoint.clone().or_else(|| lookup("AWS_ENDPOINT_URL_S3")).or_else(|| lookup("AWS_ENDPOINT_URL"));
    let named = named.or_else(|| profile.endpoint.clone());
    let usual = home.as_ref().map(|home| home.join(".s3cfg")).filter(|path| named.is_none() && path.exists());
    let (mut s3cfg, mut warnings) = (None, Vec::new());
    let mut access = match (settings.s3cfg.clone().or(usual), &named) {
        (Some(path), _) => {
            let (cfg, told) = S3Cfg::read(&path, lookup)?;
            let access = cfg.access(bucket, lookup).doing(|| format!("read {}", path.display()))?;
            (s3cfg, warnings) = (Some(cfg), told);
            access
        }
        (None, Some(endpoint)) => Access::new(endpoint.clone(), None),
        (None, None) => {
            return Err(Error::usage("it is not said where the S3 server is")
                .with_hint("give --s3-endpoint URL, set AWS_ENDPOINT_URL, or write ~/.s3cfg with s3cmd --configure"));
        }
    };
    if let Some(endpoint) = &settings.endpoint {
        access.endpoint.clone_from(endpoint);
        access.path_style = true;
    }
    if settings.virtual_host {
        access.path_style = false;
    }
    let region = || lookup("AWS_REGION").or_else(|| lookup("AWS_DEFAULT_REGION")).or(profile.region);
    access.region = settings.region.clone().or(access.region).or_else(region);
    access.ca = settings.ca.clone().or(access.ca).or_else(|| lookup("AWS_CA_BUNDLE").map(PathBuf::from)).or(profile.ca);
    access.credentials = match (&settings.profile, access.credentials) {
        (Some(_), _) => profile.credentials,
        (None, Some(keys)) => Some(keys),
        (None, None) => from_environment(lookup)?.or(profile.credentials),
    };
    if access.credentials.is_none() {
        return Err(Error::usage("there are no keys for the S3 server")
            .with_hint("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write them into ~/.aws/credentials or ~/.s3cfg"));
    }
    checked(&access.endpoint)?;
    Ok(Found { access, s3cfg, warnings })
}

/// Fails unless `endpoint` is `http://HOST[:PORT]` or the like.
fn checked(endpoint: &str) -> Result<()> {
    let host =
        endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://")).map(|host| host.trim_end_matches('/'));
    let plain =
        |host: &str| !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
    if host.is_some_and(plain) {
        return Ok(());
    }
    // It may have a password in it.
    Err(Error::usage("the address of the S3 server is not understood")
        .with_hint("write http://HOST[:PORT] or https://HOST[:PORT]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What settings and variables come to, with a home that has `~/.s3cfg` and a profile `other`.
    fn of(settings: &Settings, variables: &[(&str, &str)]) -> Result<Access> {
        let home = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(home.path().join(".aws")).expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).expect("written");
        write(".s3cfg", "access_key = cfg\nsecret_key = s\nhost_base = cfg:1\nhost_bucket = cfg:1\nuse_https = False\n");
        write(
            ".aws/credentials",
            "[other]\naws_access_key_id = other\naws_secret_access_key = s\nendpoint_url = http://other\n",
        );
        let lookup = |name: &str| match name {
            "HOME" => Some(home.path().display().to_string()),
            name => variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
        };
        find(settings, Some("bucket"), &lookup).map(|found| found.access)
    }

    fn who(access: Result<Access>) -> (String, String) {
        let access = access.expect("understood");
        (access.endpoint, access.credentials.expect("keys").access_key)
    }

    fn pair(endpoint: &str, key: &str) -> (String, String) {
        (endpoint.to_owned(), key.to_owned())
    }

    #[test]
    fn what_is_said_counts_before_the_environment_and_that_before_files() {
        let keys = [("AWS_ACCESS_KEY_ID", "env"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_ENDPOINT_URL", "http://env")];
        let nothing = Settings::default();
        assert_eq!(who(of(&nothing, &[])), pair("http://cfg:1", "cfg"));
        assert_eq!(who(of(&nothing, &keys)), pair("http://env", "env"));
        assert_eq!(who(of(&nothing, &[("AWS_PROFILE", "other")])), pair("http://other", "other"));
        let said = Settings { endpoint: Some("https://said/".to_owned()), ..Settings::default() };
        assert_eq!(who(of(&said, &keys)), pair("https://said/", "env"));
        let profile = Settings { profile: Some("other".to_owned()), ..Settings::default() };
        assert_eq!(who(of(&profile, &keys)), pair("http://env", "other"));
        let region =
            |settings: &Settings, more: &[(&str, &str)]| of(settings, &[&keys[..], more].concat()).expect("understood").region;
        assert_eq!(region(&nothing, &[("AWS_DEFAULT_REGION", "two")]), Some("two".to_owned()));
        assert_eq!(region(&nothing, &[("AWS_DEFAULT_REGION", "two"), ("AWS_REGION", "one")]), Some("one".to_owned()));
        let ca =
            |settings: &Settings| of(settings, &[&keys[..], &[("AWS_CA_BUNDLE", "/env")]].concat()).expect("understood").ca;
        assert_eq!(ca(&nothing), Some("/env".into()));
        assert_eq!(ca(&Settings { ca: Some("/said".into()), ..Settings::default() }), Some("/said".into()));
        let path_style = |settings: &Settings| of(settings, &keys).expect("understood").path_style;
        assert!(path_style(&nothing) && !path_style(&Settings { virtual_host: true, ..Settings::default() }));
    }

    #[test]
    fn what_cannot_be_meant_is_usage_and_shows_no_secret() {
        let with = |endpoint: &str| Settings { endpoint: Some(endpoint.to_owned()), ..Settings::default() };
        let half = [("AWS_ACCESS_KEY_ID", "sesame")];
        let keys = [("AWS_ACCESS_KEY_ID", "env"), ("AWS_SECRET_ACCESS_KEY", "sesame")];
        let gone = Settings { profile: Some("gone".to_owned()), ..Settings::default() };
        let none: &[(&str, &str)] = &[];
        for (settings, variables) in [
            (with("http://h"), &half[..]),
            (with("http://h"), none),
            (gone, &keys[..]),
            (with("h:1"), &keys[..]),
            (with("http://u:sesame@h"), &keys[..]),
        ] {
            let error = of(&settings, variables).expect_err("not understood");
            assert_eq!(error.kind(), backup_core::Kind::Usage, "{error:?}");
            assert!(!format!("{error:?}").contains("sesame"), "{error:?}");
        }
    }
}
