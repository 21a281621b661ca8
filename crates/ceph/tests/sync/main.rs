//! Syncs with a real gateway of Ceph: what comes over, what is deleted, and what faults on the way leave.

mod changed;
mod dice;
mod faults;
mod found;
mod judge;
mod refused;
mod routes;
mod s3cmd;
mod scene;
mod seeds;
