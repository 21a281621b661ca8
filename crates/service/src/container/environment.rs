//! Values of variables: where each came from, secrets apart, secrets from files.

use std::cell::RefCell;
use std::fmt;
use std::path::Path;

use backup_core::{Error, Result};

/// A value that no message shows and that is wiped from memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(zeroize::Zeroizing<String>);

impl Secret {
    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(zeroize::Zeroizing::new(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// One value that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it says, in the name of its variable.
    pub name: String,
    /// The value; of a secret only that there is one.
    pub value: String,
    /// Where it came from.
    pub from: String,
}

/// Variables of the container that ask for what this program does not do, and what to do instead. One that is set is an error.
pub const UNSUPPORTED: [(&str, &str); 10] = [
    ("FTP_URL", "copies over FTPS do not exist here"),
    ("FTP_USER", "copies over FTPS do not exist here"),
    ("FTP_PASSWORD", "copies over FTPS do not exist here"),
    ("S3_ENDPOINT", "copies to S3 do not exist here yet"),
    ("S3_BUCKET", "copies to S3 do not exist here yet"),
    ("S3_USER", "copies to S3 do not exist here yet"),
    ("S3_PASSWORD", "copies to S3 do not exist here yet"),
    ("S3_PRUNE_BACKUPS", "copies to S3 do not exist here yet"),
    ("MONGODB_AUTHENTICATION_DATABASE", "MongoDB is not backed up by this program"),
    ("MYSQL_DEFAULTS_FILE", "MariaDB is not backed up by this program"),
];

/// Reads variables and remembers what was found.
pub(super) struct Environment<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    file: &'a dyn Fn(&Path) -> Result<String>,
    pub(super) found: RefCell<Vec<Found>>,
}

impl<'a> Environment<'a> {
    pub(super) fn new(variable: &'a dyn Fn(&str) -> Option<String>, file: &'a dyn Fn(&Path) -> Result<String>) -> Self {
        Self { variable, file, found: RefCell::default() }
    }

    fn note(&self, name: &str, value: &str, from: &str) {
        self.found.borrow_mut().push(Found { name: name.into(), value: value.into(), from: from.into() });
    }

    /// A variable that is set and not empty.
    pub(super) fn raw(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    /// The first of `names` that is set, itself or by the file that `NAME_FILE` names.
    fn first(&self, names: &[&str], is_secret: bool) -> Result<Option<String>> {
        for name in names {
            let file = self.raw(&format!("{name}_FILE"));
            let (value, from) = match (self.raw(name), file) {
                (Some(_), Some(_)) => {
                    return Err(Error::usage(format!("{name} and {name}_FILE are both set")).with_hint("unset one of them"));
                }
                (Some(value), None) => (value, format!("the variable {name}")),
                (None, Some(path)) => {
                    let text = (self.file)(Path::new(&path))?;
                    let text = text.strip_suffix('\n').unwrap_or(&text);
                    (text.strip_suffix('\r').unwrap_or(text).to_owned(), format!("the file {path}"))
                }
                (None, None) => continue,
            };
            self.note(names.first().unwrap_or(name), if is_secret { "(a secret)" } else { &value }, &from);
            return Ok(Some(value));
        }
        Ok(None)
    }

    /// The first of `names` that is set.
    pub(super) fn text(&self, names: &[&str]) -> Result<Option<String>> {
        self.first(names, false)
    }

    /// The first of `names` that is set, or `default`.
    pub(super) fn text_or(&self, names: &[&str], default: &str) -> Result<String> {
        Ok(self.text(names)?.unwrap_or_else(|| {
            self.note(names.first().unwrap_or(&""), default, "the default");
            default.to_owned()
        }))
    }

    /// The first of `names` that is set, never shown.
    pub(super) fn secret(&self, names: &[&str]) -> Result<Option<Secret>> {
        Ok(self.first(names, true)?.map(|value| Secret(zeroize::Zeroizing::new(value))))
    }

    /// A whole number within `from..=to`, or `default`.
    pub(super) fn number(&self, name: &str, default: i64, from: i64, to: i64) -> Result<i64> {
        let text = self.text_or(&[name], &default.to_string())?;
        text.trim().parse().ok().filter(|number| (from..=to).contains(number)).ok_or_else(|| {
            Error::usage(format!("{name} is {text:?}, which is no number that it can be"))
                .with_hint(format!("set it to a number from {from} to {to}"))
        })
    }
}
