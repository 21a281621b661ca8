//! Backups in buckets of Ceph's gateway and other S3 servers, whole or not there.
//!
//! [`Gateway`] is what an S3 server can do, in plain types; the client library stands behind it. [`Access`] says where the server is
//! and who asks. This crate prints nothing and reads no environment variable.

mod s3;
mod s3cfg;
pub mod sync;
pub mod testing;

pub use s3::{Access, Bucket, Credentials, Gateway, Head, Listing, New, Object, Page, SharedGateway, Upload};
pub use s3cfg::S3Cfg;
