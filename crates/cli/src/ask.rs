//! Questions on the terminal: where there is none, nothing counts as a yes but the option that says so.

use std::io::{self, BufRead, IsTerminal, Write};

use backup_core::{Context, Doing, Error, Kind, Result};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Who answers.
#[derive(Debug, Clone, Copy)]
pub struct Answers {
    yes: bool,
    option: &'static str,
    terminal: bool,
}

impl Answers {
    /// The `option` if it was given, else the terminal if there is one.
    pub fn new(yes: bool, option: &'static str) -> Self {
        Self { yes, option, terminal: io::stdin().is_terminal() && io::stderr().is_terminal() }
    }

    /// Fails if nobody could answer whether to do `what`.
    pub fn possible(self, what: &str) -> Result<()> {
        if self.yes || self.terminal {
            return Ok(());
        }
        Err(Error::usage(format!("nobody is there to be asked whether to {what}: this is no terminal"))
            .with_hint(format!("give {}, or run it on a terminal", self.option)))
    }

    /// Asks; anything but `yes` is [`Kind::Cancelled`].
    pub async fn ask(self, cx: &Context, question: &str) -> Result<()> {
        self.possible("go on")?;
        if self.is_yes(cx, question).await? {
            return Ok(());
        }
        Err(Error::new(Kind::Cancelled, "that was no yes: nothing was touched"))
    }

    /// Asks; anything but `yes` is none, and so is that nobody is there.
    pub async fn is_yes(self, cx: &Context, question: &str) -> Result<bool> {
        if self.yes || !self.terminal {
            return Ok(self.yes);
        }
        let question = format!("{question} Type yes to go on: ");
        Ok(line(cx, question).await?.trim() == "yes")
    }
}

/// Asks for a secret, which does not show; `None` where there is no terminal, or nothing is given.
pub async fn secret(cx: &Context, prompt: &str) -> Result<Option<String>> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(None);
    }
    let before = tcgetattr(io::stdin()).doing(|| "hide what is typed")?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    // Brought back however this ends, also when the run is cancelled.
    let _shown = Shown(before);
    tcsetattr(io::stdin(), OptionalActions::Flush, &hidden).doing(|| "hide what is typed")?;
    let typed = line(cx, prompt.to_owned()).await;
    // The end of the line did not show either.
    let _ = writeln!(io::stderr());
    let typed = typed?;
    Ok(Some(typed.trim_end_matches(['\r', '\n']).to_owned()).filter(|typed| !typed.is_empty()))
}

/// The terminal as it was.
struct Shown(Termios);

impl Drop for Shown {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Writes `prompt` and reads a line; the empty text where there is none.
pub async fn line(cx: &Context, prompt: String) -> Result<String> {
    let read = move || {
        io::stderr().write_all(prompt.as_bytes())?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line)
    };
    // Not awaited by anybody when the run is cancelled.
    let read = cx.unless_cancelled(async { Ok(tokio::task::spawn_blocking(read).await) }).await?;
    read.doing(|| "ask")?.doing(|| "read the answer")
}
