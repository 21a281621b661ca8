//! Which collection a file of a dump belongs to: `mongodump`'s names of folders and files, read.

use backup_core::{Error, Result};
use percent_encoding::percent_decode_str;

/// What a name is cut to that would be too long for a file system, in bytes; it then ends in a digest.
const CUT: usize = 238;

/// What a file of a dump is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Member {
    /// The documents of a collection, as BSON.
    Documents(Stem),
    /// The options and indexes of a collection, as JSON.
    Metadata(Stem),
    /// `prelude.json`: which server and which program.
    Prelude,
    /// `oplog.bson`: what happened while the dump was taken.
    Oplog,
}

/// The name of a collection as the name of a file has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stem {
    /// The database.
    pub database: String,
    /// The collection; `None` if the name was too long: then the metadata says it.
    pub collection: Option<String>,
    /// The name of the file without its extension, which documents and metadata have in common.
    pub file: String,
}

impl Member {
    /// What `path` is, from the folder of the dump on: `DATABASE/COLLECTION.bson`; `None` if it is nothing of a dump.
    ///
    /// A name of a database or collection that no server has is [`Kind::Damaged`](backup_core::Kind::Damaged).
    pub fn of(path: &str) -> Result<Option<Self>> {
        let (folder, file) = match path.split_once('/') {
            None => {
                return Ok(match path {
                    "oplog.bson" => Some(Self::Oplog),
                    "prelude.json" => Some(Self::Prelude),
                    _ => None,
                });
            }
            Some((_, "prelude.json")) => return Ok(Some(Self::Prelude)),
            Some(split) => split,
        };
        let (make, stem): (fn(Stem) -> Self, _) = if let Some(stem) = file.strip_suffix(".metadata.json") {
            (Self::Metadata, stem)
        } else if let Some(stem) = file.strip_suffix(".bson") {
            (Self::Documents, stem)
        } else {
            return Ok(None);
        };
        check_database(folder)?;
        let collection = match stem.len() == CUT && stem.contains("%24") {
            true => None,
            false => {
                let name = unescape(stem)?;
                check_collection(&name)?;
                Some(name)
            }
        };
        Ok(Some(make(Stem { database: folder.to_owned(), collection, file: stem.to_owned() })))
    }
}

/// Undoes what `mongodump` does to a name: a blank is a `+`, and all but letters, digits and `-_.~` is `%` and two digits.
fn unescape(stem: &str) -> Result<String> {
    let wrong = || Error::damaged(format!("{stem:?} is the name of no collection"));
    let mut rest = stem.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        if byte == b'%' && !(digit(rest.next()) && digit(rest.next())) || byte == b'/' {
            return Err(wrong());
        }
    }
    let blanks = stem.replace('+', " ");
    percent_decode_str(&blanks).decode_utf8().map(Into::into).map_err(|_| wrong())
}

/// Fails unless a server takes `name` for a database.
pub fn check_database(name: &str) -> Result<()> {
    let bad = |c: char| "/\\. \"\0$".contains(c);
    match name.is_empty() || name.len() > 63 || name.contains(bad) {
        true => Err(Error::damaged(format!("{name:?} is the name of no database"))),
        false => Ok(()),
    }
}

/// Fails unless a server takes `name` for a collection. Dots, blanks, slashes and dollars are common in old ones.
pub fn check_collection(name: &str) -> Result<()> {
    // 255 bytes are for database, dot and collection together.
    match name.is_empty() || name.len() > 253 || name.contains('\0') || name.starts_with('.') {
        true => Err(Error::damaged(format!("{name:?} is the name of no collection"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stem(database: &str, collection: Option<&str>, file: &str) -> Stem {
        Stem { database: database.into(), collection: collection.map(Into::into), file: file.into() }
    }

    #[test]
    fn names_as_mongodump_writes_them() {
        let long = format!("{}%24{}", "a".repeat(208), "b".repeat(27));
        for (path, member) in [
            ("shop/users.bson", Some(Member::Documents(stem("shop", Some("users"), "users")))),
            ("shop/users.metadata.json", Some(Member::Metadata(stem("shop", Some("users"), "users")))),
            ("shop/a.b%2Fc+d%24%C3%BC.bson", Some(Member::Documents(stem("shop", Some("a.b/c d$ü"), "a.b%2Fc+d%24%C3%BC")))),
            ("shop/%2Fusers.bson", Some(Member::Documents(stem("shop", Some("/users"), "%2Fusers")))),
            ("shop/prelude.json", Some(Member::Prelude)),
            ("prelude.json", Some(Member::Prelude)),
            ("oplog.bson", Some(Member::Oplog)),
            ("shop/x.bson.bson", Some(Member::Documents(stem("shop", Some("x.bson"), "x.bson")))),
            (&format!("shop/{long}.bson"), Some(Member::Documents(stem("shop", None, &long)))),
            ("shop/users.bson.gz", None),
            ("users.bson", None),
            ("shop/", None),
            ("", None),
        ] {
            assert_eq!(Member::of(path).expect(path), member, "{path}");
        }
    }

    #[test]
    fn hostile_names_are_damage() {
        for path in [
            "../users.bson",
            "a.b/users.bson",
            "$x/users.bson",
            "/users.bson",
            "shop/%2.bson",
            "shop/%zz.bson",
            "shop/%ff.bson",
            "shop/%00.bson",
            "shop/.bson",
            "shop/..bson",
            "shop/a/b.bson",
            "shop/../x.bson",
            "a b/x.bson",
        ] {
            assert!(Member::of(path).is_err(), "{path}");
        }
        assert!(Member::of(&format!("{}/x.bson", "d".repeat(64))).is_err());
        assert!(Member::of(&format!("d/{}.bson", "c".repeat(254))).is_err());
    }
}
