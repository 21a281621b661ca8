//! A thread that starts a server, waits for its end, and outlives every runtime.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::starter::End;
use crate::{Doing as _, Error, Result};

/// Holds a running server. Dropping it ends the server and waits for that.
///
/// The thread is there since the kernel ends a child "with its parent" when the *thread* that started it ends.
#[derive(Debug)]
pub struct Keeper {
    server: Arc<Server>,
    end: End,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Server {
    /// `None` before the start and from the moment the end is known: the number is never used for another's process.
    pid: Mutex<Option<Pid>>,
    ended: Condvar,
}

/// How long a server may take to end before it is killed.
const END_LIMIT: Duration = Duration::from_secs(10);

impl Keeper {
    /// Starts `command` in a process group of its own, its output in the file `log`, to be ended by `end`.
    pub fn start(mut command: Command, end: End, log: &Path) -> Result<Self> {
        let out = File::create(log).doing(|| format!("create {}", log.display()))?;
        let err = out.try_clone().doing(|| format!("open {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(out).stderr(err).current_dir("/").process_group(0);
        let server = Arc::new(Server::default());
        let (started, is_started) = mpsc::channel();
        let keep = {
            let server = Arc::clone(&server);
            move || {
                let child = command.spawn();
                let pid = child.as_ref().ok().and_then(|child| Pid::from_raw(i32::try_from(child.id()).ok()?));
                *server.lock() = pid;
                // Nobody listens only if the starter is gone, and then its keeper was dropped or never made.
                let _ = started.send(child.as_ref().map(|_| ()).map_err(|error| Error::failed(error.to_string())));
                if let Ok(child) = child {
                    server.wait(child);
                }
            }
        };
        let thread = thread::Builder::new().name("scratch server".to_owned()).spawn(keep).doing(|| "start a thread")?;
        let keeper = Self { server, end, thread: Some(thread) };
        is_started.recv().doing(|| "start the scratch server")?.doing(|| "start the scratch server")?;
        Ok(keeper)
    }

    /// The server's process; `None` once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.server.lock().and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.server.signal(self.end.signal());
        if !self.server.has_ended_within(END_LIMIT) {
            self.server.signal(Signal::KILL);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Server {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Pid>> {
        self.pid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end, and takes the number back before the system may give it to another process.
    fn wait(&self, mut child: Child) {
        let pid = *self.lock();
        if let Some(pid) = pid {
            while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {}
        }
        *self.lock() = None;
        let _ = child.wait();
        self.ended.notify_all();
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = *self.lock() {
            let _ = kill_process(pid, signal);
        }
    }

    fn has_ended_within(&self, limit: Duration) -> bool {
        let waited = self.ended.wait_timeout_while(self.lock(), limit, |pid| pid.is_some());
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}
