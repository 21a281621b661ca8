//! How bytes are compressed and encrypted on their way to a sink, and opened on the way back.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use age::DecryptError;
use tokio::io::AsyncWriteExt;
use tokio_util::compat::{
    FuturesAsyncReadCompatExt, FuturesAsyncWriteCompatExt, TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt,
};

use crate::body::{self, Body, CHUNK};
use crate::checked::worded;
use crate::{Compression, Error, Identity, Passphrase, Recipient, Result};

/// How parts are sealed: compressed, then encrypted if there is anyone to encrypt to.
#[derive(Debug, Clone, Default)]
pub struct Seal {
    /// The inner layer.
    pub compression: Compression,
    /// Whose identities open it.
    pub recipients: Vec<Recipient>,
    /// What opens it too, by a fresh identity per backup that it seals.
    pub passphrase: Option<Passphrase>,
}

/// What opens sealed parts. Empty: only what is not encrypted.
#[derive(Debug, Clone, Default)]
pub struct Unseal {
    /// Any of them may be the one.
    pub identities: Vec<Identity>,
    /// Tried if no identity fits, so that a passphrase of other backups is not in the way.
    pub passphrase: Option<Passphrase>,
}

impl Seal {
    /// Whether parts are encrypted.
    pub fn encrypts(&self) -> bool {
        !self.recipients.is_empty() || self.passphrase.is_some()
    }

    /// Makes what seals the parts of one backup, and the file that the passphrase opens, if there is one.
    pub(crate) async fn sealer(&self) -> Result<(Sealer, Option<Vec<u8>>)> {
        let mut recipients = self.recipients.clone();
        let mut key = None;
        if let Some(passphrase) = &self.passphrase {
            let identity = Identity::generate();
            recipients.push(identity.recipient());
            key = Some(passphrase.lock(identity).await?);
        }
        Ok((Sealer { compression: self.compression, recipients }, key))
    }
}

impl Unseal {
    /// Whether there is anything to try.
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty() && self.passphrase.is_none()
    }

    /// Makes what opens the parts of one backup with the identities. See [`Opener::with`] for those that a passphrase opens.
    pub(crate) fn opener(&self, compression: &str, encryption: Option<&str>) -> Result<Opener> {
        let unknown = |what: &str, name: &str| {
            Error::failed(format!("the backup has {what} {name:?}, which this program does not know"))
                .with_hint("use the version of the program that wrote it, or a newer one")
        };
        let known = [Compression::default(), Compression::Gzip(6), Compression::None];
        let compression =
            known.into_iter().find(|known| known.name() == compression).ok_or_else(|| unknown("compression", compression))?;
        let identities = match encryption {
            None => None,
            Some("age") => Some(self.identities.clone().into()),
            Some(other) => return Err(unknown("encryption", other)),
        };
        Ok(Opener { compression, identities, fits: Arc::default() })
    }
}

/// Seals the parts of one backup.
#[derive(Debug, Clone)]
pub(crate) struct Sealer {
    compression: Compression,
    recipients: Vec<Recipient>,
}

impl Sealer {
    /// What the seal appends to the name of a file: `.zst.age`.
    pub(crate) fn suffix(&self) -> String {
        let encrypted = if self.recipients.is_empty() { "" } else { ".age" };
        format!("{}{encrypted}", self.compression.suffix())
    }

    /// `body` as it is stored.
    pub(crate) fn seal(&self, body: Body) -> Body {
        let body = self.compression.compress(body);
        if self.recipients.is_empty() { body } else { encrypt(self.recipients.clone(), body) }
    }
}

/// Opens the parts of one backup.
#[derive(Clone)]
pub(crate) struct Opener {
    compression: Compression,
    identities: Option<Arc<[Identity]>>,
    /// Whether an identity has opened something of the backup: from then on it is not the key that is wrong.
    fits: Arc<AtomicBool>,
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("compression", &self.compression).finish_non_exhaustive()
    }
}

impl Opener {
    /// The same, that tries these identities only.
    pub(crate) fn with(self, identities: Vec<Identity>) -> Self {
        Self { identities: Some(identities.into()), ..self }
    }

    /// `body` as it was before it was sealed. Whatever is wrong with its bytes is [`Kind::Damaged`](crate::Kind::Damaged).
    pub(crate) fn open(&self, body: Body, what: &str) -> Body {
        // From here on an error without our words is one of a decoder.
        let what: Arc<str> = what.into();
        let reading = what.clone();
        let body = worded(body, move |error| Error::failed(format!("failed to read {reading}")).with_source(error));
        let body = match &self.identities {
            None => body,
            Some(identities) => decrypt(identities.clone(), self.fits.clone(), what.clone(), body),
        };
        self.compression.decompress(body, what)
    }
}

fn encrypt(recipients: Vec<Recipient>, mut body: Body) -> Body {
    body::piped(|writer| async move {
        let encryptor = age::Encryptor::with_recipients(recipients.iter().map(|recipient| &recipient.0 as _))
            .map_err(|error| Error::failed("failed to encrypt").with_source(error))?;
        let mut writer = encryptor.wrap_async_output(writer.compat_write()).await?.compat_write();
        let mut buffer = vec![0; CHUNK];
        loop {
            match tokio::io::AsyncReadExt::read(&mut body, &mut buffer).await? {
                0 => break,
                length => writer.write_all(&buffer[..length]).await?,
            }
        }
        // Writes the last chunk, which says that it is the last.
        Ok(writer.shutdown().await?)
    })
}

