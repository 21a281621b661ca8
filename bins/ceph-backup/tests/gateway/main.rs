//! `ceph-backup` as a user runs it, against a real gateway.

mod check;
mod classes;
mod codes;
mod deis;
mod faults;
mod kept;
mod lies;
mod manual;
mod readme;
mod removed;
mod router;
mod said;
mod scene;
mod terminal;
mod two_servers;
mod uploads;
mod usage;
mod whose;
