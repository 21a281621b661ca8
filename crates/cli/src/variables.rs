//! The environment variable of each option: that of `--keep-last` is `BACKUP_KEEP_LAST`, unless it has one of its own.

use clap::builder::{BoolishValueParser, Resettable};
use clap::{Arg, ArgAction, Command, CommandFactory};

/// The command line of a program, each option with its variable. One that is set to nothing counts as not set.
///
/// A flag's variable says yes (`1`, `true`, `yes`, `on`) or no.
pub fn command<P: CommandFactory>() -> Command {
    with_variables(P::command())
}

fn with_variables(command: Command) -> Command {
    command.mut_args(with_variable).mut_subcommands(with_variables)
}

fn with_variable(arg: Arg) -> Arg {
    let Some(long) = arg.get_long() else { return arg };
    let own = arg.get_env().map(|name| name.to_string_lossy().into_owned());
    let name = own.unwrap_or_else(|| format!("BACKUP_{}", long.to_uppercase().replace('-', "_")));
    let arg = if matches!(arg.get_action(), ArgAction::SetTrue) { arg.value_parser(BoolishValueParser::new()) } else { arg };
    if std::env::var_os(&name).is_some_and(|value| value.is_empty()) { arg.env(Resettable::Reset) } else { arg.env(name) }
}
