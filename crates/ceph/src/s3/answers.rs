//! What answers of the client library say, in our types.

use std::collections::HashMap;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::{EncodingType, ServerSideEncryption};
use backup_core::{Error, Result};

use super::said::headers;
use super::{Head, Object, Page, etag, text};

/// A page of a listing of `bucket`.
pub(super) fn page(answer: &ListObjectsV2Output, bucket: &str, prefix: &str) -> Result<Page> {
    let is_url = answer.encoding_type() == Some(&EncodingType::Url);
    let plain = |key: Option<&str>| {
        let key = key.ok_or_else(|| Error::failed("the listing has a line without a key"))?;
        if is_url { text::decoded(key) } else { Ok(key.to_owned()) }
    };
    let object = |object: &aws_sdk_s3::types::Object| {
        let size = object.size().and_then(|size| u64::try_from(size).ok());
        Ok(Object {
            key: plain(object.key())?,
            size: size.ok_or_else(|| Error::failed("the listing has an object without a size"))?,
            etag: unquoted(object.e_tag()),
            modified: text::time(object.last_modified()),
            storage_class: object.storage_class().map(|class| class.as_str().to_owned()),
        })
    };
    let next = answer.next_continuation_token().map(str::to_owned);
    if answer.is_truncated().is_none() {
        return Err(Error::failed(format!("the listing of s3://{bucket}/{prefix} breaks off")));
    }
    if answer.is_truncated() == Some(true) && next.is_none() {
        return Err(Error::failed(format!("the listing of s3://{bucket}/{prefix} breaks off: the server names no next page")));
    }
    Ok(Page {
        objects: answer.contents().iter().map(object).collect::<Result<_>>()?,
        prefixes: answer.common_prefixes().iter().map(|prefix| plain(prefix.prefix())).collect::<Result<_>>()?,
        next: next.filter(|_| answer.is_truncated() == Some(true)),
    })
}

/// What is known of an object, by an answer without its bytes. None if it does not say how big it is.
pub(super) fn head(answer: &HeadObjectOutput) -> Option<Head> {
    let is_md5 = is_md5(answer.server_side_encryption(), answer.sse_customer_algorithm());
    Some(Head {
        size: answer.content_length().and_then(|size| u64::try_from(size).ok())?,
        etag: unquoted(answer.e_tag()),
        md5: etag::digest(&unquoted(answer.e_tag())).filter(|_| is_md5),
        modified: text::time(answer.last_modified()),
        content_type: answer.content_type().map(str::to_owned),
        headers: headers!(answer),
        storage_class: answer.storage_class().map(|class| class.as_str().to_owned()),
        metadata: sorted(answer.metadata()),
    })
}

/// The same, by an answer with its bytes or a range of them.
pub(super) fn head_of_body(answer: &GetObjectOutput) -> Option<Head> {
    let is_md5 = is_md5(answer.server_side_encryption(), answer.sse_customer_algorithm());
    let size = match answer.content_range() {
        Some(range) => text::whole(range),
        None => answer.content_length().and_then(|size| u64::try_from(size).ok()),
    };
    Some(Head {
        size: size?,
        etag: unquoted(answer.e_tag()),
        md5: etag::digest(&unquoted(answer.e_tag())).filter(|_| is_md5),
        modified: text::time(answer.last_modified()),
        content_type: answer.content_type().map(str::to_owned),
        headers: headers!(answer),
        storage_class: answer.storage_class().map(|class| class.as_str().to_owned()),
        metadata: sorted(answer.metadata()),
    })
}

/// An ETag without its quotes.
pub(super) fn unquoted(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}

/// Whether the ETag of an object that is encrypted so is the MD5 of its bytes.
pub(super) fn is_md5(encryption: Option<&ServerSideEncryption>, customer: Option<&str>) -> bool {
    customer.is_none() && encryption.is_none_or(|encryption| *encryption == ServerSideEncryption::Aes256)
}

/// The ETag of what was stored, if it is what it must be.
pub(super) fn stored(etag: String, expected: Option<String>, bucket: &str, key: &str) -> Result<String> {
    match expected {
        Some(expected) if expected != etag => {
            let told =
                format!("the server stored other bytes as s3://{bucket}/{key} than it was sent: {etag} instead of {expected}");
            Err(Error::damaged(told).with_hint("run it again, and look for what changes bytes between here and there"))
        }
        _ => Ok(etag),
    }
}

fn sorted(metadata: Option<&HashMap<String, String>>) -> Vec<(String, String)> {
    let mut sorted: Vec<_> = metadata.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect();
    sorted.sort_unstable();
    sorted
}

#[cfg(test)]
mod tests {
    use backup_core::Kind;

    use super::*;

    #[test]
    fn an_etag_is_compared_where_it_is_an_md5() {
        assert!(is_md5(None, None) && is_md5(Some(&ServerSideEncryption::Aes256), None));
        assert!(!is_md5(Some(&ServerSideEncryption::AwsKms), None) && !is_md5(None, Some("AES256")));
        assert_eq!(stored("e".to_owned(), Some("e".to_owned()), "b", "k").expect("the same"), "e");
        assert_eq!(stored("e".to_owned(), None, "b", "k").expect("nothing tells"), "e");
        assert_eq!(stored("e".to_owned(), Some("f".to_owned()), "b", "k").expect_err("others").kind(), Kind::Damaged);
    }

    #[test]
    fn a_page_says_whether_another_follows() {
        let answer = || ListObjectsV2Output::builder().encoding_type(EncodingType::Url);
        let read = |answer: ListObjectsV2Output| page(&answer, "b", "").map(|page| page.next);
        assert_eq!(read(answer().is_truncated(false).build()).expect("the last"), None);
        let next = answer().is_truncated(true).next_continuation_token("n").build();
        assert_eq!(read(next).expect("a page").as_deref(), Some("n"));
        assert!(read(answer().build()).is_err(), "it does not say");
        assert!(read(answer().is_truncated(true).build()).is_err(), "it names no next page");
        assert_eq!(read(answer().is_truncated(false).next_continuation_token("n").build()).expect("the last"), None);
    }
}
