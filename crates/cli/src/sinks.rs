//! Which sinks a program was built with.

use std::path::Path;
use std::sync::Arc;

use backup_core::{Directory, Error, Result, Sink};

/// Opens a sink from the text behind its scheme.
type Open = Box<dyn Fn(&str) -> Result<Arc<dyn Sink>> + Send + Sync>;

/// The sinks of a program, by the scheme of their URL. A path needs no scheme.
#[derive(Default)]
pub struct Sinks(Vec<(&'static str, Open)>);

impl Sinks {
    /// Directories of this machine: a path, or `file:///PATH`.
    pub fn new() -> Self {
        Self::default().with("file", |rest| {
            let path = rest.strip_prefix("//").map(|rest| rest.strip_prefix("localhost").unwrap_or(rest)).unwrap_or(rest);
            if !path.starts_with('/') {
                return Err(Error::usage(format!("file:{rest} names no absolute path")).with_hint("write file:///PATH"));
            }
            Ok(Arc::new(Directory::new(path)))
        })
    }

    /// Adds the sinks of a scheme; `open` gets what follows `scheme:`.
    pub fn with(mut self, scheme: &'static str, open: impl Fn(&str) -> Result<Arc<dyn Sink>> + Send + Sync + 'static) -> Self {
        self.0.push((scheme, Box::new(open)));
        self
    }

    /// Opens the sink that `text` names.
    pub fn open(&self, text: &str) -> Result<Arc<dyn Sink>> {
        let is_scheme = |scheme: &str| scheme.len() > 1 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+');
        let scheme = text.split_once(':').filter(|(scheme, rest)| is_scheme(scheme) && rest.starts_with("//"));
        let Some((scheme, rest)) = scheme else {
            if text.is_empty() {
                return Err(Error::usage("the sink is empty text").with_hint("give --to PATH"));
            }
            return Ok(Arc::new(Directory::new(Path::new(text))));
        };
        let open = self.0.iter().find(|(known, _)| *known == scheme).map(|(_, open)| open);
        let known = || self.0.iter().map(|(scheme, _)| format!("{scheme}://")).collect::<Vec<_>>().join(", ");
        let unknown = || {
            Error::usage(format!("this program has no sink for {scheme}://")).with_hint(format!("it has PATH and {}", known()))
        };
        open.ok_or_else(unknown)?(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_a_file_url_are_directories_and_an_unknown_scheme_is_told() {
        for good in ["/backups", "backups", "./a:b", "file:///backups", "file://localhost/backups"] {
            assert!(Sinks::new().open(good).is_ok(), "{good}");
        }
        for bad in ["", "file://backups", "s3://bucket/prefix"] {
            let error = Sinks::new().open(bad).expect_err(bad);
            assert!(error.hint().is_some(), "{bad}");
        }
    }
}
