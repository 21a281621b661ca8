//! What is large goes back to the system when it is freed (decision 25).

use std::os::unix::process::CommandExt;
use std::process::Command;

/// What glibc reads when a program starts: from how many bytes on memory is taken from the system for itself, and goes back when it
/// is freed. Large is what takes turns in `crates/mongo/src/pace.rs`.
const SET: [(&str, &str); 1] = [("MALLOC_MMAP_THRESHOLD_", "4194304")];

/// Starts the program anew in its own process, unless that was set. By itself glibc raises that number to the size of what is freed,
/// so that after a document of 16 MiB each thread may keep the memory of one.
pub(crate) fn give_back() {
    let mut words = std::env::args_os();
    let (Ok(program), Some(name)) = (std::env::current_exe(), words.next()) else { return };
    if cfg!(target_env = "gnu") && SET.iter().any(|(variable, _)| std::env::var_os(variable).is_none()) {
        // It returns only if it fails: then more memory is taken, and nothing else is different.
        let _ = Command::new(program).arg0(name).args(words).envs(SET).exec();
    }
}
