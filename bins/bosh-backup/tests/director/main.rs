//! `bosh-backup` on a real director, reached by ssh.
#![expect(clippy::panic, reason = "a test fails with what it saw")]

mod files;
mod killed;
mod manual;
mod restored;
mod scene;
mod whole;
mod wrong;
