//! Which database, as a line of `backup.conf` names it: `[type=]host[:port]/database[?verifySchema=schema]`.

use std::fmt;
use std::str::FromStr;

use backup_core::{Error, Result};

/// A database as the container names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The host: a name, with dots or without, or an address; one of IPv6 in brackets.
    pub host: String,
    /// The port, if one is named.
    pub port: Option<u16>,
    /// The database.
    pub database: String,
    /// The schema in which a verification looks for tables, if one is named.
    pub schema: Option<String>,
}

impl Spec {
    /// What the names of its dumps begin with.
    pub fn core(&self) -> String {
        format!("{}-{}", self.host, self.database)
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        write!(f, "{}{port}/{}", self.host, self.database)
    }
}

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::usage(format!("{text:?} names no database: {why}")).with_hint("write host:port/database, or host/database")
        };
        let (place, query) = text.split_once('?').map_or((text, None), |(place, query)| (place, Some(query)));
        let place = match place.split_once('=') {
            None | Some(("postgres", _)) => place.strip_prefix("postgres=").unwrap_or(place),
            Some((kind @ ("mongo" | "mssql" | "mariadb"), _)) => {
                return Err(Error::usage(format!("{text:?} is a database of {kind}, which this program does not back up"))
                    .with_hint("take the line out of the file that this program reads, and back it up otherwise"));
            }
            Some(_) => return Err(wrong("its type is unknown")),
        };
        let (host, database) = place.split_once('/').ok_or_else(|| wrong("there is no / in it"))?;
        let (host, port) = match host.rsplit_once(':').filter(|_| !host.ends_with(']')) {
            Some((host, port)) => {
                (host, Some(port.parse().ok().filter(|port| *port > 0).ok_or_else(|| wrong("no such port"))?))
            }
            None => (host, None),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_address = bracketed.is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
        if !is_address && (host.is_empty() || !host.chars().all(plain)) {
            return Err(wrong("its host is no name and no address"));
        }
        if database.is_empty() || database.contains('/') {
            return Err(wrong("behind the host stands the name of the database alone"));
        }
        let mut schema = None;
        for pair in query.into_iter().flat_map(|query| query.split('&')) {
            match pair.split_once('=') {
                Some(("verifySchema", name)) if !name.is_empty() => schema = Some(name.to_owned()),
                _ => return Err(wrong("only ?verifySchema= may follow")),
            }
        }
        Ok(Self { host: host.to_owned(), port, database: database.to_owned(), schema })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_form_is_read_as_it_is_meant() {
        for (text, host, port, database, schema, core) in [
            ("postgres=pg-host:5432/app", "pg-host", Some(5432), "app", None, "pg-host-app"),
            ("pg-host:5432/app?verifySchema=foo", "pg-host", Some(5432), "app", Some("foo"), "pg-host-app"),
            // The container took the whole text for the host.
            ("pg-host/app", "pg-host", None, "app", None, "pg-host-app"),
            // The container took the line for a job of cron.
            ("pg.example.org:5432/app", "pg.example.org", Some(5432), "app", None, "pg.example.org-app"),
            ("postgres=10.0.0.1/my app", "10.0.0.1", None, "my app", None, "10.0.0.1-my app"),
            ("[::1]:5433/app", "[::1]", Some(5433), "app", None, "[::1]-app"),
            ("[::1]/app", "[::1]", None, "app", None, "[::1]-app"),
        ] {
            let spec: Spec = text.parse().expect(text);
            let schema = schema.map(str::to_owned);
            assert_eq!(spec, Spec { host: host.into(), port, database: database.into(), schema }, "{text}");
            assert_eq!(spec.core(), core);
        }
    }

    #[test]
    fn what_could_be_meant_in_two_ways_is_refused() {
        for bad in [
            "",
            "app",
            "/app",
            "host/",
            "host:/app",
            "host:x/app",
            "host:0/app",
            "host:70000/app",
            "ho st/app",
            "host:5432/X/postgres",
            "oracle=host/app",
            "mongo=host/app",
            "mariadb=host/app",
            "mssql=host:1433/app",
            "host/app?schema=x",
            "host/app?verifySchema=",
            "[::1/app",
            "[x]/app",
            "a:b:5432/app",
            "-r\n/app",
        ] {
            let error = bad.parse::<Spec>().expect_err(bad);
            assert!(error.hint().is_some(), "{bad}");
        }
    }
}
