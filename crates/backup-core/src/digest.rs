//! Size and SHA-256 of bytes, taken while they pass.

use std::pin::Pin;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use tokio::io::{AsyncRead, ReadBuf};

use crate::{Error, Result};

/// A SHA-256 digest; as text 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The digest of `bytes`.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(sha2::Sha256::digest(bytes.as_ref()).into())
    }
}

impl From<sha2::Sha256> for Sha256 {
    fn from(hasher: sha2::Sha256) -> Self {
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256 {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::damaged(format!("{text:?} is not a SHA-256 digest"));
        let mut digest = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(wrong());
        }
        for (byte, digits) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(digest))
    }
}

impl TryFrom<String> for Sha256 {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Sha256> for String {
    fn from(digest: Sha256) -> String {
        digest.to_string()
    }
}

/// How many bytes have passed through a [`Tallying`] reader and what their digest is so far.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Mutex<(u64, sha2::Sha256)>>);

impl Tally {
    /// A reader that passes on what `reader` reads and counts it here.
    pub fn of<R: AsyncRead + Unpin>(&self, reader: R) -> Tallying<R> {
        Tallying { reader, tally: self.clone() }
    }

    /// Size in bytes and digest of what has passed.
    pub fn get(&self) -> (u64, Sha256) {
        let sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (sums.0, Sha256(sums.1.clone().finalize().into()))
    }

    fn add(&self, bytes: &[u8]) {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sums.0 += bytes.len() as u64;
        sums.1.update(bytes);
    }
}

/// A reader whose bytes are counted in a [`Tally`].
#[derive(Debug)]
pub struct Tallying<R> {
    reader: R,
    tally: Tally,
}

impl<R: AsyncRead + Unpin> AsyncRead for Tallying<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.reader).poll_read(cx, buf))?;
        this.tally.add(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}
