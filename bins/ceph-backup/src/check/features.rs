//! What keys may do in a bucket, and what the gateway can do: each is tried with objects that are removed again.

use backup_ceph::{Gateway, Listing, New, SharedGateway};
use backup_cli::Face;
use backup_core::{Error, Kind, Result};
use bytes::Bytes;
use jiff::Timestamp;
use tokio::io::AsyncReadExt;

use super::{good, tell, words};

/// Clocks that are further apart are told, in seconds; from 15 minutes on a gateway refuses.
const APART: u64 = 60;

/// What the trial object has in it.
const SAYS: &[u8] = b"Stored by ceph-backup check, which removes it.\n";

/// Tries everything; an error if something fails that a sync needs.
pub(super) async fn check(face: &Face, gateway: &SharedGateway, bucket: &str, prefix: &str, read_only: bool) -> Result<()> {
    let listing = Listing { prefix: prefix.to_owned(), most: Some(1), ..Listing::default() };
    let page = face.cx.unless_cancelled(gateway.list(bucket, &listing, None)).await?;
    good(face, "list", &format!("s3://{bucket}/{prefix} can be listed"))?;
    if let Some(object) = page.objects.first() {
        let get = async {
            let (_, mut body) = gateway.get(bucket, &object.key, None, None).await?;
            body.read(&mut [0; 1]).await.map_err(Error::from)
        };
        face.cx.unless_cancelled(get).await?;
        good(face, "get", "objects in it can be read")?;
    }
    if read_only {
        return Ok(());
    }
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%S%.6fZ").to_string();
    let folder = prefix.rfind('/').and_then(|slash| prefix.get(..=slash)).unwrap_or_default();
    let key = format!("{folder}.ceph-backup/check/{now}");
    let mut trial = Trial { face, gateway: &**gateway, bucket, copy: format!("{key}-copy"), key, missing: Vec::new() };
    let tried = trial.all().await;
    // Awaited also after an interruption: nothing is to stay.
    let removed = trial.remove().await;
    tried?;
    trial.told("delete", true, "objects can be deleted", removed)?;
    if trial.missing.is_empty() {
        return Ok(());
    }
    Err(Error::failed(format!("s3://{bucket} is not good for every sync: {}", trial.missing.join(", ")))
        .with_hint("ask whoever runs the server for these rights"))
}

struct Trial<'a> {
    face: &'a Face,
    gateway: &'a dyn Gateway,
    bucket: &'a str,
    key: String,
    copy: String,
    /// What a sync needs and did not work.
    missing: Vec<&'static str>,
}

impl Trial<'_> {
    async fn all(&mut self) -> Result<()> {
        let Self { face, gateway, bucket, .. } = *self;
        let (key, copy) = (self.key.clone(), self.copy.clone());
        let bytes = || Bytes::from_static(SAYS);
        let absent = New { only_if_absent: true, ..New::default() };
        let before = Timestamp::now();
        let put = face.cx.unless_cancelled(async { gateway.put(bucket, &key, bytes(), &absent).await.map(drop) }).await;
        if !self.told("put", true, "objects can be stored", put)? {
            // Nothing of the rest can be tried.
            return Ok(());
        }
        let head = face.cx.unless_cancelled(gateway.head(bucket, &key)).await?;
        self.told("clocks", false, "this machine's and the server's agree", clocks(before, head.modified, Timestamp::now()))?;

        let again = face.cx.unless_cancelled(gateway.put(bucket, &key, bytes(), &absent)).await;
        let kept = match again {
            Err(error) if error.kind() == Kind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(Error::failed("the server replaced an object that was to stay: pg-backup refuses this bucket")
                .with_hint("a sync works; two that store the same key at once replace each other's object")),
        };
        self.told("if-none-match", false, "what is there is not replaced where it is to stay", kept)?;

        let range = async {
            let (_, mut body) = gateway.get(bucket, &key, Some(7..9), None).await?;
            let mut read = Vec::new();
            body.read_to_end(&mut read).await?;
            if Some(read.as_slice()) == SAYS.get(7..9) {
                Ok(())
            } else {
                Err(Error::damaged("another part came than was asked for"))
            }
        };
        let range = face.cx.unless_cancelled(range).await;
        self.told("range", false, "a download that broke off can go on where it broke", range)?;

        let named = New { metadata: vec![("check".to_owned(), "1".to_owned())], ..New::default() };
        let copied = async {
            gateway.copy((bucket, &key), (bucket, &copy), Some(&named)).await?;
            let head = gateway.head(bucket, &copy).await?;
            if head.metadata == named.metadata {
                Ok(())
            } else {
                Err(Error::failed("the copy has other metadata than was said"))
            }
        };
        let copied = face.cx.unless_cancelled(copied).await;
        self.told("copy", true, "the server copies objects, as the trash needs it", copied)?;

        let parts = async {
            let upload = gateway.begin(bucket, &copy, &New::default()).await?;
            let stored = async {
                let etag = gateway.part(bucket, &copy, &upload, 1, bytes()).await?;
                gateway.complete(bucket, &copy, &upload, &[(1, etag)]).await
            };
            match stored.await {
                Ok(_) => Ok(()),
                Err(error) => gateway.abort(bucket, &copy, &upload).await.and(Err(error)),
            }
        };
        let parts = face.cx.unless_cancelled(parts).await;
        self.told("multipart", true, "large objects can be stored in parts", parts)?;
        Ok(())
    }

    async fn remove(&self) -> Result<()> {
        for key in [&self.copy, &self.key] {
            self.gateway.delete(self.bucket, key).await?;
        }
        Ok(())
    }

    /// Tells how it went, and whether it went well. An interruption ends it.
    fn told(&mut self, what: &'static str, is_needed: bool, says: &str, tried: Result<()>) -> Result<bool> {
        match tried {
            Ok(()) => good(self.face, what, says).map(|()| true),
            Err(error) if error.kind() == Kind::Cancelled => Err(error),
            Err(error) => {
                if is_needed {
                    self.missing.push(what);
                }
                tell(self.face, false, what, &words(&error)).map(|()| false)
            }
        }
    }
}

/// Whether the server's time, of something that it did between two of this machine's, is near them.
fn clocks(before: Timestamp, server: Option<Timestamp>, after: Timestamp) -> Result<()> {
    let Some(server) = server else { return Err(Error::failed("the server does not say when it stored the object")) };
    let early = before.as_second().saturating_sub(server.as_second());
    let late = server.as_second().saturating_sub(after.as_second());
    let apart = u64::try_from(early.max(late)).unwrap_or(0);
    if apart <= APART {
        return Ok(());
    }
    let (which, than) = if early > late {
        ("behind", "it refuses requests from 900 s on")
    } else {
        ("ahead of", "from 900 s on it refuses requests")
    };
    Err(Error::failed(format!("the server's clock is {apart} s {which} this machine's: {than}"))
        .with_hint("set the clock that is wrong"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_agree_within_a_minute_of_the_time_that_passed() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let told = |server| clocks(at(1000), Some(at(server)), at(1110)).map_err(|error| error.chain());
        for good in [940, 1000, 1110, 1170] {
            assert_eq!(told(good), Ok(()));
        }
        for (server, says) in [(930, "70 s behind"), (1171, "61 s ahead of")] {
            assert!(told(server).expect_err(says).contains(says));
        }
        assert!(clocks(at(0), None, at(0)).is_err());
    }
}
