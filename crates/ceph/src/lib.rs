//! Backups in buckets of Ceph's gateway and other S3 servers, whole or not there.
//!
//! [`S3Sink`] is the sink. It stands on [`Destination`], a body that becomes an object, and on [`download()`], an object that becomes a
//! body and goes on after a lost connection. [`Gateway`] is what an S3 server can do, in plain types; the client library stands behind
//! it. [`sync`](mod@sync) makes buckets and folders alike. [`Access`] says where the server is and who asks. This crate prints nothing
//! and reads no environment variable.

mod content_type;
mod download;
#[cfg(feature = "sdk")]
mod open;
mod pages;
#[cfg(feature = "sdk")]
mod profile;
mod s3;
mod s3cfg;
mod sink;
pub mod sync;
pub mod testing;
mod transfer;
mod upload;

pub use content_type::ContentType;
pub use download::download;
#[cfg(feature = "sdk")]
pub use open::{Found, Settings, find, open};
pub use pages::{Marker, Pages};
#[cfg(feature = "sdk")]
pub use s3::connect;
pub use s3::{Access, Bucket, Credentials, Gateway, Head, Headers, Listing, New, Object, Page, Refusal, SharedGateway, Upload};
pub use s3cfg::S3Cfg;
pub use sink::{Place, S3Sink};
pub use transfer::{PART_SIZES, Transfer};
pub use upload::Destination;
