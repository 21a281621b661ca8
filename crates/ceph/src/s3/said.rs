//! What is said of an object: on requests that make it, and in answers of the client library.

use std::collections::HashMap;

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};

use super::New;

/// Says on a request what `new` says of the object that it makes.
macro_rules! said {
    ($request:expr, $new:expr) => {{
        let new: &$crate::s3::New = $new;
        let headers = new.headers.clone();
        $request
            .set_content_type(new.content_type.clone())
            .set_storage_class(new.storage_class.as_deref().map(aws_sdk_s3::types::StorageClass::from))
            .set_cache_control(headers.cache_control)
            .set_content_disposition(headers.content_disposition)
            .set_content_encoding(headers.content_encoding)
            .set_content_language(headers.content_language)
            .set_expires(headers.expires.as_deref().and_then($crate::s3::said::time))
            .set_metadata($crate::s3::said::metadata(new))
    }};
}

/// What an answer says to whoever fetches the object.
macro_rules! headers {
    ($answer:expr) => {
        $crate::s3::Headers {
            cache_control: $answer.cache_control().map(str::to_owned),
            content_disposition: $answer.content_disposition().map(str::to_owned),
            content_encoding: $answer.content_encoding().map(str::to_owned),
            content_language: $answer.content_language().map(str::to_owned),
            expires: $answer.expires_string().filter(|text| $crate::s3::said::time(text).is_some()).map(str::to_owned),
        }
    };
}

pub(super) use {headers, said};

/// A time as HTTP has it. The library takes no other.
pub(super) fn time(text: &str) -> Option<DateTime> {
    DateTime::from_str(text, DateTimeFormat::HttpDate).ok()
}

/// The metadata, as the library takes them.
pub(super) fn metadata(new: &New) -> Option<HashMap<String, String>> {
    (!new.metadata.is_empty()).then(|| new.metadata.iter().cloned().collect())
}
