//! Why a request failed: whether to make it again, and what to tell.

use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use backup_core::{Error, Kind};
use jiff::{Timestamp, Unit};

use super::{New, Refusal, text};

/// What went wrong with one request.
#[derive(Debug, Default, Clone)]
pub(super) struct Failure {
    /// The status of the answer; none if there was none.
    status: Option<u16>,
    /// The code in the answer, which names what is wrong.
    code: String,
    /// What the answer says in words, or what kept it from coming.
    message: String,
    /// The server's clock.
    date: Option<Timestamp>,
}

/// What a request is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    /// What is done to it: `store`.
    pub(super) verb: &'static str,
    /// The URL of the server.
    pub(super) endpoint: &'a str,
    /// The bucket, if it is about one.
    pub(super) bucket: &'a str,
    /// The key or prefix, if it is about one.
    pub(super) key: &'a str,
}

impl Failure {
    /// Takes an error of the client library apart.
    pub(super) fn of<E>(error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let answer = error.raw_response();
        Self {
            status: answer.map(|answer| answer.status().as_u16()),
            code: error.code().unwrap_or_default().to_owned(),
            message: error.message().map_or_else(|| deepest(error), str::to_owned),
            date: answer.and_then(|answer| answer.headers().get("date")).and_then(text::date),
        }
    }

    /// There was no answer for so long.
    pub(super) fn late(after: Duration) -> Self {
        Self { message: format!("no answer came for {} s", after.as_secs()), ..Self::default() }
    }

    /// Whether the same request may do better a little later.
    pub(super) fn passes(&self) -> bool {
        match self.status {
            // A certificate does not become better by waiting.
            None => !self.message.contains("certificate"),
            // A server that does not know how does not learn it by waiting.
            Some(501 | 505) => false,
            Some(status) => matches!(status, 429 | 500..=599) || self.code == "RequestTimeout",
        }
    }

    /// Whether it says that there is no such object, in a bucket that is there.
    pub(super) fn is_missing_key(&self) -> bool {
        self.status == Some(404) && self.code == "NoSuchKey"
    }

    /// The status of the answer; none if there was none.
    pub(super) fn status(&self) -> Option<u16> {
        self.status
    }

    /// The error for whoever asked.
    pub(super) fn told(&self, subject: Subject<'_>) -> Error {
        let Subject { verb, endpoint, bucket, key } = subject;
        let object = format!("s3://{bucket}/{key}");
        let what = if bucket.is_empty() { endpoint.to_owned() } else { object.clone() };
        let Some(status) = self.status else {
            let cause = self.refusal(format!("{endpoint} does not answer: {}", self.message));
            let hint = match self.message.contains("certificate") {
                true => "name the file with the certificate of who signed the server's: --s3-ca",
                false => "check the address of the server, and that it is up",
            };
            return Error::failed(format!("failed to {verb} {what}")).with_source(cause).with_hint(hint);
        };
        let there = || Error::new(Kind::AlreadyExists, format!("{object} is there already"));
        match (status, self.code.as_str()) {
            (404, "NoSuchBucket") => {
                return Error::new(Kind::NotFound, format!("there is no bucket {bucket} at {endpoint}"))
                    .with_hint("check its name and the address of the server, or make it first");
            }
            (404, "NoSuchUpload") => return Error::new(Kind::NotFound, format!("the upload of {object} is gone")),
            (404, _) => return Error::new(Kind::NotFound, format!("there is no {object}")),
            (412, _) if verb == "read" => {
                return Error::failed(format!("{object} was replaced while it was read")).with_hint("run it again");
            }
            (412, _) | (409, "ConditionalRequestConflict" | "OperationAborted") if !key.is_empty() => return there(),
            (409, "BucketAlreadyExists" | "BucketAlreadyOwnedByYou") => {
                return Error::new(Kind::AlreadyExists, format!("there is a bucket {bucket} already"));
            }
            _ => {}
        }
        let code = if self.code.is_empty() { String::new() } else { format!(" {}", self.code) };
        let mut said = format!("the server answered {status}{code}");
        if !self.message.is_empty() && self.message != self.code {
            said = format!("{said}: {}", self.message);
        }
        let failed = Error::failed(format!("failed to {verb} {what}"));
        if self.code == "RequestTimeTooSkewed" {
            let hint = "set the clock of this machine, or that of the server";
            return failed.with_source(self.refusal(self.clocks(Timestamp::now()))).with_hint(hint);
        }
        let failed = failed.with_source(self.refusal(said));
        match self.hint() {
            Some(hint) => failed.with_hint(hint),
            None => failed,
        }
    }

    /// The same for whoever makes an object of which `new` is said.
    pub(super) fn told_of(&self, new: Option<&New>, subject: Subject<'_>) -> Error {
        let error = self.told(subject);
        match (new.and_then(|new| new.storage_class.as_ref()), self.code.as_str()) {
            (Some(class), "InvalidArgument" | "InvalidStorageClass") => {
                error.with_hint(format!("does the server have the storage class {class}? --storage-class names another"))
            }
            _ => error,
        }
    }

    fn refusal(&self, said: String) -> Refusal {
        Refusal { status: self.status, code: self.code.clone(), said }
    }

    /// How far the two clocks are apart.
    fn clocks(&self, now: Timestamp) -> String {
        let Some(date) = self.date else { return "the clocks of this machine and the server are too far apart".to_owned() };
        let seconds = now.duration_since(date).unsigned_abs().as_secs();
        let second = |time: Timestamp| time.round(Unit::Second).unwrap_or(time);
        format!("this machine's clock says {}, the server's {}: they are {seconds} s apart", second(now), second(date))
    }

