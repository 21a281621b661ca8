//! Connection parameters as text, before anything is known about their meaning.

use std::collections::BTreeMap;

use backup_core::{Error, Result};
use zeroize::Zeroizing;

use super::uri;

/// Parameters by their libpq key word. What is set first wins; values are wiped when dropped.
#[derive(Clone, Default)]
pub struct Params(BTreeMap<&'static str, Zeroizing<String>>);

/// What becomes of a parameter.
enum Use {
    /// It has its effect.
    Honoured,
    /// It has none, and nobody is worse off.
    Ignored,
    /// Any other value than these asks for something that is not done here.
    Only(&'static [&'static str]),
}
use Use::{Honoured, Ignored, Only};

/// Key word, environment variable, and what becomes of it.
const KEYS: &[(&str, &str, Use)] = &[
    ("application_name", "PGAPPNAME", Honoured),
    ("channel_binding", "PGCHANNELBINDING", Honoured),
    ("client_encoding", "PGCLIENTENCODING", Ignored),
    ("connect_timeout", "PGCONNECT_TIMEOUT", Honoured),
    ("dbname", "PGDATABASE", Honoured),
    ("fallback_application_name", "", Honoured),
    ("gssdelegation", "PGGSSDELEGATION", Ignored),
    ("gssencmode", "PGGSSENCMODE", Only(&["disable", "prefer"])),
    ("gsslib", "PGGSSLIB", Ignored),
    ("host", "PGHOST", Honoured),
    ("hostaddr", "PGHOSTADDR", Honoured),
    ("keepalives", "", Honoured),
    ("keepalives_count", "", Honoured),
    ("keepalives_idle", "", Honoured),
    ("keepalives_interval", "", Honoured),
    ("krbsrvname", "PGKRBSRVNAME", Ignored),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS", Ignored),
    ("max_protocol_version", "PGMAXPROTOCOLVERSION", Ignored),
    ("min_protocol_version", "PGMINPROTOCOLVERSION", Only(&["3.0"])),
    ("options", "PGOPTIONS", Honoured),
    ("passfile", "PGPASSFILE", Honoured),
    ("password", "PGPASSWORD", Honoured),
    ("port", "PGPORT", Honoured),
    ("replication", "", Only(&["false", "off", "no", "0"])),
    ("require_auth", "PGREQUIREAUTH", Only(&[])),
    ("requirepeer", "PGREQUIREPEER", Only(&[])),
    ("service", "PGSERVICE", Honoured),
    ("servicefile", "PGSERVICEFILE", Honoured),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", Only(&["TLSv1.3"])),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", Only(&["TLSv1", "TLSv1.1", "TLSv1.2"])),
    ("sslcert", "PGSSLCERT", Honoured),
    ("sslcertmode", "PGSSLCERTMODE", Only(&["allow"])),
    ("sslcompression", "PGSSLCOMPRESSION", Ignored),
    ("sslcrl", "PGSSLCRL", Only(&[])),
    ("sslcrldir", "PGSSLCRLDIR", Only(&[])),
    ("sslkey", "PGSSLKEY", Honoured),
    ("sslmode", "PGSSLMODE", Honoured),
    ("sslnegotiation", "PGSSLNEGOTIATION", Honoured),
    ("sslpassword", "", Only(&[])),
    ("sslrootcert", "PGSSLROOTCERT", Honoured),
    ("sslsni", "PGSSLSNI", Ignored),
    ("target_session_attrs", "PGTARGETSESSIONATTRS", Honoured),
    ("tcp_user_timeout", "", Honoured),
    ("user", "PGUSER", Honoured),
];

impl Params {
    /// Reads a `postgresql://` or `postgres://` URI, else a string of `key = value` pairs.
    ///
    /// Errors name the key word and never a value, as a value out of place may be a password.
    pub fn parse(text: &str) -> Result<Self> {
        let mut params = Self::default();
        match text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
            Some(rest) => uri::parse(rest, &mut params)?,
            None => parse_pairs(text, &mut params)?,
        }
        Ok(params)
    }

    /// Sets `key` to `value`, whatever it was. An unknown key word is a usage error, and so is a value that asks for what is not done here.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let Some((key, _, usage)) = KEYS.iter().find(|(known, ..)| *known == key) else {
            return Err(Error::usage(format!("{key:?} is no connection parameter")));
        };
        if value.contains('\0') {
            return Err(Error::usage(format!("the connection parameter {key} holds a zero byte")));
        }
        match usage {
            Honoured => {
                self.0.insert(key, Zeroizing::new(value.to_owned()));
            }
            Ignored => {}
            Only(values) if value.is_empty() || values.contains(&value) => {}
            Only(_) => {
                return Err(Error::usage(format!("the connection parameter {key} is not supported with this value"))
                    .with_hint("leave it out, or set its PG… variable to nothing"));
            }
        }
        Ok(())
    }

    /// The value of `key`; `None` if it was not set or set to nothing.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|value| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Every key word.
    pub fn keys() -> impl Iterator<Item = &'static str> {
        KEYS.iter().map(|(key, ..)| *key)
    }

    /// Every environment variable that has a meaning for connections.
    pub fn environment_variables() -> impl Iterator<Item = &'static str> {
        KEYS.iter().map(|(_, variable, _)| *variable).filter(|variable| !variable.is_empty())
    }

    /// Takes over what `other` has and this one has not, even as nothing.
    pub(super) fn fill_from(&mut self, other: Self) {
        for (key, value) in other.0 {
            self.0.entry(key).or_insert(value);
        }
    }

    /// What the environment says.
    pub(super) fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut params = Self::default();
        for (key, variable, _) in KEYS.iter().filter(|(_, variable, _)| !variable.is_empty()) {
            if let Some(value) = lookup(variable).map(Zeroizing::new) {
                params.set(key, &value)?;
            }
        }
        Ok(params)
    }
}

