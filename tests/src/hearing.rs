//! Programs that hear the signals that ask them to end, whatever the test run itself ignores.

use std::ffi::OsStr;
use std::process::Command;

/// A command that runs `program` with INT, TERM, HUP and QUIT as a terminal's programs have them.
///
/// A shell that is not interactive lets what it starts in the background ignore INT and QUIT; `nohup` lets it ignore HUP.
/// What is ignored is inherited, and a shell cannot trap what was ignored when it began. The process is the program's own.
pub fn hearing(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal=INT,TERM,HUP,QUIT").arg(program);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_ignores_signals_starts_programs_that_hear_them() {
        let ignored = |command: &Command| {
            let mut shell = Command::new("sh");
            shell.args(["-c", "trap '' INT TERM HUP QUIT; exec \"$0\" \"$@\""]).arg(command.get_program());
            let output = shell.args(command.get_args()).output().expect("sh runs");
            let line = String::from_utf8(output.stdout).expect("text");
            u64::from_str_radix(line.trim_start_matches("SigIgn:").trim(), 16).expect("a mask of signals")
        };
        let arguments = ["SigIgn", "/proc/self/status"];
        // Bit n - 1 is signal n: HUP 1, INT 2, QUIT 3, TERM 15.
        let asking = 1 | 1 << 1 | 1 << 2 | 1 << 14;
        assert_eq!(ignored(Command::new("grep").args(arguments)) & asking, asking);
        assert_eq!(ignored(hearing("grep").args(arguments)) & asking, 0);
    }
}
