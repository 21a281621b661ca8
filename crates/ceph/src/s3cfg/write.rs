//! How a configuration file is written that s3cmd and we read.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use backup_core::{Doing, Error, Result};
use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

use super::S3Cfg;
use crate::s3::Credentials;

impl S3Cfg {
    /// Writes what [`parse`](Self::parse) and s3cmd read, in place of a file that is there, at once or not at all. Only its
    /// owner may read it.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = self.text()?;
        replace(path, text.as_bytes()).doing(|| format!("write {}", path.display()))
    }

    fn text(&self) -> Result<Zeroizing<String>> {
        let mut text = Zeroizing::new(String::with_capacity(4096));
        text.push_str("[default]\n");
        let mut line = |key: &str, value: &str| {
            if value.starts_with('$') || value != value.trim() || value.chars().any(char::is_control) {
                return Err(Error::usage(format!("the value of {key} cannot be written so that s3cmd reads it")));
            }
            let quotes = if value.starts_with('"') { "\"" } else { "" };
            for piece in [key, " = ", quotes, value, quotes, "\n"] {
                text.push_str(piece);
            }
            Ok(())
        };
        if let Some(Credentials { access_key, secret_key, session_token }) = &self.credentials {
            line("access_key", access_key)?;
            line("secret_key", secret_key)?;
            line("access_token", session_token.as_ref().map_or("", |token| token))?;
        }
        let yes = |yes: bool| if yes { "True" } else { "False" };
        line("host_base", &self.host_base)?;
        line("host_bucket", &self.host_bucket)?;
        if self.use_path_mode {
            line("use_path_mode", "True")?;
        }
        line("use_https", yes(self.use_https))?;
        line("ca_certs_file", &self.ca_certs_file.as_deref().unwrap_or(Path::new("")).to_string_lossy())?;
        line("bucket_location", &self.bucket_location)?;
        line("socket_timeout", &self.socket_timeout.as_secs().to_string())?;
        line("max_retries", &self.max_retries.to_string())?;
        line("enable_multipart", yes(self.enable_multipart))?;
        line("multipart_chunk_size_mb", &(self.part_size >> 20).to_string())?;
        line("preserve_attrs", yes(self.preserve_attrs))?;
        line("delete_removed", yes(self.delete_removed))?;
        line("max_delete", &self.max_delete.map_or("-1".to_owned(), |most| most.to_string()))?;
        line("skip_existing", yes(self.skip_existing))?;
        line("limitrate", &self.limit_rate.unwrap_or(0).to_string())?;
        line("storage_class", self.storage_class.as_deref().unwrap_or(""))?;
        line("default_mime_type", &self.content_type.otherwise)?;
        line("guess_mime_type", yes(self.content_type.guess))?;
        line("mime_type", self.content_type.always.as_deref().unwrap_or(""))?;
        Ok(text)
    }
}

/// Puts a file that only its owner may read in the place of `path`.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}.new", std::process::id()));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut file = File::from(rustix::fs::open(&new, flags, Mode::RUSR | Mode::WUSR)?);
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(".s3cfg");
        std::fs::write(&path, "old").expect("a file");
        let mut cfg = S3Cfg { max_delete: Some(3), limit_rate: Some(5), part_size: 20 << 20, ..S3Cfg::default() };
        cfg.credentials = Some(Credentials::new("\"a\"", "s=#c"));
        cfg.write(&path).expect("written");
        assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        let (again, warnings) = S3Cfg::read(&path, &|_| None).expect("it is good");
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(again.credentials, cfg.credentials);
        assert_eq!((again.max_delete, again.limit_rate, again.part_size), (Some(3), Some(5), 20 << 20));
        for bad in ["$a", "a\nhost_base = evil", " a"] {
            cfg.credentials = Some(Credentials::new("a", bad));
            assert!(cfg.write(&path).is_err(), "{bad:?}");
        }
        assert_eq!(folder.path().read_dir().expect("a folder").count(), 1, "nothing else is left");
    }
}
