//! What a backup of a BOSH director rests on, decided from text alone.
//!
//! [`config`] is what a user writes, [`Filter`] says what of the director's disk is copied, and [`monit`] what its services are doing.
//! Nothing here runs a command or touches a host.

pub mod config;
mod filter;
pub mod monit;

pub use config::Config;
pub use filter::Filter;