/// `value` as it stands in a string of `key=value` pairs: in single quotes, with `\` before `'` and `\`.
pub fn quote_value(value: &str) -> String {
    format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
}

fn parse_pairs(text: &str, params: &mut Params) -> Result<()> {
    let blank = |c: char| c.is_ascii_whitespace() || c == '\x0b';
    let mut rest = text.trim_start_matches(blank);
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || blank(c)).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let Some(after) = after.trim_start_matches(blank).strip_prefix('=') else {
            // Not named: in `password=my secret` it is half of the password.
            return Err(Error::usage("a word in the connection string has no = behind it")
                .with_hint("write key=value pairs, with single quotes around values that hold blanks"));
        };
        let (value, after) = parse_value(key, after.trim_start_matches(blank))?;
        params.set(key, &value)?;
        rest = after.trim_start_matches(blank);
    }
    Ok(())
}

/// The value at the start of `text` and what follows it.
fn parse_value<'a>(key: &str, text: &'a str) -> Result<(Zeroizing<String>, &'a str)> {
    let quoted = text.starts_with('\'');
    let body = if quoted { &text[1..] } else { text };
    let mut value = Zeroizing::new(String::with_capacity(body.len()));
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            '\'' if quoted => return Ok((value, &body[at + 1..])),
            c if !quoted && (c.is_ascii_whitespace() || c == '\x0b') => return Ok((value, &body[at..])),
            c => value.push(c),
        }
    }
    if quoted {
        return Err(Error::usage(format!("the quotes of {key:?} in the connection string are not closed")));
    }
    Ok((value, ""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pairs_are_read_as_libpq_reads_them() {
        let params =
            Params::parse(r" host = localhost port=5433 user='o\'hara' password=a\ b\\ dbname='' options='-c a=b' ").unwrap();
        assert_eq!(params.get("host"), Some("localhost"));
        assert_eq!(params.get("port"), Some("5433"));
        assert_eq!(params.get("user"), Some("o'hara"));
        assert_eq!(params.get("password"), Some(r"a b\"));
        assert_eq!(params.get("dbname"), None);
        assert_eq!(params.get("options"), Some("-c a=b"));
        assert!(Params::parse("  ").is_ok());
    }

    #[test]
    fn what_cannot_be_meant_is_named_without_its_value() {
        for (text, named) in [
            ("hots=secret", "hots"),
            ("password='secret", "password"),
            ("password=my secret", "no ="),
            ("require_auth=secret", "require_auth"),
            ("password=secret\0", "password"),
        ] {
            let error = Params::parse(text).map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), backup_core::Kind::Usage, "{text:?}");
            assert!(error.chain().contains(named), "{text:?}: {error}");
            assert!(!error.chain().contains("secret"), "{text:?}: {error}");
        }
    }

    #[test]
    fn what_asks_for_nothing_is_let_through() {
        assert!(Params::parse("gssencmode=prefer require_auth='' client_encoding=LATIN1 sslsni=1").is_ok());
        assert!(Params::parse("gssencmode=require").is_err());
    }

    proptest! {
        #[test]
        fn any_value_survives_quoting(value in "[^\0]*", user in "[^\0]*") {
            let text = format!("password={} user = {}", quote_value(&value), quote_value(&user));
            let params = Params::parse(&text).unwrap();
            prop_assert_eq!(params.get("password").unwrap_or(""), value);
            prop_assert_eq!(params.get("user").unwrap_or(""), user);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*", pairs in "([a-z]{1,8} ?= ?'?[^ ]*'? ?)*") {
            let _ = Params::parse(&text);
            let _ = Params::parse(&pairs);
        }
    }
}
