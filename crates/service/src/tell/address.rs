//! Where a receiver is: a URL, most of which is secret.

use std::fmt;
use std::str::FromStr;

use backup_core::{Error, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::http::uri::{PathAndQuery, Scheme};
use percent_encoding::percent_decode_str;

/// A URL of `http` or `https`. It is shown without its path, query and password, as those hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    uri: Uri,
    is_tls: bool,
    host: String,
    port: u16,
    authorization: Option<HeaderValue>,
}

impl Address {
    /// The whole URL, for the one place that asks for it.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Whether it is spoken to over TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Name or number of the machine, without the brackets of IPv6.
    pub(crate) fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, named or not.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as in the header `Host` and after `CONNECT`.
    pub(crate) fn authority(&self, always_port: bool) -> String {
        if !always_port && self.port == default_port(self.is_tls) {
            return self.host.clone();
        }
        format!("{}:{}", self.host, self.port)
    }

    /// What the header `Authorization` says if the URL has a user.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// The address under this one: `child`, that begins with `/`, at the end of its path.
    pub(crate) fn under(&self, child: &str) -> Result<Self> {
        let query = self.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        self.with_path(&format!("{}{child}{query}", self.uri.path().trim_end_matches('/')))
    }

    /// Where `location` leads from here: another URL, or a path on the same machine.
    pub(crate) fn moved(&self, location: &str) -> Result<Self> {
        let next = if location.starts_with('/') && !location.starts_with("//") {
            self.with_path(location.split('#').next().unwrap_or_default())?
        } else {
            location.parse()?
        };
        if self.is_tls && !next.is_tls {
            return Err(Error::failed(format!("it redirects to {next}, where everybody can listen")));
        }
        Ok(next)
    }

    fn with_path(&self, path: &str) -> Result<Self> {
        let path = PathAndQuery::try_from(path).map_err(|_| Error::usage("the path of a URL cannot be understood"))?;
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = Some(path);
        let uri = Uri::from_parts(parts).map_err(|_| Error::usage("a URL cannot be put together"))?;
        Ok(Self { uri, ..self.clone() })
    }
}

fn default_port(is_tls: bool) -> u16 {
    if is_tls { 443 } else { 80 }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // The text itself stands in no error: it may be a secret.
        let usage =
            |what: &'static str| Error::usage(what).with_hint("give a URL like https://host/path, with %-escapes where needed");
        let uri = Uri::from_str(text.trim()).map_err(|_| usage("the URL cannot be understood"))?;
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(usage("the URL begins with neither http:// nor https://")),
        };
        let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let (user, place) = authority.rsplit_once('@').map_or((None, authority), |(user, place)| (Some(user), place));
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| usage("the URL names no host"))?.to_owned();
        let port = match place.strip_prefix(&host).and_then(|rest| rest.strip_prefix(':')) {
            None | Some("") => default_port(is_tls),
            Some(_) => {
                uri.port_u16().filter(|port| *port > 0).ok_or_else(|| usage("the URL has no port that there could be"))?
            }
        };
        let authorization = user.map(authorization).transpose()?;
        // The user stands in a header, and nowhere else.
        let mut parts = uri.clone().into_parts();
        parts.authority = Some(place.parse().map_err(|_| usage("the URL names no host"))?);
        let uri = Uri::from_parts(parts).map_err(|_| usage("the URL cannot be understood"))?;
        Ok(Self { uri, is_tls, host, port, authorization })
    }
}

/// `user:password` of a URL as a header.
fn authorization(user: &str) -> Result<HeaderValue> {
    let decoded: Vec<u8> = percent_decode_str(user).collect();
    let colon = if user.contains(':') { "" } else { ":" };
    let text = format!("Basic {}", BASE64_STANDARD.encode([&decoded, colon.as_bytes()].concat()));
    let mut value = HeaderValue::try_from(text).map_err(|_| Error::usage("the user of the URL cannot be understood"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// `scheme://host:port`, and no more.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "https" } else { "http" }, self.authority(false))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}/…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().expect("an address")
    }

    #[test]
    fn what_is_shown_of_a_url_holds_no_secret() {
        let ann = address("https://ann:s3cret@Hooks.example.org:8443/t0ken?key=s3cret#s3cret");
        assert_eq!(
            (ann.to_string(), format!("{ann:?}")),
            ("https://Hooks.example.org:8443".into(), "https://Hooks.example.org:8443/…".into())
        );
        assert_eq!(ann.uri().to_string(), "https://Hooks.example.org:8443/t0ken?key=s3cret");
        assert_eq!(ann.authorization().expect("a user"), "Basic YW5uOnMzY3JldA==");
        assert_eq!(address("http://a%40b@h").authorization().expect("a user"), "Basic YUBiOg==");
        for bad in [
            "",
            "s3cret",
            "ftp://h/s3cret",
            "https:///s3cret",
            "http://h:99999/s3cret",
            "http://h:0/s3cret",
            "http://h:x/s3cret",
            "https://h/s3 cret",
            "https://hé/s3cret",
            "https://h\r\nX: s3cret",
            "//h/s3cret",
            "http://[::1/s3cret",
        ] {
            let error = bad.parse::<Address>().expect_err(bad);
            assert!(!format!("{error:?}").contains("s3"), "{error:?}");
            assert_eq!(error.kind(), backup_core::Kind::Usage);
        }
    }

    #[test]
    fn host_and_port() {
        let v6 = address(" http://[::1]:8080 ");
        assert_eq!((v6.host(), v6.port(), v6.authority(false).as_str()), ("::1", 8080, "[::1]:8080"));
        let tls = address("HTTPS://h:443/x");
        assert_eq!((tls.is_tls(), tls.authority(false).as_str(), tls.authority(true).as_str()), (true, "h", "h:443"));
        assert_eq!(address("http://h:").port(), 80);
    }

    #[test]
    fn where_a_path_and_a_redirect_lead() {
        let ping = address("https://h/ping/uuid/?rid=1");
        assert_eq!(ping.under("/fail").expect("an address").uri().to_string(), "https://h/ping/uuid/fail?rid=1");
        assert_eq!(address("https://h").under("/fail").expect("an address").uri().path(), "/fail");
        assert_eq!(ping.moved("/other?x#y").expect("an address").uri().to_string(), "https://h/other?x");
        assert_eq!(ping.moved("https://i:1/x").expect("an address").to_string(), "https://i:1");
        for bad in ["http://h/ping/uuid", "//i/x", "x", "javascript:x", "", "/a b"] {
            assert!(ping.moved(bad).is_err(), "{bad}");
        }
        let ann = address("https://ann:x@h/a");
        assert!(ann.moved("https://i/").expect("an address").authorization().is_none(), "a password is for one host");
    }
}
