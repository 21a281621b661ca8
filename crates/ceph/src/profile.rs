//! What a profile of `~/.aws/credentials` and `~/.aws/config` says.

use std::path::{Path, PathBuf};

use backup_core::{Doing, Error, Result};
use zeroize::Zeroizing;

use crate::Credentials;

/// What is understood of a profile.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    pub(crate) credentials: Option<Credentials>,
    pub(crate) region: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) ca: Option<PathBuf>,
}

/// Reads the profile `name` of both files; a file that is not there says nothing. None if neither has it.
pub(crate) fn read(name: &str, credentials: &Path, config: &Path) -> Result<Option<Profile>> {
    let mut found = Found::default();
    for (path, prefix) in [(credentials, ""), (config, "profile ")] {
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            text => Zeroizing::new(text.doing(|| format!("read {}", path.display()))?),
        };
        let section = if name == "default" { name.to_owned() } else { format!("{prefix}{name}") };
        found.take(&text, &section).doing(|| format!("read {}", path.display()))?;
    }
    found.profile(name)
}

/// The values of a profile: the first that is said counts.
#[derive(Default)]
struct Found {
    is_there: bool,
    access_key: Option<String>,
    secret_key: Option<Zeroizing<String>>,
    token: Option<Zeroizing<String>>,
    elsewhere: Option<String>,
    profile: Profile,
}

impl Found {
    fn take(&mut self, text: &str, section: &str) -> Result<()> {
        let mut is_inside = false;
        for (nth, line) in text.lines().enumerate() {
            let bad = |what: &str| Error::usage(format!("line {} {what}", nth + 1));
            // Settings of a service stand indented below it.
            if line.starts_with([' ', '\t']) || line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(rest) = line.strip_prefix('[') {
                let title = rest.split_once(']').ok_or_else(|| bad("begins a section and does not end it"))?.0;
                is_inside = title.split_whitespace().eq(section.split_whitespace());
                self.is_there |= is_inside;
                continue;
            }
            let (key, value) = line.split_once('=').ok_or_else(|| bad("is not `key = value`"))?;
            let value = value.split([' ', '\t']).find(|word| !word.is_empty()).unwrap_or_default();
            if is_inside && !value.is_empty() {
                self.set(key.trim(), value);
            }
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) {
        let text = || Some(value.to_owned());
        let secret = || Some(Zeroizing::new(value.to_owned()));
        match key {
            "aws_access_key_id" => self.access_key = self.access_key.take().or_else(text),
            "aws_secret_access_key" => self.secret_key = self.secret_key.take().or_else(secret),
            "aws_session_token" => self.token = self.token.take().or_else(secret),
            "region" => self.profile.region = self.profile.region.take().or_else(text),
            "endpoint_url" => self.profile.endpoint = self.profile.endpoint.take().or_else(text),
            "ca_bundle" => self.profile.ca = self.profile.ca.take().or_else(|| Some(value.into())),
            "credential_process" | "role_arn" | "sso_session" | "sso_start_url" | "source_profile" => {
                self.elsewhere = Some(key.to_owned());
            }
            _ => {}
        }
    }

    fn profile(mut self, name: &str) -> Result<Option<Profile>> {
        self.profile.credentials = match (self.access_key, self.secret_key, self.elsewhere) {
            (Some(access_key), Some(secret_key), _) => Some(Credentials { access_key, secret_key, session_token: self.token }),
            (None, None, None) => None,
            (None, None, Some(elsewhere)) => {
                return Err(Error::usage(format!(
                    "the keys of the profile {name} come from {elsewhere}, which is not understood"
                ))
                .with_hint("put them into AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"));
            }
            _ => {
                return Err(Error::usage(format!(
                    "the profile {name} has only one of aws_access_key_id and aws_secret_access_key"
                )));
            }
        };
        Ok(self.is_there.then_some(self.profile))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, credentials: &str, config: &str) -> Result<Option<Profile>> {
        let folder = tempfile::tempdir().expect("a folder");
        let [first, second] = [("credentials", credentials), ("config", config)].map(|(name, text)| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        });
        read(name, &first, &second)
    }

    #[test]
    fn a_profile_is_of_both_files() {
        let credentials = "# mine\n[default]\naws_access_key_id = one\naws_secret_access_key=secret=/+\n\n[ other ]\naws_access_key_id=two\n\
            aws_secret_access_key = s2\naws_session_token = t2\n";
        let config = "[default]\nregion = eu-1\ns3 =\n  addressing_style = path\nendpoint_url = http://h:1 # there\n[profile other]\nregion=eu-2\n";
        let profile = of("default", credentials, config).expect("read").expect("there");
        let keys = profile.credentials.expect("keys");
        assert_eq!((keys.access_key.as_str(), keys.secret_key.as_str(), keys.session_token), ("one", "secret=/+", None));
        assert_eq!((profile.region.as_deref(), profile.endpoint.as_deref()), (Some("eu-1"), Some("http://h:1")));
        let other = of("other", credentials, config).expect("read").expect("there");
        assert_eq!(other.credentials.and_then(|keys| keys.session_token).as_deref().map(String::as_str), Some("t2"));
        assert_eq!(other.region.as_deref(), Some("eu-2"));
        assert!(of("profile", credentials, config).expect("read").is_none());
        assert!(read("default", Path::new("/no/such"), Path::new("/no/such")).expect("nothing").is_none());
    }

    #[test]
    fn what_is_not_understood_is_told_without_a_secret() {
        let half = "[default]\naws_secret_access_key = sesame\n";
        for bad in [half, "[default\n", "[default]\nsesame\n", "[default]\nrole_arn = sesame\n"] {
            let error = of("default", bad, "").expect_err(bad);
            assert!(!error.chain().contains("sesame"), "{error:?}");
        }
    }
}
