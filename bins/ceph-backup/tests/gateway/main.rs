//! `ceph-backup` as a user runs it, against a real gateway.

mod check;
mod codes;
mod deis;
mod lies;
mod manual;
mod removed;
mod scene;
mod terminal;
mod two_servers;
mod usage;
