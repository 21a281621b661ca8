//! Buckets and folders made alike, and nothing deleted that a listing only failed to show.

mod attrs;
mod filter;
mod names;
mod place;

pub use attrs::{Attrs, HEADER, is_md5};
pub use filter::{Filter, Pattern};
pub use names::{OWN, Piece, path, piece};
pub use place::{End, Route};
