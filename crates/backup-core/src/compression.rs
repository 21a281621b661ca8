//! How parts are compressed.

use std::str::FromStr;
use std::sync::Arc;

use async_compression::Level;
use async_compression::tokio::bufread::{GzipDecoder, GzipEncoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use tokio::io::BufReader;

use crate::body::{self, Body, CHUNK};
use crate::checked::{nonempty, worded};
use crate::{Error, Result, frames};

/// The largest window of a zstd frame that is opened: 2^27 bytes, as the `zstd` program does.
const WINDOW: u32 = 27;

/// How parts are compressed. As text `zstd`, `zstd:19`, `gzip`, `gzip:9` or `none`; by default zstd at level 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Zstandard with checksums, levels 1 to 22.
    Zstd(i32),
    /// gzip, levels 1 to 9.
    Gzip(i32),
    /// Not at all.
    None,
}

impl Default for Compression {
    fn default() -> Self {
        Self::Zstd(1)
    }
}

impl Compression {
    /// Its name in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd(_) => "zstd",
            Self::Gzip(_) => "gzip",
            Self::None => "none",
        }
    }

    /// What it appends to the name of a file.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Zstd(_) => ".zst",
            Self::Gzip(_) => ".gz",
            Self::None => "",
        }
    }

    /// `body` as it is stored.
    pub fn compress(self, body: Body) -> Body {
        match self {
            Self::Zstd(level) => frames::compressed(body, level),
            Self::Gzip(level) => {
                let reader = BufReader::with_capacity(CHUNK, body);
                body::sound(GzipEncoder::with_quality(reader, Level::Precise(level)))
            }
            Self::None => body,
        }
    }

    /// `body`, which is called `what`, as it was before. What is wrong with its bytes is [`Kind::Damaged`](crate::Kind::Damaged).
    pub fn decompress(self, body: Body, what: Arc<str>) -> Body {
        // The decoders pass an empty stream off as an empty part; no encoder writes one.
        let reader = |body| BufReader::with_capacity(CHUNK, nonempty(body));
        let wording = move |error| Error::damaged(format!("{what} cannot be decompressed")).with_source(error);
        match self {
            Self::Zstd(_) => {
                let mut decoder = ZstdDecoder::with_params(reader(body), &[DParameter::window_log_max(WINDOW)]);
                decoder.multiple_members(true);
                worded(decoder, wording)
            }
            Self::Gzip(_) => {
                let mut decoder = GzipDecoder::new(reader(body));
                decoder.multiple_members(true);
                worded(decoder, wording)
            }
            Self::None => body,
        }
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, level) = text.split_once(':').map_or((text, None), |(name, level)| (name, Some(level.parse())));
        match (name, level) {
            ("zstd", None) => Ok(Self::default()),
            ("zstd", Some(Ok(level @ 1..=22))) => Ok(Self::Zstd(level)),
            ("gzip", None) => Ok(Self::Gzip(6)),
            ("gzip", Some(Ok(level @ 1..=9))) => Ok(Self::Gzip(level)),
            ("none", None) => Ok(Self::None),
            _ => Err(Error::usage(format!("{text:?} is no compression"))
                .with_hint("use zstd, zstd:1 to zstd:22, gzip, gzip:1 to gzip:9, or none")),
        }
    }
}
