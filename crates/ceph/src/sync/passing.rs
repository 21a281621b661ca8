//! Bytes on their way through a sync: counted, held to the pace, and compared with what they should be before their end is believed.

use std::io;
use std::sync::{Arc, OnceLock};

use backup_core::body::CHUNK;
use backup_core::{Body, Error, body};
use bytes::BytesMut;
use futures_util::stream;
use tokio::io::AsyncReadExt;
use tokio_util::io::StreamReader;

use super::content::{Check, Match};
use super::pace::Pace;

/// What was found out about the bytes of a body when it had ended.
pub(super) type Found = Arc<OnceLock<Match>>;

struct Passing {
    body: Body,
    size: u64,
    left: u64,
    check: Check,
    pace: Arc<Pace>,
    found: Found,
}

/// `body`, which ends well only after `size` bytes, and only if `check` does not say that they are others.
pub(super) fn passing(body: Body, size: u64, check: Check, pace: &Arc<Pace>) -> (Body, Found) {
    let found = Found::default();
    let state = Passing { body, size, left: size, check, pace: pace.clone(), found: found.clone() };
    let bytes = stream::try_unfold(state, async |mut state| {
        // Small ones take little, and a byte more shows that there is more.
        let mut bytes = BytesMut::with_capacity(usize::try_from(state.left).map_or(CHUNK, |left| CHUNK.min(left + 1)));
        let read = state.body.read_buf(&mut bytes).await?;
        if read == 0 {
            return state.end().map(|()| None).map_err(io::Error::from);
        }
        let left = state.left.checked_sub(read as u64);
        state.left = left.ok_or_else(|| Error::damaged(format!("it has more than {} bytes", state.size)))?;
        state.check.update(&bytes);
        state.pace.take(read).await;
        Ok(Some((bytes.freeze(), state)))
    });
    (body::sound(StreamReader::new(Box::pin(bytes))), found)
}

impl Passing {
    fn end(self) -> Result<(), Error> {
        if self.left > 0 {
            return Err(Error::damaged(format!("{} bytes are missing at its end", self.left)));
        }
        let content = self.check.finish();
        if content == Match::No {
            return Err(Error::damaged("its content has another MD5 than it should")
                .with_hint("run it again; if it fails again the object is damaged, or the server encrypts it"));
        }
        let _ = self.found.set(content);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use backup_core::testing::{body_contract, breaking};
    use backup_core::{Context, Kind};

    use super::super::attrs::Attrs;
    use super::*;

    const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";

    async fn pass(body: Body, size: u64, etag: &str) -> (backup_core::Result<Vec<u8>>, Option<Match>) {
        let pace = Arc::new(Pace::new(Context::default(), None));
        let (body, found) = passing(body, size, Check::new(etag, &Attrs::default(), size), &pace);
        (body_contract(body).await, found.get().copied())
    }

    #[tokio::test]
    async fn only_what_is_whole_and_the_same_comes_to_an_end() {
        let (read, found) = pass(body::from_bytes("abc"), 3, MD5).await;
        assert_eq!((read.expect("whole"), found), (b"abc".to_vec(), Some(Match::Yes)));
        assert_eq!(pass(body::from_bytes("abc"), 3, "odd-7").await.1, Some(Match::Unknown));
        for (body, size) in [("abc", 4), ("abc", 2), ("abd", 3), ("", 3), ("abc", 0)] {
            let (read, found) = pass(body::from_bytes(body), size, MD5).await;
            assert_eq!((read.expect_err(body).kind(), found), (Kind::Damaged, None), "{body} {size}");
        }
        assert!(pass(breaking(b"abc".to_vec(), 2), 3, MD5).await.0.is_err());
    }
}
