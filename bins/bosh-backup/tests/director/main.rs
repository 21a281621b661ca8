//! `bosh-backup` on a real director, reached by ssh.

mod manual;
mod scene;
mod whole;
mod wrong;
