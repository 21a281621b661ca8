//! What a program prints of itself: completions for shells, the manual page.

use backup_core::{Doing, Result};
use clap::{CommandFactory, Subcommand};
use clap_complete::Shell;

use crate::exit::TABLE;
use crate::variables::command;

/// What every program prints of itself.
#[derive(Debug, Clone, Subcommand)]
pub enum Print {
    /// Print what completes this program's commands in a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print this program's manual page
    Man,
}

impl Print {
    /// Prints it, of the program `P`.
    pub fn run<P: CommandFactory>(self) -> Result<()> {
        let text = match self {
            Self::Completions { shell } => {
                let mut command = command::<P>();
                let name = command.get_name().to_owned();
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut command, name, &mut script);
                script
            }
            Self::Man => man(command::<P>())?,
        };
        std::io::Write::write_all(&mut std::io::stdout().lock(), &text).doing(|| "write the result")
    }
}

/// The manual page of a program, all of its commands in one.
pub fn man(command: clap::Command) -> Result<Vec<u8>> {
    let command = command.after_help(TABLE);
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page).doing(|| "write the manual page")?;
    let name = command.get_name().to_owned();
    sections(&command, &name, &mut page).doing(|| "write the manual page")?;
    Ok(page)
}

/// What the page says of each command of `command`, and of theirs.
fn sections(command: &clap::Command, name: &str, page: &mut Vec<u8>) -> std::io::Result<()> {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = format!("{name} {}", sub.get_name());
        let man = clap_mangen::Man::new(sub.clone().bin_name(&name));
        man.render_synopsis_section(page)?;
        man.render_description_section(page)?;
        man.render_options_section(page)?;
        sections(sub, &name, page)?;
    }
    Ok(())
}
