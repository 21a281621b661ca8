//! `postgresql://user:password@host:port,host:port/database?key=value` as parameters.

use backup_core::{Error, Result};
use zeroize::Zeroizing;

use super::Params;

const PERCENT: &str = "write % as %25, and : / ? # [ ] @ inside a user name or password as %3A %2F %3F %23 %5B %5D %40";

/// Reads what follows `postgresql://`. Errors show nothing of it: a stray `/` or `:` makes a password look like anything else.
pub(super) fn parse(text: &str, params: &mut Params) -> Result<()> {
    let mut rest = text;
    if let Some(end) = text.find(['@', '/']).filter(|&end| text[end..].starts_with('@')) {
        let (user, password) = text[..end].split_once(':').map_or((&text[..end], None), |(user, word)| (user, Some(word)));
        if !user.is_empty() {
            set(params, "user", user)?;
        }
        if let Some(password) = password.filter(|password| !password.is_empty()) {
            set(params, "password", password)?;
        }
        rest = &text[end + 1..];
    }

    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (authority, database) = rest.split_once('/').map_or((rest, None), |(rest, database)| (rest, Some(database)));
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for host in authority.split(',') {
        let (host, port) = host_and_port(host)?;
        hosts.push(host);
        ports.push(port);
    }
    if hosts.iter().any(|host| !host.is_empty()) {
        set(params, "host", &hosts.join(","))?;
    }
    if ports.iter().any(|port| !port.is_empty()) {
        set(params, "port", &ports.join(","))?;
    }
    if let Some(database) = database.filter(|database| !database.is_empty()) {
        set(params, "dbname", database)?;
    }
    for pair in query.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some((key, value)) if !value.contains('=') => match (decode(key)?.as_str(), value) {
                // The spelling of JDBC, which libpq takes as well.
                ("ssl", "true") => set(params, "sslmode", "require")?,
                (key, value) => set(params, key, value)?,
            },
            _ => return Err(Error::usage("a parameter of the connection URI is not key=value").with_hint(PERCENT)),
        }
    }
    Ok(())
}

fn set(params: &mut Params, key: &str, encoded: &str) -> Result<()> {
    params.set(key, &decode(encoded)?)
}

/// Splits `host:port` or `[IPv6]:port`.
fn host_and_port(text: &str) -> Result<(&str, &str)> {
    let Some(rest) = text.strip_prefix('[') else {
        return Ok(text.split_once(':').unwrap_or((text, "")));
    };
    match rest.split_once(']') {
        Some((address, "")) if !address.is_empty() => Ok((address, "")),
        Some((address, port)) if !address.is_empty() && port.starts_with(':') => Ok((address, &port[1..])),
        _ => Err(Error::usage("an IPv6 address in the connection URI is not closed by ]").with_hint(PERCENT)),
    }
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Result<Zeroizing<String>> {
    let wrong = |what| Error::usage(format!("the connection URI holds {what}")).with_hint(PERCENT);
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut left = text.bytes();
    while let Some(byte) = left.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || left.next().and_then(|digit| char::from(digit).to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => u8::try_from(high * 16 + low).map_err(|_| wrong("a bad %"))?,
                    _ => return Err(wrong("a % that two hexadecimal digits do not follow")),
                }
            }
            byte => byte,
        });
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(wrong("bytes that are not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn uris_are_read_as_libpq_reads_them() {
        // The examples of "Connection URIs" and their neighbours: user, password, host, port, dbname.
        for (uri, expected) in [
            ("postgresql://", ["", "", "", "", ""]),
            ("postgresql://localhost", ["", "", "localhost", "", ""]),
            ("postgresql://localhost:5433", ["", "", "localhost", "5433", ""]),
            ("postgres://localhost/mydb", ["", "", "localhost", "", "mydb"]),
            ("postgresql://user@localhost", ["user", "", "localhost", "", ""]),
            ("postgresql://user:secret@localhost", ["user", "secret", "localhost", "", ""]),
            ("postgresql://host1:123,host2:456/somedb", ["", "", "host1,host2", "123,456", "somedb"]),
            ("postgresql:///mydb?host=localhost&port=5433", ["", "", "localhost", "5433", "mydb"]),
            ("postgresql://[2001:db8::1234]:99/database", ["", "", "2001:db8::1234", "99", "database"]),
            ("postgresql:///dbname?host=/var/lib/postgresql", ["", "", "/var/lib/postgresql", "", "dbname"]),
            ("postgresql://%2Fvar%2Flib%2Fpostgresql/dbname", ["", "", "/var/lib/postgresql", "", "dbname"]),
            ("postgresql://u%40x:p%3A%2F%25@h/d%20b", ["u@x", "p:/%", "h", "", "d b"]),
            ("postgresql://host1,host2:7/db", ["", "", "host1,host2", ",7", "db"]),
            ("postgresql://:pw@h?user=u", ["u", "pw", "h", "", ""]),
        ] {
            let params = Params::parse(uri).unwrap();
            let found = ["user", "password", "host", "port", "dbname"].map(|key| params.get(key).unwrap_or(""));
            assert_eq!(found, expected, "{uri}");
        }
        assert_eq!(Params::parse("postgres://h?ssl=true").unwrap().get("sslmode"), Some("require"));
    }

    #[test]
    fn what_cannot_be_meant_shows_nothing_of_the_uri() {
        for uri in [
            "postgres://u:secret%@h",
            "postgres://u:secret%zz@h",
            "postgres://u:secret%ff@h",
            "postgres://u:secret%00@h",
            "postgres://[::1/secret",
            "postgres://h?secret",
            "postgres://h?user=secret=x",
        ] {
            let error = Params::parse(uri).map(|_| ()).unwrap_err();
            assert!(!format!("{error:?}").contains("secret"), "{uri}: {error:?}");
        }
        let error = Params::parse("postgres://h?pasword=secret").map(|_| ()).unwrap_err();
        assert!(error.chain().contains("pasword") && !error.chain().contains("secret"), "{error:?}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*", shaped in "[a:/@%?&=\\[\\],0é]*") {
            let _ = Params::parse(&format!("postgres://{text}"));
            let _ = Params::parse(&format!("postgresql://{shaped}"));
        }
    }
}
