//! Which sinks a program was built with.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup_core::{Context, Directory, Error, Result, Sink};

use crate::S3Args;

/// Opens a sink from the text behind its scheme.
type Open = Box<dyn Fn(&str, &Opening<'_>) -> Result<Arc<dyn Sink>> + Send + Sync>;

/// What a sink may be opened with.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// Whom to tell, and what waits for a sink that tidies up.
    pub cx: &'a Context,
    /// The options of S3 servers.
    pub s3: &'a S3Args,
}

/// The sinks of a program: directories of this machine, as a path or `file:///PATH`, and others by the scheme of their URL.
#[derive(Default)]
pub struct Sinks(Vec<(&'static str, Open)>);

/// What tells a sink from others.
#[derive(Debug, Clone)]
pub struct Place {
    /// The same for the same directory however it is written; of other sinks the URL as it is.
    pub identity: OsString,
    /// The folder of this machine that it is, if it is one.
    pub folder: Option<PathBuf>,
}

impl Sinks {
    /// Directories alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the sinks of a scheme; `open` gets what follows `scheme:`.
    pub fn with(
        mut self,
        scheme: &'static str,
        open: impl Fn(&str, &Opening<'_>) -> Result<Arc<dyn Sink>> + Send + Sync + 'static,
    ) -> Self {
        self.0.push((scheme, Box::new(open)));
        self
    }

    /// Opens the sink that `text` names.
    pub fn open(&self, text: &str, with: &Opening<'_>) -> Result<Arc<dyn Sink>> {
        match self.parse(text)? {
            Parsed::Folder(path) => Ok(Arc::new(Directory::new(path))),
            Parsed::Other(open, rest) => open(rest, with),
        }
    }

    /// The sink that `text` names, without opening it.
    pub fn place(&self, text: &str) -> Result<Place> {
        Ok(match self.parse(text)? {
            Parsed::Folder(path) => {
                let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
                let folder: PathBuf = absolute.components().collect();
                Place { identity: folder.clone().into(), folder: Some(folder) }
            }
            Parsed::Other(..) => Place { identity: text.into(), folder: None },
        })
    }

    fn parse<'a>(&'a self, text: &'a str) -> Result<Parsed<'a>> {
        let is_scheme = |scheme: &str| scheme.len() > 1 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+');
        match text.split_once(':').filter(|(scheme, rest)| is_scheme(scheme) && rest.starts_with("//")) {
            None if text.is_empty() => Err(Error::usage("the sink is empty text").with_hint("give --to PATH")),
            None => Ok(Parsed::Folder(Path::new(text))),
            Some(("file", rest)) => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                let path = path.strip_prefix("localhost").unwrap_or(path);
                if !path.starts_with('/') {
                    return Err(Error::usage(format!("{text} names no absolute path")).with_hint("write file:///PATH"));
                }
                Ok(Parsed::Folder(Path::new(path)))
            }
            Some((scheme, rest)) => {
                let open = self.0.iter().find(|(known, _)| *known == scheme).map(|(_, open)| open);
                Ok(Parsed::Other(open.ok_or_else(|| self.unknown(scheme))?, rest))
            }
        }
    }

    fn unknown(&self, scheme: &str) -> Error {
        let known: String = self.0.iter().map(|(scheme, _)| format!(", {scheme}://")).collect();
        Error::usage(format!("this program has no sink for {scheme}://"))
            .with_hint(format!("it has PATH and file:///PATH{known}"))
    }
}

/// What a text says.
enum Parsed<'a> {
    Folder(&'a Path),
    Other(&'a Open, &'a str),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(sinks: &Sinks, text: &str) -> Result<Arc<dyn Sink>> {
        sinks.open(text, &Opening { cx: &Context::default(), s3: &S3Args::default() })
    }

    #[test]
    fn a_path_and_a_file_url_are_directories_and_an_unknown_scheme_is_told() {
        for good in ["/backups", "backups", "./a:b", "file:///backups", "file://localhost/backups"] {
            assert!(open(&Sinks::new(), good).is_ok(), "{good}");
        }
        for bad in ["", "file://backups", "s3://bucket/prefix"] {
            let error = open(&Sinks::new(), bad).expect_err(bad);
            assert!(error.hint().is_some() && Sinks::new().place(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn to_tell_a_sink_from_others_opens_none() {
        let sinks = Sinks::new().with("mem", |_, _| Err(Error::usage("it was opened")));
        assert_eq!(sinks.place("mem://a/").expect("known").folder, None);
        assert!(open(&sinks, "mem://a/").is_err());
    }

    #[test]
    fn a_directory_is_the_same_however_it_is_written() {
        let sinks = Sinks::new().with("mem", |_, _| Ok(Arc::new(backup_core::Memory::default())));
        let identity = |text: &str| sinks.place(text).expect(text).identity;
        for same in ["/backups/", "//backups/./", "file:///backups", "file://localhost/backups/"] {
            assert_eq!(identity(same), "/backups", "{same}");
        }
        assert_eq!(identity("backups"), std::env::current_dir().expect("one").join("backups"));
        assert_eq!(identity("mem://a/"), "mem://a/");
    }
}
