//! Privileges as the server prints them: `aclitem[]` as text, and the defaults that it assumes where there is none.

use std::fmt::Write;

use backup_core::{Error, Result};

use super::Kind;
use crate::version::Version;

/// Every privilege: its letter in an `aclitem`, and its keyword (`utils/acl.h`, `ACL_ALL_RIGHTS_STR`).
const NAMES: [(char, &str); 15] = [
    ('a', "INSERT"),
    ('r', "SELECT"),
    ('w', "UPDATE"),
    ('d', "DELETE"),
    ('D', "TRUNCATE"),
    ('x', "REFERENCES"),
    ('t', "TRIGGER"),
    ('X', "EXECUTE"),
    ('U', "USAGE"),
    ('C', "CREATE"),
    ('T', "TEMPORARY"),
    ('c', "CONNECT"),
    ('s', "SET"),
    ('A', "ALTER SYSTEM"),
    ('m', "MAINTAIN"),
];

/// A set of privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rights(pub(super) u16);

impl Rights {
    /// The privileges of these letters. Other letters are left out.
    pub(super) fn of(letters: &str) -> Self {
        letters.chars().filter_map(Self::letter).fold(Self(0), Self::and)
    }

    fn letter(letter: char) -> Option<Self> {
        NAMES.iter().position(|(known, _)| *known == letter).map(|place| Self(1 << place))
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each privilege alone.
    pub(super) fn each(self) -> impl Iterator<Item = Self> {
        (0..NAMES.len()).map(|place| Self(1 << place)).filter(move |right| right.0 & self.0 != 0)
    }

    /// `SELECT, UPDATE` or `ALL`, with `column`: `SELECT (id), UPDATE (id)`; `column` is quoted already.
    pub(super) fn keywords(self, all: Self, column: Option<&str>) -> String {
        let names: Vec<&str> = if self == all {
            vec!["ALL"]
        } else {
            NAMES.iter().enumerate().filter(|(place, _)| self.0 >> place & 1 == 1).map(|(_, (_, name))| *name).collect()
        };
        let mut text = String::new();
        for name in names {
            text.push_str(if text.is_empty() { "" } else { ", " });
            text.push_str(name);
            if let Some(column) = column {
                let _ = write!(text, " ({column})");
            }
        }
        text
    }
}

/// What one role gave to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Bare name; empty for `PUBLIC`.
    pub(crate) grantee: String,
    /// Bare name.
    pub(crate) grantor: String,
    /// The privileges.
    pub(crate) rights: Rights,
    /// Those of them that may be passed on.
    pub(crate) options: Rights,
}

/// Reads `aclitem[]::text`: `{=r/postgres,"\"a b\"=r*w/postgres"}`.
///
/// # Errors
/// Text that is not of this form.
pub(crate) fn parse(text: &str) -> Result<Vec<Item>> {
    let unread = || Error::failed(format!("cannot read the privileges {text:?}"));
    elements(text).ok_or_else(unread)?.iter().map(|element| item(element).ok_or_else(unread)).collect()
}

/// The elements of a one-dimensional array's text.
fn elements(text: &str) -> Option<Vec<String>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut found = Vec::new();
    if inner.is_empty() {
        return Some(found);
    }
    let mut element = String::new();
    let mut quoted = false;
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => element.push(chars.next()?),
            '"' => quoted = !quoted,
            ',' if !quoted => found.push(std::mem::take(&mut element)),
            c => element.push(c),
        }
    }
    found.push(element);
    (!quoted).then_some(found)
}

/// One `grantee=privileges/grantor`.
fn item(text: &str) -> Option<Item> {
    let (grantee, rest) = name(text)?;
    let (letters, rest) = rest.strip_prefix('=')?.split_once('/')?;
    let (grantor, rest) = name(rest)?;
    let (mut rights, mut options, mut last) = (Rights::default(), Rights::default(), None);
    for letter in letters.chars() {
        if letter == '*' {
            options = options.and(last?);
        } else {
            last = Some(Rights::letter(letter)?);
            rights = rights.and(last?);
        }
    }
    (rest.is_empty() && !grantor.is_empty()).then_some(Item { grantee, grantor, rights, options })
}

