//! psql input: what `pg_dump`, `pg_dumpall` and our own parts write, read as items and played into a server.

mod inspect;
mod item;
mod lexer;
mod meta;
mod player;
mod scanner;
#[cfg(test)]
mod tests;

pub use inspect::{Inspected, inspect};
pub use item::{Item, Meta, Statement};
pub use meta::MetaCommand;
pub use player::{Played, Player};
pub use scanner::{LONGEST, Scanner};
