//! The lies of a gateway in memory.

/// What goes wrong with listings and objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sync) enum Lie {
    /// The n-th page fails.
    PageFails(usize),
    /// Whoever asks for the n-th page panics.
    PagePanics(usize),
    /// The n-th page says that it is the last.
    EndsEarly(usize),
    /// Nothing is listed.
    Empty,
    /// The n-th page comes again and again.
    Loops(usize),
    /// Behind the last page comes the first one again.
    Round,
    /// From the n-th page on there is nothing on them, and always another.
    Hollow(usize),
    /// The keys of the n-th page come backwards.
    Backwards(usize),
    /// Keys are listed that do not begin as they should.
    Unasked,
    /// Objects break off in the middle.
    Truncated,
    /// Nothing of an object comes behind so many bytes.
    Behind(usize),
    /// Objects have a wrong byte.
    Flipped,
    /// No object is there, if it is asked for by its name.
    Gone,
    /// There is no such bucket.
    NoBucket,
    /// Requests for objects fail.
    Refused,
    /// What is to be copied is not, and the answer is that it was.
    CopiesNothing,
    /// Half of what is to be copied is, and the answer is that all of it was.
    CopiesHalf,
}
