//! Where a sync goes: source and destination as s3cmd reads them, slash for slash.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use backup_core::{Error, Kind, Result};

/// The longest key, in bytes.
const LONGEST: usize = 1024;

/// One end of a sync: objects or files have the same names at both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A name is what follows `base` in a key.
    Bucket {
        /// The bucket.
        bucket: String,
        /// What every key begins with: nothing, or something that ends in `/`.
        base: String,
    },
    /// A name is the path of a file in here.
    Folder(PathBuf),
}

/// From where to where, and which names.
///
/// | source | destination | the file or key of `s3://b/abc/def/x`, or of `abc/def/x` |
/// | --- | --- | --- |
/// | `s3://b/abc/def/` | `to/` | `to/x` |
/// | `s3://b/abc/def` | `to` or `to/` | `to/def/x`, and beside it what begins with `abc/def`, such as `to/defX` |
/// | `s3://b` | `to` | `to/abc/def/x` |
/// | `abc/def/`, or `.` in there | `s3://b` or `s3://b/to/` | `x`, `to/x` |
/// | `abc/def` | `s3://b/to/` | `to/def/x` |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Whence.
    pub from: End,
    /// Whither.
    pub to: End,
    /// What every name begins with.
    pub stem: String,
    /// Only the file whose name is the stem.
    pub exact: bool,
}

impl Route {
    /// Reads a source and a destination. A local source has to be there.
    ///
    /// What s3cmd refuses with its exit code 64 is [`Kind::Usage`], and so is what it takes in a way that cannot be meant: two
    /// folders, and a prefix for a destination that does not end in `/`.
    pub fn new(source: &str, destination: &str) -> Result<Self> {
        match (Place::new(source)?, Place::new(destination)?) {
            (Place::Bucket(bucket, prefix), Place::Folder(to)) => {
                if source.ends_with('/') && !destination.ends_with('/') {
                    return Err(Error::usage(format!("{destination:?} has to end with a slash as the source does"))
                        .with_hint(format!("write {destination}/ to fill it with what is in the source")));
                }
                let (from, stem) = split(bucket, &prefix);
                Ok(Self { from, to: End::Folder(to), stem, exact: false })
            }
            (Place::Bucket(bucket, prefix), Place::Bucket(to, base)) => {
                let (from, stem) = split(bucket, &prefix);
                Ok(Self { from, to: directory(to, base)?, stem, exact: false })
            }
            (Place::Folder(path), Place::Bucket(to, base)) => {
                let (from, stem, exact) = local(source, &path)?;
                Ok(Self { from: End::Folder(from), to: directory(to, base)?, stem, exact })
            }
            (Place::Folder(_), Place::Folder(_)) => {
                Err(Error::usage("neither source nor destination is a bucket").with_hint("one of them has to be s3://BUCKET"))
            }
        }
    }

