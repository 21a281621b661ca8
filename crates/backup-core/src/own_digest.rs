//! JSON that ends in the digest of everything before it, so that one changed byte shows.

use crate::{Error, Result, Sha256};

/// The line that ends it.
const LINE: &str = "\n,\"own_sha256\": \"";

/// Adds the digest to a JSON object.
pub(crate) fn seal(mut json: String) -> Vec<u8> {
    json.truncate(json.trim_end().trim_end_matches('}').trim_end().len());
    let digest = Sha256::of(&json);
    // In place: a manifest can be large.
    json.push_str(&format!("{LINE}{digest}\"\n}}\n"));
    json.into_bytes()
}

/// The text, if its digest is right; `what` names it: `the manifest`.
pub(crate) fn open<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::damaged(format!("{what} is not UTF-8")))?;
    let broken = || Error::damaged(format!("{what} does not end in its digest"));
    let (body, end) = text.rsplit_once(LINE).ok_or_else(broken)?;
    let digest: Sha256 = end.strip_suffix("\"\n}\n").and_then(|digest| digest.parse().ok()).ok_or_else(broken)?;
    if Sha256::of(body) != digest {
        return Err(Error::damaged(format!("{what} is not what was written: its digest differs")));
    }
    Ok(text)
}
