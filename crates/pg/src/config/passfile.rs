//! `~/.pgpass`: passwords by host, port, database and user ("The Password File").

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::{Address, Host, Secret};

/// The lines of a password file. The first that fits is taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passfile(Vec<Line>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// Host, port, database, user; `None` fits everything.
    fields: [Option<String>; 4],
    password: Secret,
}

/// Folders of sockets that a password file calls `localhost`: upstream's default and the distributions'.
pub(super) const SOCKET_FOLDERS: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

impl Passfile {
    /// Reads the file at `path`. As libpq does, a file that is not there, is no plain file, or is open to others is
    /// left aside; all but the first is told in `warnings`.
    pub fn read(path: &Path, warnings: &mut Vec<String>) -> Self {
        let ignored = |why: &str| format!("the password file {} is ignored: {why}", path.display());
        let mut text = Zeroizing::new(Vec::new());
        let read = || -> std::io::Result<Option<&str>> {
            // Looked at before it is opened: opening a pipe would wait for a writer.
            let about = fs::metadata(path)?;
            if !about.is_file() {
                return Ok(Some("it is not a plain file"));
            }
            if about.permissions().mode() & 0o077 != 0 {
                return Ok(Some("others have access to it; run chmod 0600 on it"));
            }
            File::open(path)?.take(16 << 20).read_to_end(&mut text)?;
            Ok(None)
        };
        match { read }() {
            Ok(None) => {}
            Ok(Some(why)) => warnings.push(ignored(why)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => warnings.push(ignored(&error.to_string())),
        }
        Self::parse(&text)
    }

    /// Reads the text of a password file. Comments, and lines that are not five fields of UTF-8, fit nothing.
    pub fn parse(text: &[u8]) -> Self {
        let lines = text.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let lines = lines.filter(|line| !line.starts_with(b"#")).filter_map(|line| std::str::from_utf8(line).ok());
        Self(lines.filter_map(parse_line).collect())
    }

    /// The password for `user` at `database` on `host`.
    pub fn find(&self, host: &Host, database: &str, user: &str) -> Option<&Secret> {
        let name = match &host.address {
            Address::Tcp(name) => name.as_str(),
            Address::Socket(folder) if SOCKET_FOLDERS.iter().any(|default| Path::new(default) == folder) => "localhost",
            Address::Socket(folder) => folder.to_str()?,
        };
        let wanted = [name, &host.port.to_string(), database, user];
        let fits = |line: &&Line| {
            line.fields.iter().zip(wanted).all(|(field, wanted)| field.as_deref().is_none_or(|field| field == wanted))
        };
        // An empty password is as good as none.
        self.0.iter().find(fits).map(|line| &line.password).filter(|password| !password.reveal().is_empty())
    }
}

fn parse_line(line: &str) -> Option<Line> {
    let mut rest = line;
    let mut field = || {
        let (field, after) = take_field(rest);
        let whole = if rest == "*" || rest.starts_with("*:") { None } else { Some(field) };
        rest = after?;
        Some(whole)
    };
    let fields = [field()?, field()?, field()?, field()?];
    let fields = fields.map(|field| field.map(|text| text.to_string()));
    let (password, _) = take_field(rest);
    Some(Line { fields, password: Secret::from(password.as_str()) })
}

/// The text up to the next `:` that no `\` precedes, unescaped, and what follows the `:`.
fn take_field(text: &str) -> (Zeroizing<String>, Option<&str>) {
    let mut field = Zeroizing::new(String::with_capacity(text.len()));
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            ':' => return (field, Some(&text[at + 1..])),
            '\\' => field.push(chars.next().map_or('\\', |(_, c)| c)),
            c => field.push(c),
        }
    }
    (field, None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(text: &str, address: Address, user: &str) -> Option<String> {
        let host = Host { address, hostaddr: None, port: 5432, through: None };
        Passfile::parse(text.as_bytes()).find(&host, "app", user).map(|found| found.reveal().to_owned())
    }

    fn tcp(name: &str) -> Address {
        Address::Tcp(name.to_owned())
    }

    #[test]
    fn the_first_line_that_fits_is_taken() {
        let text = "# *:*:*:*:comment\nother:5432:app:ann:no\nshort:line\ndb:5432:app:ann:yes\r\n*:*:*:*:rest";
        assert_eq!(find(text, tcp("db"), "ann").as_deref(), Some("yes"));
        assert_eq!(find(text, tcp("db"), "bob").as_deref(), Some("rest"));
        assert_eq!(find("db:5433:app:ann:no\ndb:5432:other:ann:no", tcp("db"), "ann"), None);
    }

    #[test]
    fn colons_and_backslashes_are_escaped() {
        let text = r"\:\:1:*:*:o\\b\:c:p\:a\\s\s";
        assert_eq!(find(text, tcp("::1"), r"o\b:c").as_deref(), Some(r"p:a\ss"));
        assert_eq!(find(r"\*:*:*:*:literal", tcp("db"), "ann"), None);
        assert_eq!(find(&format!("*:*:*:*:{}", "long".repeat(5000)), tcp("db"), "ann"), Some("long".repeat(5000)));
    }

    #[test]
    fn the_default_socket_is_called_localhost() {
        let text = "/srv/sockets:*:*:*:own\nlocalhost:*:*:*:local";
        assert_eq!(find(text, Address::Socket("/var/run/postgresql".into()), "ann").as_deref(), Some("local"));
        assert_eq!(find(text, Address::Socket("/srv/sockets".into()), "ann").as_deref(), Some("own"));
        assert_eq!(find(text, Address::Socket("/other".into()), "ann"), None);
    }

    #[test]
    fn a_file_that_others_can_read_is_left_aside_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        fs::write(&path, "*:*:*:*:secret").unwrap();
        for (mode, told) in [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let mut warnings = Vec::new();
            let lines = Passfile::read(&path, &mut warnings).0.len();
            assert_eq!((lines, warnings.len()), (1 - told, told), "{mode:o}");
            assert!(!format!("{warnings:?}").contains("secret"));
        }
        let mut warnings = Vec::new();
        Passfile::read(folder.path(), &mut warnings);
        Passfile::read(&folder.path().join("none"), &mut warnings);
        assert_eq!(warnings.len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>, text in "[*:\\\\#a\n]*") {
            let _ = Passfile::parse(&bytes);
            let _ = Passfile::parse(text.as_bytes());
        }
    }
}
