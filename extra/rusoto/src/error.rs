//! What rusoto says when a request fails, in the kinds that callers treat differently.

use backup_core::{Error, Kind};
use rusoto_core::RusotoError;

/// Whether the same request may be answered if it is made again.
pub(crate) fn may_pass<E>(error: &RusotoError<E>) -> bool {
    match error {
        RusotoError::HttpDispatch(_) => true,
        RusotoError::Unknown(answer) => answer.status.as_u16() == 429 || answer.status.is_server_error(),
        _ => false,
    }
}

/// The error of a request that failed for good.
pub(crate) fn failed<E: std::error::Error + Send + Sync + 'static>(what: String, error: RusotoError<E>) -> Error {
    match error {
        // What S3 names in the description of a call is that something is not there.
        RusotoError::Service(error) => Error::new(Kind::NotFound, what).with_source(error),
        RusotoError::Unknown(answer) => {
            let body = answer.body_as_str();
            let within = |open: &str, close: &str| Some(body.split_once(open)?.1.split_once(close)?.0.to_owned());
            let code = within("<Code>", "</Code>").unwrap_or_default();
            let kind = match (answer.status.as_u16(), code.as_str()) {
                (404, _) => Kind::NotFound,
                (412, _) | (_, "BucketAlreadyExists" | "BucketAlreadyOwnedByYou") => Kind::AlreadyExists,
                _ => Kind::Failed,
            };
            Error::new(kind, what).with_source(format!("the server answers {} {code}", answer.status.as_u16()))
        }
        other => Error::failed(what).with_source(other),
    }
}
