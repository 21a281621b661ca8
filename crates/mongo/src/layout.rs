//! Where mongodump puts what in its folder: the names of files.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha1::{Digest, Sha1};

/// Longer names of files, in bytes and without their ends, are cut; the longest end is `.metadata.json.gz`.
const LONGEST: usize = 238;

/// How much of a name that is cut stays, in bytes.
const KEPT: usize = 208;

/// Where time-series collections keep their documents.
pub const BUCKETS: &str = "system.buckets.";

/// The name of the files of a collection without their ends: percent-encoded as in a URL's query, a blank as `+`. One that would
/// be too long for a file system is cut, and ends in `%24` and the SHA-1 of the collection's name.
pub fn file_stem(collection: &str) -> String {
    let mut stem = String::with_capacity(collection.len());
    for byte in collection.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => stem.push(char::from(byte)),
            b' ' => stem.push('+'),
            // Writing to a string does not fail.
            _ => {
                let _ = write!(stem, "%{byte:02X}");
            }
        }
    }
    if stem.len() > LONGEST {
        stem.truncate(KEPT);
        stem.push_str("%24");
        stem.push_str(&URL_SAFE_NO_PAD.encode(Sha1::digest(collection.as_bytes())));
    }
    stem
}

/// The file of a collection's documents, such as `app/users.bson`.
pub fn documents_file(database: &str, collection: &str) -> String {
    format!("{database}/{}.bson", file_stem(collection))
}

/// The file of a collection's options and indexes, such as `app/users.metadata.json`.
pub fn metadata_file(database: &str, collection: &str) -> String {
    format!("{database}/{}.metadata.json", file_stem(collection))
}

/// The file that says which server was read: beside the databases if all were, else among the files of the one.
pub fn prelude_file(database: Option<&str>) -> String {
    database.map_or_else(|| "prelude.json".to_owned(), |database| format!("{database}/prelude.json"))
}

/// The file of what happened while the collections were read.
pub const OPLOG_FILE: &str = "oplog.bson";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_as_in_a_query() {
        for (name, stem) in [
            ("users", "users"),
            ("a.b-c_d~e", "a.b-c_d~e"),
            ("with blank", "with+blank"),
            ("a/b\\c%d+e", "a%2Fb%5Cc%25d%2Be"),
            ("größe", "gr%C3%B6%C3%9Fe"),
            ("*'()!", "%2A%27%28%29%21"),
        ] {
            assert_eq!(file_stem(name), stem);
        }
        assert_eq!(documents_file("app", "a/b"), "app/a%2Fb.bson");
        assert_eq!(metadata_file("app", "a/b"), "app/a%2Fb.metadata.json");
        assert_eq!(prelude_file(Some("app")), "app/prelude.json");
    }

    #[test]
    fn a_name_that_is_too_long_is_cut_and_told_from_others_by_its_digest() {
        assert_eq!(file_stem(&"a".repeat(238)), "a".repeat(238));
        // printf 'a%.0s' {1..239} | openssl dgst -sha1 -binary | basenc --base64url
        let cut = file_stem(&"a".repeat(239));
        assert_eq!((cut.len(), &cut[..208], &cut[208..211]), (238, "a".repeat(208).as_str(), "%24"));
        assert_eq!(&cut[211..], "_cMIV897lX9H69gojV5ddCb0Q5Q");
        assert_ne!(file_stem(&"ö".repeat(100)), file_stem(&format!("{}ä", "ö".repeat(99))));
    }
}
