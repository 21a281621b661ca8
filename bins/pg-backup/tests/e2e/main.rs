//! The real program against real servers: what a user types, what comes back, and what is there afterwards.
#![expect(clippy::panic, reason = "a test fails with the program's own words")]

mod attempts;
mod bad_input;
mod down;
mod dumps;
mod dumps_down;
mod dumps_restore;
mod dumps_toml;
mod encodings;
mod forge;
mod globals;
mod interrupts;
mod killed;
mod options;
mod order;
mod places;
mod program;
mod proof;
mod replication;
mod resume;
mod retention;
mod roundtrip;
mod s3;
mod serve;
mod serve_asked;
mod serve_proof;
mod serve_receiver;
mod serve_told;
mod serve_toml;
mod serve_volume;
mod settings;
mod shelf;
mod shop;
mod standby;
mod told;
