//! An authority of one test, and certificates that it vouches for.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// How keys are made: those of elliptic curves take no time.
const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

/// An authority, in a folder of its own.
#[derive(Debug)]
pub struct Authority {
    dir: TempDir,
}

impl Authority {
    /// Makes one.
    ///
    /// # Panics
    /// Without `openssl`.
    pub fn new() -> Self {
        let authority = Self { dir: tempfile::tempdir().expect("a temporary folder") };
        let name = authority.dir.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        authority.openssl(&format!("req -x509 {KEY} -days 2 -subj /CN={name} -keyout ca.key -out ca.crt"));
        authority
    }

    /// Its own certificate (PEM).
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.crt")
    }

    /// A file (PEM) with a certificate and its key. `subject` is as openssl has it, such as `/O=shop/CN=reader`; `names` are those that
    /// the certificate is for, such as `IP:127.0.0.1,DNS:localhost`.
    pub fn certificate(&self, subject: &str, names: &str) -> PathBuf {
        let file = tempfile::Builder::new().suffix(".pem").tempfile_in(&self.dir).expect("a file");
        let path = file.into_temp_path().keep().expect("it stays");
        let written = |name: &str, text: &[u8]| std::fs::write(self.dir.path().join(name), text).expect("written");
        let read = |name: &str| std::fs::read(self.dir.path().join(name)).expect("made by openssl");
        written("names", format!("subjectAltName={names}").as_bytes());
        self.openssl(&format!("req {KEY} -subj {subject} -keyout key -out request"));
        self.openssl("x509 -req -days 2 -CA ca.crt -CAkey ca.key -CAcreateserial -in request -extfile names -out certificate");
        std::fs::write(&path, [read("certificate"), read("key")].concat()).expect("written");
        path
    }

    fn openssl(&self, arguments: &str) {
        let dir: &Path = self.dir.path();
        let done = Command::new("openssl").args(arguments.split_whitespace()).current_dir(dir).output().expect("openssl");
        assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
