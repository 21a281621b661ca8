//! The exit codes of s3cmd, for scripts that were written for it: `--s3cmd-exit-codes`.

use std::error::Error as _;
use std::{fmt, io};

use backup_ceph::Refusal;
use backup_core::{Error, Kind};

/// What was done in part: so many objects failed.
#[derive(Debug)]
pub(crate) struct Partial(pub(crate) u64);

impl fmt::Display for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} objects failed", self.0)
    }
}

impl std::error::Error for Partial {}

/// The command line or a configuration cannot be meant.
pub(crate) const USAGE: u8 = 64;

/// The exit code that s3cmd has for such an error.
pub(crate) fn exit_code(error: &Error) -> u8 {
    if error.kind() == Kind::Cancelled {
        return 130;
    }
    let mut next = error.source();
    while let Some(cause) = next {
        if cause.is::<Partial>() {
            return 2;
        }
        if let Some(refusal) = cause.downcast_ref::<Refusal>() {
            return refused(refusal);
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            match error.kind() {
                io::ErrorKind::ConnectionRefused => return 111,
                io::ErrorKind::Other => {}
                _ => return 74,
            }
        }
        next = cause.source();
    }
    match error.kind() {
        Kind::Usage => USAGE,
        Kind::NotFound => 12,
        Kind::AlreadyExists => 13,
        Kind::Damaged => 65,
        Kind::Busy => 75,
        _ => 1,
    }
}

fn refused(refusal: &Refusal) -> u8 {
    match (refusal.status, refusal.code.as_str()) {
        (None, _) if refusal.said.contains("refused") => 111,
        (None, _) => 75,
        (Some(503), _) | (_, "SlowDown" | "ServiceUnavailable") => 15,
        (Some(301 | 307), _) => 10,
        (Some(401 | 403), _) => 77,
        (Some(404), _) => 12,
        (Some(409), _) => 13,
        (Some(412), _) => 14,
        (Some(400 | 405 | 411 | 416 | 417 | 501 | 504), _) => 11,
        _ => 70,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_the_code_of_s3cmd() {
        let refusal = |status, code: &str| Refusal { status, code: code.to_owned(), said: "no route".to_owned() };
        let of = |cause: Refusal| exit_code(&Error::failed("list").with_source(Error::failed("again").with_source(cause)));
        for (status, code, is) in [
            (Some(301), "PermanentRedirect", 10),
            (Some(307), "TemporaryRedirect", 10),
            (Some(404), "NoSuchBucket", 12),
            (Some(409), "BucketNotEmpty", 13),
            (Some(412), "PreconditionFailed", 14),
            (Some(503), "", 15),
            (Some(500), "SlowDown", 15),
            (Some(500), "InternalError", 70),
            (Some(413), "", 70),
            (Some(401), "", 77),
            (Some(403), "AccessDenied", 77),
            (Some(403), "SignatureDoesNotMatch", 77),
            (None, "", 75),
        ] {
            assert_eq!(of(refusal(status, code)), is, "{status:?} {code}");
        }
        for status in [400, 405, 411, 416, 417, 501, 504] {
            assert_eq!(of(refusal(Some(status), "")), 11, "{status}");
        }
        let nobody = Refusal { said: "Connection refused (os error 111)".to_owned(), ..refusal(None, "") };
        assert_eq!(of(nobody), 111);
        let kinds = [
            (Kind::Usage, 64),
            (Kind::NotFound, 12),
            (Kind::AlreadyExists, 13),
            (Kind::Damaged, 65),
            (Kind::Busy, 75),
            (Kind::Cancelled, 130),
            (Kind::Failed, 1),
        ];
        for (kind, is) in kinds {
            assert_eq!(exit_code(&Error::new(kind, "x")), is, "{kind:?}");
        }
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(exit_code(&Error::failed("write").with_source(full)), 74);
        assert_eq!(exit_code(&Error::failed("5 objects failed").with_source(Partial(5))), 2);
    }
}
