//! The header in which s3cmd keeps what a file system knows of a file: `x-amz-meta-s3cmd-attrs`.

use std::fmt;

/// The name of the metadata, without `x-amz-meta-`.
pub(super) const HEADER: &str = "s3cmd-attrs";

/// The longest header that is read, in bytes: no server takes more than 8 KiB of them.
const LONGEST: usize = 8192;

/// What the header says. What is missing, or makes no sense, is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Attrs {
    /// Permissions of owner, group and others. More is neither read nor written: nobody gets a set-user-ID file from a bucket.
    pub(super) mode: Option<u32>,
    /// When it was modified, in seconds since 1970.
    pub(super) mtime: Option<i64>,
    /// When it was read, in seconds since 1970.
    pub(super) atime: Option<i64>,
    /// When its attributes were changed, in seconds since 1970.
    pub(super) ctime: Option<i64>,
    /// Its owner, and the owner's name.
    pub(super) owner: (Option<u32>, Option<String>),
    /// Its group, and the group's name.
    pub(super) group: (Option<u32>, Option<String>),
    /// The MD5 of its content in small hexadecimal digits: the ETag of an object in parts does not tell it.
    pub(super) md5: Option<String>,
}

impl Attrs {
    /// Reads a header. Whatever it holds, there is a result: what cannot be read is as if it were missing.
    pub(super) fn parse(header: &str) -> Self {
        let mut attrs = Self::default();
        if header.len() > LONGEST {
            return attrs;
        }
        for (key, value) in header.split('/').filter_map(|pair| pair.split_once(':')) {
            match key {
                // s3cmd has decimal digits of the whole mode, and so of the type of the file.
                "mode" => attrs.mode = value.parse().ok().map(|mode: u32| mode & 0o777),
                "mtime" => attrs.mtime = seconds(value),
                "atime" => attrs.atime = seconds(value),
                "ctime" => attrs.ctime = seconds(value),
                "uid" => attrs.owner.0 = value.parse().ok(),
                "gid" => attrs.group.0 = value.parse().ok(),
                "uname" => attrs.owner.1 = decode(value),
                "gname" => attrs.group.1 = decode(value),
                "md5" => attrs.md5 = Some(value.to_ascii_lowercase()).filter(|md5| is_md5(md5)),
                _ => {}
            }
        }
        attrs
    }
}

/// Writes the header as s3cmd does: by name, `/` between them.
impl fmt::Display for Attrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What s3cmd writes, and expects of a regular file.
        let mode = self.mode.map(|mode| (0o100_000 | mode & 0o777).to_string());
        let pairs = [
            ("atime", self.atime.map(|seconds| seconds.to_string())),
            ("ctime", self.ctime.map(|seconds| seconds.to_string())),
            ("gid", self.group.0.map(|id| id.to_string())),
            ("gname", self.group.1.as_deref().map(encode)),
            ("md5", self.md5.clone().filter(|md5| is_md5(md5))),
            ("mode", mode),
            ("mtime", self.mtime.map(|seconds| seconds.to_string())),
            ("uid", self.owner.0.map(|id| id.to_string())),
            ("uname", self.owner.1.as_deref().map(encode)),
        ];
        let mut between = "";
        for (key, value) in pairs {
            if let Some(value) = value {
                write!(f, "{between}{key}:{value}")?;
                between = "/";
            }
        }
        Ok(())
    }
}

/// Whether this is an MD5 in small hexadecimal digits, and not the ETag of an object in parts.
pub(super) fn is_md5(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Seconds that a file system can have: some older versions of s3cmd wrote a fraction behind them.
fn seconds(text: &str) -> Option<i64> {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    whole.parse().ok().filter(|seconds: &i64| (-(1 << 31)..1 << 34).contains(seconds))
}

fn encode(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut pieces = text.split('%');
    bytes.extend_from_slice(pieces.next()?.as_bytes());
    for piece in pieces {
        bytes.push(u8::from_str_radix(piece.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(piece.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok().filter(|name| !name.is_empty() && !name.contains(char::is_control))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As s3cmd 2 sent it.
    const SENT: &str = "atime:1416499200/ctime:1416499201/gid:0/gname:root/md5:900150983cd24fb0d6963f7d28e17f72/mode:33188/\
        mtime:1416499199/uid:1000/uname:j%20doe";

    #[test]
    fn what_s3cmd_writes_is_read_and_written_alike() {
        let attrs = Attrs::parse(SENT);
        assert_eq!((attrs.mode, attrs.mtime), (Some(0o644), Some(1_416_499_199)));
        assert_eq!(
            (attrs.owner.clone(), attrs.group.clone()),
            ((Some(1000), Some("j doe".into())), (Some(0), Some("root".into())))
        );
        assert_eq!(attrs.md5.as_deref(), Some("900150983cd24fb0d6963f7d28e17f72"));
        assert_eq!(attrs.to_string(), SENT);
    }

    #[test]
    fn what_makes_no_sense_is_missing() {
        let hostile =
            "mode:99999999999/mtime:99999999999999/atime:x/uid:-1/gid:4294967296/uname:%zz/gname:%0a/md5:../x/x/::/:/mode";
        assert_eq!(Attrs::parse(hostile), Attrs::default());
        assert_eq!(Attrs::parse("mode:36333").mode, Some(0o755), "no set-user-ID");
        assert_eq!(Attrs::parse("mtime:1416499199.75").mtime, Some(1_416_499_199));
        assert_eq!(Attrs::parse(&format!("uid:1/{}", "x".repeat(9000))), Attrs::default());
    }

    proptest! {
        #[test]
        fn nothing_is_too_strange_to_be_read(header in "\\PC{0,200}|[a-z0-9:/%.-]{0,200}") {
            let attrs = Attrs::parse(&header);
            let written = attrs.to_string();
            prop_assert!(written.bytes().all(|byte| byte.is_ascii_graphic()), "{written}");
            prop_assert_eq!(Attrs::parse(&written), attrs);
        }
    }
}