    /// Whether what is written at the destination would be part of the source, if both buckets are on the same server.
    pub fn is_circular(&self) -> bool {
        let (End::Bucket { bucket, base }, End::Bucket { bucket: other, base: to }) = (&self.from, &self.to) else {
            return false;
        };
        let (from, to) = (format!("{base}{}", self.stem), format!("{to}{}", self.stem));
        bucket == other && (from.starts_with(&to) || to.starts_with(&from))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket { bucket, base } => write!(f, "s3://{bucket}/{base}"),
            Self::Folder(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A bucket and what follows it, or a path.
enum Place {
    Bucket(String, String),
    Folder(PathBuf),
}

impl Place {
    fn new(text: &str) -> Result<Self> {
        let usage =
            |problem: String| Err(Error::usage(problem).with_hint("write s3://BUCKET[/PREFIX], or the path of a folder"));
        let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| is_word(scheme)) else {
            return match text {
                "" => usage("a source or destination cannot be empty".to_owned()),
                "-" => usage("a sync reads no standard input and writes no standard output".to_owned()),
                path => Ok(Self::Folder(PathBuf::from(path))),
            };
        };
        if scheme == "file" && !rest.is_empty() {
            return Ok(Self::Folder(PathBuf::from(rest)));
        }
        if !scheme.eq_ignore_ascii_case("s3") {
            return usage(format!("{text:?} is neither a bucket nor a folder"));
        }
        let rest = rest.trim_start_matches('/');
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte);
        if bucket.is_empty() || bucket.len() > 255 || !bucket.bytes().all(plain) {
            return usage(format!("{text:?} names no bucket"));
        }
        if prefix.len() > LONGEST {
            return usage(format!("the prefix of {bucket} is longer than the {LONGEST} bytes that a key can have"));
        }
        Ok(Self::Bucket(bucket.to_owned(), prefix.to_owned()))
    }
}

/// The bucket and the prefix that `s3://BUCKET[/PREFIX]` names.
pub fn bucket(text: &str) -> Result<(String, String)> {
    match Place::new(text)? {
        Place::Bucket(bucket, prefix) => Ok((bucket, prefix)),
        Place::Folder(_) => Err(Error::usage(format!("{text:?} names no bucket")).with_hint("write s3://BUCKET[/PREFIX]")),
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Names keep the last part of a prefix that does not end in a slash.
fn split(bucket: String, prefix: &str) -> (End, String) {
    let (base, stem) = prefix.split_at(prefix.rfind('/').map_or(0, |slash| slash + 1));
    (End::Bucket { bucket, base: base.to_owned() }, stem.to_owned())
}

fn directory(bucket: String, base: String) -> Result<End> {
    if !base.is_empty() && !base.ends_with('/') {
        return Err(Error::usage(format!("the destination s3://{bucket}/{base} has to end with a slash"))
            .with_hint(format!("write s3://{bucket}/{base}/")));
    }
    Ok(End::Bucket { bucket, base })
}

/// The folder, what every name in it begins with, and whether that is the only one.
fn local(source: &str, path: &Path) -> Result<(PathBuf, String, bool)> {
    let missing = |error: io::Error| {
        let kind = if error.kind() == io::ErrorKind::NotFound { Kind::NotFound } else { Kind::Failed };
        Error::new(kind, format!("failed to look at the source {source:?}")).with_source(error)
    };
    let found = path.metadata().map_err(missing)?;
    if found.is_dir() && (source.ends_with('/') || source == "." || source.ends_with("/.")) {
        return Ok((path.to_owned(), String::new(), false));
    }
    if !found.is_dir() && !found.is_file() {
        return Err(Error::usage(format!("the source {source:?} is neither a folder nor a file")));
    }
    let name = path.file_name().ok_or_else(|| {
        Error::usage(format!("the source {source:?} has no name that keys could begin with"))
            .with_hint(format!("write {source}/ for what is in it"))
    })?;
    let name = name.to_str().ok_or_else(|| Error::usage(format!("the name of {source:?} is not UTF-8, as a key has to be")))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let stem = if found.is_dir() { format!("{name}/") } else { name.to_owned() };
    Ok((parent.to_owned(), stem, found.is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(bucket: &str, base: &str) -> End {
        End::Bucket { bucket: bucket.to_owned(), base: base.to_owned() }
    }

    fn route(source: &str, destination: &str) -> (End, End, String) {
        let route = Route::new(source, destination).unwrap_or_else(|error| panic!("{source} {destination}: {error:?}"));
        assert!(!route.exact);
        (route.from, route.to, route.stem)
    }

    fn refused(source: &str, destination: &str) {
        let error = Route::new(source, destination).expect_err(destination);
        assert_eq!(error.kind(), Kind::Usage, "{source} {destination}: {error:?}");
        assert!(error.hint().is_some(), "{error:?}");
    }

    #[test]
    fn a_bucket_into_a_folder() {
        let folder = |path: &str| End::Folder(PathBuf::from(path));
        assert_eq!(route("s3://db_wal", "."), (bucket("db_wal", ""), folder("."), String::new()));
        assert_eq!(route("S3:///db_wal", "to/"), (bucket("db_wal", ""), folder("to/"), String::new()));
        assert_eq!(route("s3://b/", "to/"), (bucket("b", ""), folder("to/"), String::new()));
        assert_eq!(route("s3://b/abc/def", "to"), (bucket("b", "abc/"), folder("to"), "def".to_owned()));
        assert_eq!(route("s3://b/abc/def/", "file://to/"), (bucket("b", "abc/def/"), folder("to/"), String::new()));
        assert_eq!(route("s3://b//x", "to"), (bucket("b", "/"), folder("to"), "x".to_owned()));
        // s3cmd: exit code 64.
        refused("s3://b/", ".");
        refused("s3://b/abc/", "to");
    }

    #[test]
    fn a_folder_into_a_bucket() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path().to_str().expect("text");
        std::fs::create_dir(format!("{root}/wal_005")).expect("a folder");
        std::fs::write(format!("{root}/wal_005/f"), "").expect("a file");
        let folder = |path: String| End::Folder(PathBuf::from(path));
        let inside = folder(format!("{root}/wal_005"));
        assert_eq!(
            route(&format!("{root}/wal_005"), "s3://db_wal"),
            (folder(root.to_owned()), bucket("db_wal", ""), "wal_005/".to_owned())
        );
        for source in ["wal_005/", "wal_005/."] {
            let (from, to, stem) = route(&format!("{root}/{source}"), "s3://b/to/");
            assert_eq!((from.to_string().trim_end_matches(['/', '.']), to), (inside.to_string().as_str(), bucket("b", "to/")));
            assert_eq!(stem, "");
        }
        assert_eq!(route(".", "s3://b"), (folder(".".to_owned()), bucket("b", ""), String::new()));
        let file = Route::new(&format!("{root}/wal_005/f"), "s3://b").expect("a route");
        assert_eq!((file.from, file.stem.as_str(), file.exact), (inside, "f", true));
        // s3cmd: exit code 64.
        refused(&format!("{root}/wal_005/"), "s3://b/to");
        refused("..", "s3://b/to/");
        assert_eq!(Route::new(&format!("{root}/none"), "s3://b").expect_err("none").kind(), Kind::NotFound);
    }

    #[test]
    fn a_bucket_into_a_bucket() {
        assert_eq!(route("s3://b/abc/def", "s3://c"), (bucket("b", "abc/"), bucket("c", ""), "def".to_owned()));
        assert_eq!(route("s3://b/abc/def/", "s3://c/to/"), (bucket("b", "abc/def/"), bucket("c", "to/"), String::new()));
        refused("s3://b/abc/", "s3://c/to");
        for (source, destination, circular) in [
            ("s3://b", "s3://b/copy/", true),
            ("s3://b/copy/x", "s3://b", false),
            ("s3://b/copy/", "s3://b", true),
            ("s3://b/a/", "s3://b/b/", false),
            ("s3://b", "s3://c", false),
        ] {
            assert_eq!(Route::new(source, destination).expect("a route").is_circular(), circular, "{source} {destination}");
        }
    }

    #[test]
    fn what_is_no_place() {
        for bad in ["", "-", "s3://", "s3:///", "s3://b?x", "s3://a b", "http://b/", "file://", "cf://x"] {
            refused(bad, "to/");
        }
        refused("a", "b");
        refused(&format!("s3://b/{}", "x".repeat(1025)), "to/");
    }
}