/// A name as `putid` of the server writes it, and what follows it.
fn name(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find(['=', '/']).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end)?;
        return Some((name.to_owned(), rest));
    };
    let mut name = String::new();
    loop {
        let (before, after) = rest.split_once('"')?;
        name.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

/// Every privilege that there is on a `kind` (`ACL_ALL_RIGHTS_*` of `utils/acl.h`).
pub(super) fn all(kind: Kind, version: Version) -> Rights {
    Rights::of(match kind {
        Kind::Table if version.at_least(17) => "arwdDxtm",
        Kind::Table => "arwdDxt",
        Kind::Column => "arwx",
        Kind::Sequence => "rwU",
        Kind::Database => "CTc",
        Kind::Function => "X",
        Kind::Language | Kind::Type | Kind::ForeignDataWrapper | Kind::ForeignServer => "U",
        Kind::LargeObject => "rw",
        Kind::Schema => "UC",
        Kind::Tablespace => "C",
        Kind::Parameter => "sA",
    })
}

/// What the server assumes where a row has no privileges: `acldefault()`.
pub(super) fn defaults(kind: Kind, owner: &str, version: Version) -> Vec<Item> {
    let public = match kind {
        Kind::Database => "Tc",
        Kind::Function => "X",
        Kind::Language | Kind::Type => "U",
        _ => "",
    };
    let owners = if kind == Kind::Column { Rights::default() } else { all(kind, version) };
    [("", Rights::of(public)), (owner, owners)]
        .into_iter()
        .filter(|(_, rights)| !rights.is_empty())
        .map(|(grantee, rights)| Item {
            grantee: grantee.to_owned(),
            grantor: owner.to_owned(),
            rights,
            options: Rights::default(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (String, u16, u16, String) {
        let item = parse(text).expect("an item").remove(0);
        (item.grantee, item.rights.0, item.options.0, item.grantor)
    }

    #[test]
    fn items_as_the_server_prints_them() {
        assert_eq!(parse("{}").expect("none"), []);
        assert_eq!(one("{=r/postgres}"), (String::new(), Rights::of("r").0, 0, "postgres".to_owned()));
        assert_eq!(one("{a=r*w/b}"), ("a".to_owned(), Rights::of("rw").0, Rights::of("r").0, "b".to_owned()));
        let hostile = one(r#"{"\"a\"\"b,\\ {=/\"=U/\"c=/\n\"","x=U/y"}"#);
        assert_eq!(hostile, (r#"a"b,\ {=/"#.to_owned(), Rights::of("U").0, 0, "c=/n".to_owned()));
        assert_eq!(parse("{a=r/b,c=w/b}").expect("two").len(), 2);
    }

    #[test]
    fn what_is_no_privilege_is_refused() {
        for text in
            ["", "{", "{a}", "{a=r}", "{a=r/}", "{a=*/b}", "{a=?/b}", "{\"a=r/b}", "{\"\\\"a=r/b\"}", "{a=r/b/c}", "{a=r/b,}"]
        {
            parse(text).expect_err(text);
        }
    }

    #[test]
    fn all_is_said_only_where_it_is_all() {
        let (v15, v17) = (Version(150_000), Version(170_000));
        let fifteen = Rights::of("arwdDxt");
        assert_eq!(fifteen.keywords(all(Kind::Table, v15), None), "ALL");
        assert!(!fifteen.keywords(all(Kind::Table, v17), None).contains("ALL"));
        assert_eq!(Rights::of("rw").keywords(all(Kind::Column, v15), Some("\"A\"")), "SELECT (\"A\"), UPDATE (\"A\")");
    }
}
