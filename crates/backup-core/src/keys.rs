//! Who can open a backup: recipients and identities of age, and passphrases that seal an identity.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use age::DecryptError;
use age::secrecy::{ExposeSecret, SecretString};

use crate::{Error, Result};

/// scrypt's work factor: N = 2^18, a quarter of a gigabyte and about a second. What age itself takes on today's machines.
const WORK: u8 = 18;
/// The most work that a stored key may ask of us.
const MOST_WORK: u8 = 20;
/// An age X25519 recipient: `age1…`.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(pub(crate) age::x25519::Recipient);

/// An age X25519 identity, a secret: `AGE-SECRET-KEY-1…`. Never printed.
#[derive(Clone)]
pub struct Identity(pub(crate) age::x25519::Identity);

/// A passphrase, a secret. Never printed, and wiped from memory.
#[derive(Clone)]
pub struct Passphrase(SecretString);

impl FromStr for Recipient {
    type Err = Error;

    /// No error shows the text: it may be an identity, a secret, in the wrong place.
    fn from_str(text: &str) -> Result<Self> {
        text.parse().map(Self).map_err(|_| {
            let is_secret = text.trim_start().get(..10).is_some_and(|start| start.eq_ignore_ascii_case("AGE-SECRET"));
            Error::usage("what was given is not an age recipient").with_hint(if is_secret {
                "it is an identity, which is secret: give the recipient that belongs to it, age1…"
            } else {
                "recipients look like age1…; age-keygen makes them"
            })
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

    /// Seals `identity`, in the form of an identity file, with it.
    pub(crate) async fn lock(&self, identity: Identity) -> Result<Vec<u8>> {
        let passphrase = self.0.clone();
        blocking(move || lock(passphrase, &identity)).await?
    }

    /// Opens what [`lock`](Self::lock) sealed, whose bytes are sound: what goes wrong is the passphrase.
    pub(crate) async fn unlock(&self, key: Vec<u8>) -> Result<Vec<Identity>> {
        let passphrase = self.0.clone();
        blocking(move || unlock(passphrase, &key)).await?
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

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

    #[test]
    fn a_secret_in_the_place_of_a_recipient_is_never_shown() {
        let secret = Identity::generate().0.to_string();
        let secret = secret.expose_secret();
        for text in [secret.to_owned(), secret.to_lowercase(), format!(" {secret}"), "age1x".into(), "Aä-äääääääää".into()]
        {
            let error = text.parse::<Recipient>().expect_err("no recipient");
            assert_eq!(error.kind(), Kind::Usage);
            let is_secret = text.to_uppercase().contains("AGE-SECRET");
            assert_eq!(error.hint().is_some_and(|hint| hint.contains("is secret")), is_secret, "{text}");
            assert!(!format!("{error:?}").to_uppercase().contains(&text.trim().to_uppercase()), "a secret was printed");
        }
    }
}
