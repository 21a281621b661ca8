//! Real servers on free ports, the judge that compares them, and the corpus they are filled with.
//!
//! [`Server::start`] gives a PostgreSQL server that is gone when the test is; [`judge::difference`] asks the real
//! pg_dumpall whether two servers hold the same; [`corpus::load`] fills one with everything that PostgreSQL can hold.
//! [`Mongod::start`] gives a MongoDB server, and [`mongo_corpus::load`] fills it. [`Rgw::shared`] gives an S3 server: Ceph's RADOS
//! Gateway. [`ListingServer`] plays one that has too many objects for it. [`Director::start`] gives a BOSH director: sshd, sudo, monit
//! and runit in a machine of its own. [`Docker::start`] gives a Docker Engine with a container.
//! `ci/install` puts the programs in place. Where they are missing a test says so and passes, unless
//! `REQUIRE_SERVICES=1` is set: then it fails.
#![expect(clippy::panic, reason = "a harness fails the test that uses it, with the server's own words")]

mod authority;
mod bytes;
pub mod corpus;
mod director;
mod docker;
pub mod faults;
mod hearing;
mod hosts;
mod installed;
pub mod judge;
pub mod kubernetes;
mod listing;
mod mongo;
pub mod mongo_corpus;
mod mongo_set;
mod pg;
mod pymongo;
pub mod random;
mod rgw;
mod rsync;
mod small_disk;
mod sshd;
pub mod usage;
mod written;

pub use crate::authority::Authority;
pub use crate::bytes::bytes;
pub use crate::director::Director;
pub use crate::docker::Docker;
pub use crate::hearing::hearing;
pub use crate::hosts::{alone, with_hosts};
pub use crate::listing::ListingServer;
pub use crate::mongo::{Mongod, MongodSetup};
pub use crate::mongo_set::MongodSet;
pub use crate::pg::{Major, Server, Setup};
pub use crate::pymongo::pymongo;
pub use crate::rgw::{Rgw, S3Keys};
pub use crate::rsync::rsync;
pub use crate::small_disk::SmallDisk;
pub use crate::sshd::Sshd;
pub use crate::written::answers;
