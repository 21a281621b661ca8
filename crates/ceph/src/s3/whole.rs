//! An answer in XML that breaks off is an error: the client library takes the half of a page for a page.

use aws_sdk_s3::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

/// Refuses answers that do not end as they began.
#[derive(Debug)]
pub(super) struct Whole;

impl Intercept for Whole {
    fn name(&self) -> &'static str {
        "Whole"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // The body of an object is not held in memory, and so not looked at.
        match context.response().body().bytes() {
            Some(body) if is_cut(body) => Err("the answer breaks off".into()),
            _ => Ok(()),
        }
    }
}

/// Whether this is XML whose first element is not closed at its end.
fn is_cut(body: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(body) else { return false };
    let text = text.trim();
    if !text.starts_with('<') {
        return false;
    }
    let mut tags = text.split('<').skip(1).filter(|tag| !tag.starts_with(['?', '!']));
    let Some(root) = tags.next() else { return true };
    let name = root.split(|c: char| c.is_whitespace() || c == '>' || c == '/').next().unwrap_or_default();
    let is_empty = root.ends_with("/>") && tags.next().is_none();
    !is_empty && !text.ends_with(&format!("</{name}>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_is_whole_only_at_its_end() {
        for whole in ["<?xml version=\"1.0\"?>\n<R a=\"b\"><K>x</K></R>\n", "<R><K/></R>", "<R/>", "<R></R>"] {
            assert!(!is_cut(whole.as_bytes()), "{whole}");
            for end in 1..whole.trim_end().len() {
                assert!(is_cut(&whole.as_bytes()[..end]), "{whole} cut after {end}");
            }
        }
        for other in [b"".as_slice(), b"no XML", b"<\xff", b"{}"] {
            assert!(!is_cut(other));
        }
    }
}
