//! What went wrong, sorted by what a caller does about it.

use std::borrow::Cow;
use std::{fmt, io};

/// Any error underneath ours.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A result whose error says what a caller can do about it.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller does differently; the programs' exit codes follow it one to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Anything without a kind of its own: it is told and the run is over.
    Failed,
    /// The request itself cannot be meant: wrong flags, a configuration that does not parse, a refusal to overwrite.
    Usage,
    /// The backup, part or object that was asked for does not exist.
    NotFound,
    /// Something is already there, and nothing is ever replaced.
    AlreadyExists,
    /// Stored bytes are not what was written.
    Damaged,
    /// Services that a run stopped could not be brought back. Outranks every other kind.
    StillPaused,
    /// A restore was compared with the facts and is not equal.
    Differs,
    /// What was lost and was to be brought back is lost still.
    StillSick,
    /// It could not be told or proven, which is never a pass.
    Unproven,
    /// Another run holds the job.
    Busy,
    /// The run was asked to stop.
    Cancelled,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not found",
            Self::AlreadyExists => "already there",
            Self::Damaged => "damaged",
            Self::StillPaused => "still paused",
            Self::Differs => "differs",
            Self::StillSick => "still sick",
            Self::Unproven => "unproven",
            Self::Busy => "busy",
            Self::Cancelled => "interrupted",
        })
    }
}

/// What failed, why, and what to do about it.
///
/// [`Display`](fmt::Display) tells what failed in one line; the cause is in the chain of
/// [`source`](std::error::Error::source)s and never repeated; [`hint`](Error::hint) tells what to do.
pub struct Error {
    kind: Kind,
    message: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    source: Option<BoxError>,
}

impl Error {
    /// An error of `kind` that says `message`: lower case, no full stop.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), hint: None, source: None }
    }

    /// [`Kind::Failed`], for what has no kind of its own.
    pub fn failed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// [`Kind::Damaged`]: `message` names what is damaged and how that shows.
    pub fn damaged(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Damaged, message)
    }

    /// [`Kind::Usage`]: `message` names what cannot be meant.
    pub fn usage(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// [`Kind::Cancelled`].
    pub fn cancelled() -> Self {
        Self::new(Kind::Cancelled, "interrupted")
    }

    /// Adds the cause.
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds what to do about it: one sentence, lower case, no full stop.
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error under another kind.
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// What a caller does differently.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What to do about it: the outermost hint in the chain.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref().or_else(|| {
            let source = self.source.as_deref()?;
            inner(source)?.hint()
        })
    }

    /// The message and every cause behind it on one line, joined by `: `, newlines and control characters as blanks.
    pub fn chain(&self) -> String {
        let mut line = self.message.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            let text = cause.to_string();
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            next = cause.source();
        }
        line.replace(|c: char| c.is_control(), " ")
    }
}

/// Finds our error in `error`, also inside an [`io::Error`] that carried it through a reader.
fn inner<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    if let Some(error) = error.downcast_ref::<Error>() {
        return Some(error);
    }
    inner(error.downcast_ref::<io::Error>()?.get_ref()?)
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.chain())?;
        self.hint().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// So that an error of ours can pass through a reader; [`Doing`] finds it again on the other side.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::other(error)
    }
}

/// So that `?` works on writers inside [`piped`](crate::body::piped); an error of ours inside is found again.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => Error::failed("failed to read or write").with_source(error),
        }
    }
}

/// Says what was being done when something failed.
pub trait Doing<T> {
    /// Turns an error into `failed to {doing}` with the error as its cause. The kind of an [`Error`] underneath is kept.
    fn doing<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<BoxError>> Doing<T> for std::result::Result<T, E> {
    fn doing<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| {
            let source = error.into();
            let kind = inner(source.as_ref()).map_or(Kind::Failed, Error::kind);
            Error::new(kind, format!("failed to {}", doing().into())).with_source(source)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_and_a_hint_survive_a_reader_and_two_wrappings() {
        let error = Error::damaged("part a breaks off").with_hint("take an older one");
        let error = Err::<(), _>(io::Error::from(error)).doing(|| "read part a");
        let error = error.doing(|| "restore").expect_err("it was an error");
        assert_eq!(error.kind(), Kind::Damaged);
        assert_eq!(error.hint(), Some("take an older one"));
        assert_eq!(error.chain(), "failed to restore: failed to read part a: part a breaks off");
    }

    #[test]
    fn a_newline_in_a_name_stays_on_the_line() {
        assert_eq!(Error::failed("no table a\nb").chain(), "no table a b");
    }
}