fn decrypt(identities: Arc<[Identity]>, fits: Arc<AtomicBool>, what: Arc<str>, body: Body) -> Body {
    body::piped(|mut writer| async move {
        let opened = async {
            let decryptor = age::Decryptor::new_async(body.compat()).await?;
            decryptor.decrypt_async(identities.iter().map(|identity| &identity.0 as _))
        };
        let reader = opened.await.map_err(|error| match error {
            DecryptError::Io(error) => damaged(&what, error),
            DecryptError::NoMatchingKeys if !fits.load(Ordering::Relaxed) => no_key(),
            error => Error::damaged(format!("{what} cannot be decrypted")).with_source(error),
        })?;
        fits.store(true, Ordering::Relaxed);
        let mut reader = worded(reader.compat(), move |error| damaged(&what, error));
        tokio::io::copy(&mut reader, &mut writer).await?;
        Ok(())
    })
}

/// Nothing that is at hand opens the backup.
pub(crate) fn no_key() -> Error {
    Error::failed("the backup is encrypted, and there is no key that opens it")
        .with_hint("give the identity of one of its recipients, or its passphrase")
}

fn damaged(what: &str, error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::damaged(format!("{what} cannot be decrypted")).with_source(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    async fn sealed(seal: &Seal, plain: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
        let (sealer, key) = seal.sealer().await.expect("a sealer");
        let body = sealer.seal(body::from_bytes(plain.to_vec()));
        (body::to_vec(body, u64::MAX).await.expect("sealed"), key)
    }

    async fn opened(unseal: &Unseal, seal: &Seal, key: Option<Vec<u8>>, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut opener = unseal.opener(seal.compression.name(), seal.encrypts().then_some("age"))?;
        if let (Some(passphrase), Some(key)) = (&unseal.passphrase, key) {
            opener = opener.with(passphrase.unlock(key).await?);
        }
        body::to_vec(opener.open(body::from_bytes(bytes.to_vec()), "x"), u64::MAX).await
    }

    fn seals() -> (Vec<Seal>, Unseal) {
        let identity = Identity::generate();
        let all = [Compression::default(), Compression::Gzip(6), Compression::None];
        let plain = all.map(|compression| Seal { compression, ..Seal::default() });
        let to = vec![Identity::generate().recipient(), identity.recipient()];
        let encrypted = plain.clone().map(|seal| Seal { recipients: to.clone(), ..seal });
        (plain.into_iter().chain(encrypted).collect(), Unseal { identities: vec![identity], passphrase: None })
    }

    #[tokio::test]
    async fn what_is_sealed_opens_again_whatever_its_size() {
        let (seals, unseal) = seals();
        for seal in &seals {
            for size in [0, 1, 1000, 65_535, 65_536, 65_537, 1 << 20, 3_000_000] {
                let plain: Vec<u8> = (0..size).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
                let (bytes, _) = sealed(seal, &plain).await;
                assert!(opened(&unseal, seal, None, &bytes).await.expect("opened") == plain, "{seal:?} with {size} bytes");
            }
        }
    }

    #[tokio::test]
    async fn several_members_are_one_stream() {
        for seal in &seals().0[..2] {
            let ((mut bytes, _), (second, _)) = (sealed(seal, b"first, ").await, sealed(seal, b"second").await);
            bytes.extend(second);
            assert_eq!(opened(&Unseal::default(), seal, None, &bytes).await.expect("opened"), b"first, second");
        }
    }

    #[tokio::test]
    async fn what_breaks_off_or_goes_on_is_damage() {
        let (seals, unseal) = seals();
        let plain: Vec<u8> = (0..200_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 21) as u8).collect();
        for seal in seals.iter().filter(|seal| seal.encrypts() || seal.compression != Compression::None) {
            let (bytes, _) = sealed(seal, &plain).await;
            for cut in [0, 1, 10, 100, bytes.len() / 2, bytes.len() - 1] {
                let error = opened(&unseal, seal, None, &bytes[..cut]).await.expect_err("it breaks off");
                assert_eq!(error.kind(), Kind::Damaged, "{seal:?} cut at {cut}: {error:?}");
            }
            let error = opened(&unseal, seal, None, &[&bytes[..], b"garbage"].concat()).await.expect_err("it goes on");
            assert_eq!(error.kind(), Kind::Damaged, "{seal:?}");
        }
    }

    #[tokio::test]
    async fn another_key_is_told_in_one_line() {
        let (seals, _) = seals();
        let other = Unseal { identities: vec![Identity::generate()], passphrase: None };
        let (bytes, _) = sealed(&seals[3], b"secret").await;
        let error = opened(&other, &seals[3], None, &bytes).await.expect_err("another key");
        assert_eq!((error.kind(), error.hint().is_some()), (Kind::Failed, true), "{error:?}");
    }

    #[tokio::test]
    async fn a_passphrase_opens_and_another_does_not() {
        let passphrase = |text: &str| Some(Passphrase::new(text).expect("a passphrase"));
        let seal = Seal { passphrase: passphrase("correct horse"), ..Seal::default() };
        let (bytes, key) = sealed(&seal, b"secret").await;
        let right = Unseal { identities: vec![], passphrase: passphrase("correct horse") };
        assert_eq!(opened(&right, &seal, key.clone(), &bytes).await.expect("opened"), b"secret");
        let wrong = Unseal { identities: vec![], passphrase: passphrase("battery staple") };
        let error = opened(&wrong, &seal, key, &bytes).await.expect_err("another passphrase");
        assert_eq!((error.kind(), error.hint().is_some()), (Kind::Failed, true), "{error:?}");
        assert!(!format!("{error:?} {wrong:?} {seal:?}").contains("horse"), "a secret was printed");
    }
}
