//! Collections come back: restored, healed where they are lost, and never half.
#![expect(clippy::panic, reason = "a test fails with what it saw")]

mod awaited;
mod breaks;
mod damage;
mod dumps;
mod examples;
mod healing;
mod meanwhile;
mod replay;
mod restoring;
mod scene;
mod seed;
mod series;
mod streamed;
mod subsets;
mod users;
