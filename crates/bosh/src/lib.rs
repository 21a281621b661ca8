//! What a backup of a BOSH director rests on, decided from text alone.
//!
//! [`Filter`] says what of its disk is copied, and [`monit`] what its services are doing. Nothing here runs a command or touches a host.

mod filter;
pub mod monit;

pub use filter::Filter;
