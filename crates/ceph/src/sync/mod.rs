//! Buckets and folders made alike, and nothing deleted that a listing only failed to show.
//!
//! A [`Route`] says from where to where, as s3cmd reads it. [`sync`] goes through both listings side by side, as they are
//! read, and copies what differs. What it wrote it records, and only that may go again, by [`Synced::delete`].

mod attrs;
mod bucket;
mod compare;
mod content;
mod copy;
mod delete;
mod doubts;
mod each;
#[cfg(test)]
mod fake;
mod fetch;
mod filter;
mod guard;
mod item;
mod lines;
mod merge;
mod names;
mod options;
mod pace;
mod passing;
mod place;
mod record;
mod report;
mod run;
mod send;
mod settle;
mod streamed;
#[cfg(test)]
mod tests;
mod tree;
mod walk;

pub use filter::{Filter, Pattern};
pub use guard::{Limits, Verdict};
pub use options::{Options, Server};
pub use place::{End, Route, bucket};
pub use report::Summary;
pub use run::{Synced, sync};