    fn hint(&self) -> Option<&'static str> {
        Some(match (self.status, self.code.as_str()) {
            (Some(413), _) | (_, "EntityTooLarge") => {
                "a router before the server takes no bodies of this size: raise its limit (bodySize), or give a smaller --part-size"
            }
            (_, "SignatureDoesNotMatch") => "the secret key is not the one that belongs to the access key",
            (_, "InvalidAccessKeyId") => {
                "the server does not know the access key: check the keys and the address of the server"
            }
            (_, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => {
                "the session token is not valid any more: get new keys"
            }
            (_, "QuotaExceeded") => "raise the quota, or prune old backups",
            (_, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") | (Some(301), _) => {
                "the bucket is in another region: name it with --s3-region"
            }
            (_, "BadDigest" | "InvalidDigest") => {
                "what the server got is not what was sent: check the network and the memory of both"
            }
            (Some(401 | 403), _) => "these keys may not do that: they need the right to put, get and list in the bucket",
            (Some(400..=404), "") => "is this the address of an S3 server?",
            _ => return None,
        })
    }
}

/// The words of the innermost cause.
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, code: &str) -> Failure {
        Failure { status: Some(status), code: code.to_owned(), ..Failure::default() }
    }

    fn told(status: u16, code: &str) -> Error {
        failure(status, code).told(Subject { verb: "store", endpoint: "http://h", bucket: "b", key: "k" })
    }

    #[test]
    fn what_a_caller_does_differently_has_a_kind() {
        let kinds = [(404, "NoSuchKey"), (404, ""), (404, "NoSuchBucket"), (404, "NoSuchUpload")];
        for (status, code) in kinds {
            assert_eq!(told(status, code).kind(), Kind::NotFound, "{status} {code}");
        }
        for (status, code) in [(412, "PreconditionFailed"), (412, ""), (409, "BucketAlreadyExists")] {
            assert_eq!(told(status, code).kind(), Kind::AlreadyExists, "{status} {code}");
        }
        assert_eq!(told(403, "AccessDenied").kind(), Kind::Failed);
        let read = failure(412, "").told(Subject { verb: "read", endpoint: "http://h", bucket: "b", key: "k" });
        assert_eq!(read.kind(), Kind::Failed);
    }

    #[test]
    fn a_deletion_is_done_where_the_object_is_not_there_but_not_where_the_bucket_is_not() {
        assert!(failure(404, "NoSuchKey").is_missing_key());
        for (status, code) in [(404, "NoSuchBucket"), (404, ""), (403, "NoSuchKey")] {
            assert!(!failure(status, code).is_missing_key(), "{status} {code}");
        }
    }

    #[test]
    fn who_is_refused_is_told_what_to_do() {
        for (status, code, word) in [
            (413, "", "--part-size"),
            (400, "EntityTooLarge", "bodySize"),
            (403, "SignatureDoesNotMatch", "secret key"),
            (403, "InvalidAccessKeyId", "access key"),
            (400, "ExpiredToken", "new keys"),
            (403, "QuotaExceeded", "quota"),
            (301, "PermanentRedirect", "--s3-region"),
            (403, "AccessDenied", "right"),
            (404, "NoSuchBucket", "make it"),
        ] {
            let error = told(status, code);
            assert!(error.hint().is_some_and(|hint| hint.contains(word)), "{error:?}");
            assert!(!error.chain().contains('\n'), "{error:?}");
        }
    }

    #[test]
    fn who_names_a_storage_class_is_asked_for_it_where_something_named_is_wrong() {
        let subject = Subject { verb: "store", endpoint: "http://h", bucket: "b", key: "k" };
        let hint = |code, class: Option<&str>| {
            let new = New { storage_class: class.map(str::to_owned), ..New::default() };
            failure(400, code).told_of(Some(&new), subject).hint().map(str::to_owned)
        };
        for code in ["InvalidArgument", "InvalidStorageClass"] {
            assert!(hint(code, Some("COLD")).is_some_and(|hint| hint.contains("COLD")), "{code}");
            assert_eq!(hint(code, None), None);
        }
        assert!(hint("BadDigest", Some("COLD")).is_some_and(|hint| hint.contains("network")));
    }

    #[test]
    fn clocks_are_told_with_their_distance() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let mut skewed = failure(403, "RequestTimeTooSkewed");
        skewed.date = text::date("Sat, 21 Nov 2026 18:00:00 GMT");
        let line = skewed.clocks(at("2026-11-21T17:00:00.5Z"));
        assert!(line.contains("2026-11-21T18:00:00Z") && line.contains("3599 s apart"), "{line}");
        let error = skewed.told(Subject { verb: "list", endpoint: "http://h", bucket: "b", key: "" });
        assert!(error.hint().is_some_and(|hint| hint.contains("clock")), "{error:?}");
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for status in [429, 500, 502, 503, 504, 507, 509, 522, 599] {
            assert!(failure(status, "").passes(), "{status}");
        }
        for status in [301, 400, 401, 403, 404, 405, 408, 409, 411, 412, 413, 416, 501, 505] {
            assert!(!failure(status, "").passes(), "{status}");
        }
        assert!(Failure::late(Duration::from_secs(1)).passes());
        assert!(!Failure { message: "invalid peer certificate: UnknownIssuer".to_owned(), ..Failure::default() }.passes());
    }
}
