//! What servers to throw away have in common: a folder of their own, and an end together with this process.

mod folder;
mod keeper;
mod starter;

pub use self::folder::Folder;
pub use self::keeper::Keeper;
pub use self::starter::{End, Starter};
