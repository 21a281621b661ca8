//! What a program took: time, processor time, memory. All of it from `/proc`, also for what the program itself started.

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::io;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// How often the memory of a program is looked at. The kernel keeps the peak, so only what a process does in its last such
/// moment can be missed.
const LOOK: Duration = Duration::from_millis(2);

/// What a program and the programs that it started took.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// How it ended.
    pub status: ExitStatus,
    /// From its start to its end.
    pub wall: Duration,
    /// Processor time, of the program and the system for it; to 10 ms.
    pub cpu: Duration,
    /// Peak resident memory in bytes of the process that had most.
    pub peak: u64,
    /// Peak resident memory in bytes of the program itself, without what it started.
    pub own: u64,
}

/// Runs `command` to its end.
///
/// # Errors
/// Where it cannot be started, or there is no `/proc`.
pub fn measure(command: &mut Command) -> io::Result<Usage> {
    let begun = Instant::now();
    let mut child = command.spawn()?;
    let pid = Pid::from_child(&child);
    let ended = AtomicBool::new(false);
    let (wall, cpu, peaks) = std::thread::scope(|scope| {
        let watched = scope.spawn(|| {
            let mut peaks = BTreeMap::new();
            while !ended.load(Ordering::Relaxed) {
                look(pid.as_raw_nonzero().get(), &mut peaks);
                std::thread::sleep(LOOK);
            }
            peaks
        });
        // It stays, dead, until its child is waited for: so long its times can be read.
        let waited = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let wall = begun.elapsed();
        ended.store(true, Ordering::Relaxed);
        let cpu = waited.map_err(io::Error::from).and_then(|_| cpu(pid.as_raw_nonzero().get()));
        (wall, cpu, watched.join().unwrap_or_default())
    });
    let own = peaks.get(&pid.as_raw_nonzero().get()).copied().unwrap_or_default();
    let peak = peaks.into_values().max().unwrap_or_default();
    Ok(Usage { status: child.wait()?, wall, cpu: cpu?, peak, own })
}

/// Processor time of a process and of its children that have ended.
///
/// # Errors
/// Where there is no such process.
pub fn cpu(pid: i32) -> io::Result<Duration> {
    let stat = read_to_string(format!("/proc/{pid}/stat"))?;
    // The name of the program, in parentheses, can hold anything. Behind it: state, then 10 fields, then four times in ticks
    // of 10 ms (proc(5): utime, stime, cutime, cstime; the tick is 1/100 s on every Linux that Rust runs on).
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
    let ticks: u64 = fields.split_whitespace().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

/// Notes the peak of `pid` and of its descendants.
fn look(pid: i32, peaks: &mut BTreeMap<i32, u64>) {
    if let Some(peak) = peak(pid) {
        peaks.insert(pid, peak);
    }
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return };
    for thread in threads.flatten() {
        let children = read_to_string(thread.path().join("children")).unwrap_or_default();
        children.split_whitespace().filter_map(|child| child.parse().ok()).for_each(|child| look(child, peaks));
    }
}

fn peak(pid: i32) -> Option<u64> {
    let status = read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_children_is_measured_with_them() {
        let script = "dd if=/dev/zero of=/dev/null bs=64M count=20 2>/dev/null; i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; exit 3";
        let usage = measure(Command::new("sh").args(["-c", script])).expect("measured");
        assert_eq!(usage.status.code(), Some(3));
        assert!(usage.peak > 60 << 20 && usage.peak < 100 << 20, "dd holds 64 MiB: {usage:?}");
        assert!(usage.own > 0 && usage.own < 16 << 20, "a shell holds little: {usage:?}");
        assert!(usage.cpu > Duration::ZERO && usage.cpu <= usage.wall * 2, "{usage:?}");
    }
}
