//! What a client shows to be let in.

use std::fmt;
use std::str::FromStr;

use backup_core::{Error, Result, Sha256};
use subtle::ConstantTimeEq as _;

/// How short a token may be, in characters: 16 of them, drawn at random, are out of reach of guessing.
const SHORTEST: usize = 16;

/// A secret that lets a client ask for runs. Only its digest is kept.
#[derive(Clone)]
pub struct Token(Sha256);

impl Token {
    /// Whether the value of a header `Authorization` is `Bearer` and this token. Takes the same time whatever it says.
    pub(crate) fn is_shown_by(&self, authorization: &[u8]) -> bool {
        let shown = match authorization.split_at_checked(7) {
            Some((scheme, shown)) if scheme.eq_ignore_ascii_case(b"Bearer ") => shown.trim_ascii(),
            _ => return false,
        };
        let (shown, ours) = (Sha256::of(shown).to_string(), self.0.to_string());
        shown.as_bytes().ct_eq(ours.as_bytes()).into()
    }
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.len() < SHORTEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let hint = "take 16 or more letters and digits, as of `openssl rand -hex 16`";
            return Err(Error::usage("the token is too short or has characters that a header cannot hold").with_hint(hint));
        }
        Ok(Self(Sha256::of(text)))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lets_itself_in_and_nothing_else() {
        let token: Token = " 0123456789abcdef\n".parse().expect("a token");
        assert!(token.is_shown_by(b"Bearer 0123456789abcdef") && token.is_shown_by(b"bearer  0123456789abcdef "));
        let strangers: [&[u8]; 9] = [
            b"",
            b"Bearer",
            b"Bearer ",
            b"0123456789abcdef",
            b"Basic 0123456789abcdef",
            // As long a word, so that what follows is the token.
            b"Digest 0123456789abcdef",
            b"Bearer 0123456789abcde",
            b"Bearer 0123456789abcdeF",
            b"Bearer 0123456789abcdef0",
        ];
        for stranger in strangers {
            assert!(!token.is_shown_by(stranger), "{}", String::from_utf8_lossy(stranger));
        }
        assert_eq!(format!("{token:?}"), "…");
        for bad in ["", "0123456789abcde", "0123456789 abcdef", "0123456789abcdé0"] {
            assert!(!format!("{:?}", bad.parse::<Token>().expect_err(bad)).contains("0123"));
        }
    }
}
