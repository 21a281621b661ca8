//! Hosts that answer wrongly, late or not to the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::{Body, Error, Result, body};
use backup_host::{Answer, Command, Connection, Host, Local, Port};
use tokio::io::AsyncReadExt;

type Meanwhile = Box<dyn FnOnce() + Send>;

/// This machine, with one thing wrong.
#[derive(Default)]
pub(crate) struct Wrong {
    pub(crate) host: Local,
    /// Of the answers to a program, only so many bytes come, and then the connection is cut.
    pub(crate) cut: Option<(&'static str, u64)>,
    /// Something was cut.
    pub(crate) was_cut: Arc<AtomicBool>,
    /// Instead of what `tar` answers.
    pub(crate) tar: Option<Vec<u8>>,
    /// Happens when `tar` is asked.
    pub(crate) meanwhile: Mutex<Option<Meanwhile>>,
}

impl std::fmt::Debug for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wrong")
    }
}

#[async_trait]
impl Host for Wrong {
    fn name(&self) -> &str {
        "this machine"
    }

    async fn run(&self, command: &Command, stdin: Option<Body>) -> Result<Body> {
        let is = |program: &str| format!("{command:?}").contains(&format!("\"{program}\""));
        if is("tar") {
            if let Some(meanwhile) = self.meanwhile.lock().expect("no test panicked").take() {
                meanwhile();
            }
            if let Some(tar) = &self.tar {
                return Ok(body::from_bytes(tar.clone()));
            }
        }
        let answer = self.host.run(command, stdin).await?;
        let Some((_, most)) = self.cut.filter(|(program, _)| is(program)) else { return Ok(answer) };
        let was_cut = self.was_cut.clone();
        Ok(body::piped(move |mut writer| async move {
            let mut some = answer.take(most);
            if tokio::io::copy(&mut some, &mut writer).await? < most {
                return Ok(());
            }
            was_cut.store(true, Ordering::SeqCst);
            Err(Error::failed("the connection was cut"))
        }))
    }

    async fn answer(&self, command: &Command) -> Result<Answer> {
        self.host.answer(command).await
    }

    async fn connect(&self, to: &Port) -> Result<Connection> {
        self.host.connect(to).await
    }
}
