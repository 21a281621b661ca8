//! How bytes are compressed and encrypted on their way to a sink, and opened on the way back.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use age::DecryptError;
use age::secrecy::{ExposeSecret, SecretString};
use async_compression::Level;
use async_compression::tokio::bufread::{GzipDecoder, GzipEncoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio_util::compat::{
    FuturesAsyncReadCompatExt, FuturesAsyncWriteCompatExt, TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt,
};

use crate::body::{self, Body, CHUNK};
use crate::checked::{nonempty, worded};
use crate::{Error, Result, frames};

/// scrypt's work factor: N = 2^18, a quarter of a gigabyte and about a second. What age itself takes on today's machines.
const WORK: u8 = 18;
/// The most work that a stored key may ask of us.
const MOST_WORK: u8 = 20;
/// The largest window of a zstd frame that is opened: 2^27 bytes, as the `zstd` program does.
const WINDOW: u32 = 27;

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
    /// Tried if no identity fits.
    pub passphrase: Option<Passphrase>,
}

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

/// An age X25519 recipient: `age1…`.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(age::x25519::Recipient);

/// An age X25519 identity, a secret: `AGE-SECRET-KEY-1…`. Never printed.
#[derive(Clone)]
pub struct Identity(age::x25519::Identity);

/// A passphrase, a secret. Never printed, and wiped from memory.
#[derive(Clone)]
pub struct Passphrase(SecretString);

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

    fn suffix(self) -> &'static str {
        match self {
            Self::Zstd(_) => ".zst",
            Self::Gzip(_) => ".gz",
            Self::None => "",
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

impl FromStr for Recipient {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse().map(Self).map_err(|_| {
            Error::usage(format!("{text:?} is not an age recipient"))
                .with_hint("recipients look like age1…; age-keygen makes them")
        })
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Identity {
    /// A fresh one.
    pub fn generate() -> Self {
        Self(age::x25519::Identity::generate())
    }

    /// What is sealed to this is opened by the identity.
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }

    /// The identities of a file such as age-keygen writes: one a line, `#` begins a comment. No error shows the text.
    pub fn parse_file(text: &str) -> Result<Vec<Self>> {
        let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let identities = lines.map(|(nth, line)| {
            let wrong = |_| Error::usage(format!("line {} of the identity file is not an age identity", nth + 1));
            line.parse().map(Self).map_err(wrong)
        });
        let identities = identities.collect::<Result<Vec<_>>>()?;
        if identities.is_empty() {
            return Err(Error::usage("the identity file has no identity in it").with_hint("age-keygen makes one"));
        }
        Ok(identities)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

impl Passphrase {
    /// Takes a passphrase; it cannot be empty.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = SecretString::from(text.into());
        if text.expose_secret().is_empty() { Err(Error::usage("a passphrase cannot be empty")) } else { Ok(Self(text)) }
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
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
        if let Some(Passphrase(passphrase)) = self.passphrase.clone() {
            let identity = Identity::generate();
            recipients.push(identity.recipient());
            key = Some(blocking(move || lock(passphrase, &identity)).await??);
        }
        Ok((Sealer { compression: self.compression, recipients }, key))
    }
}

impl Unseal {
    /// Whether there is anything to try.
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty() && self.passphrase.is_none()
    }

    /// Makes what opens the parts of one backup. `key` is the file that a passphrase opens.
    pub(crate) async fn opener(&self, compression: &str, encryption: Option<&str>, key: Option<Vec<u8>>) -> Result<Opener> {
        let unknown = |what: &str, name: &str| {
            Error::failed(format!("the backup has {what} {name:?}, which this program does not know"))
                .with_hint("use the version of the program that wrote it, or a newer one")
        };
        let known = [Compression::default(), Compression::Gzip(6), Compression::None];
        let compression =
            known.into_iter().find(|known| known.name() == compression).ok_or_else(|| unknown("compression", compression))?;
        let identities = match encryption {
            None => None,
            Some("age") => {
                let mut identities = self.identities.clone();
                if let (Some(Passphrase(passphrase)), Some(key)) = (self.passphrase.clone(), key) {
                    identities.extend(blocking(move || unlock(passphrase, &key)).await??);
                }
                Some(identities.into())
            }
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
        let body = match self.compression {
            Compression::Zstd(level) => frames::compressed(body, level),
            Compression::Gzip(level) => {
                let reader = BufReader::with_capacity(CHUNK, body);
                body::sound(GzipEncoder::with_quality(reader, Level::Precise(level)))
            }
            Compression::None => body,
        };
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
        if self.compression == Compression::None {
            return body;
        }
        // The decoders pass an empty stream off as an empty part; no encoder writes one.
        let body = nonempty(body);
        let reader = BufReader::with_capacity(CHUNK, body);
        let wording = move |error| Error::damaged(format!("{what} cannot be decompressed")).with_source(error);
        if matches!(self.compression, Compression::Gzip(_)) {
            let mut decoder = GzipDecoder::new(reader);
            decoder.multiple_members(true);
            worded(decoder, wording)
        } else {
            let mut decoder = ZstdDecoder::with_params(reader, &[DParameter::window_log_max(WINDOW)]);
            decoder.multiple_members(true);
            worded(decoder, wording)
        }
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

/// Seals `identity`, in the form of an identity file, with the passphrase.
fn lock(passphrase: SecretString, identity: &Identity) -> Result<Vec<u8>> {
    let failed = |error: io::Error| Error::failed("failed to seal the key").with_source(error);
    let mut recipient = age::scrypt::Recipient::new(passphrase);
    recipient.set_work_factor(WORK);
    let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as _))
        .map_err(|error| Error::failed("failed to seal the key").with_source(error))?;
    let mut sealed = Vec::new();
    let mut writer = encryptor.wrap_output(&mut sealed).map_err(failed)?;
    writer.write_all(identity.0.to_string().expose_secret().as_bytes()).map_err(failed)?;
    writer.write_all(b"\n").map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(sealed)
}

/// Opens what [`lock`] sealed. Its bytes are sound, so what goes wrong is the passphrase.
fn unlock(passphrase: SecretString, key: &[u8]) -> Result<Vec<Identity>> {
    let wrong =
        || Error::failed("the passphrase does not open the backup").with_hint("use the one that the backup was taken with");
    let mut identity = age::scrypt::Identity::new(passphrase);
    identity.set_max_work_factor(MOST_WORK);
    let opened = age::Decryptor::new(key).and_then(|decryptor| decryptor.decrypt(std::iter::once(&identity as _)));
    let mut reader = opened.map_err(|error| match error {
        DecryptError::ExcessiveWork { .. } => Error::damaged("the key of the backup asks for more work than is reasonable"),
        _ => wrong(),
    })?;
    // Enough for any identity file of ours, so that the text never moves while it grows.
    let mut text = zeroize::Zeroizing::new(String::with_capacity(4096));
    reader.by_ref().take(4096).read_to_string(&mut text).map_err(|_| wrong())?;
    Identity::parse_file(&text)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::failed("failed to derive a key").with_source(error))
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
        let opener = unseal.opener(seal.compression.name(), seal.encrypts().then_some("age"), key).await?;
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

    #[test]
    fn an_identity_file_is_read_and_never_shown() {
        let identity = Identity::generate();
        let secret = identity.0.to_string();
        let text = format!("# public key: {}\n\n{}\n", identity.recipient(), secret.expose_secret());
        assert_eq!(Identity::parse_file(&text).expect("a file").len(), 1);
        let error = Identity::parse_file(&text.replace("SECRET", "SECRE")).expect_err("not one");
        assert!(!format!("{error:?}").contains("AGE-"), "a secret was printed");
        assert!(Identity::parse_file("# none\n").is_err());
    }
}
