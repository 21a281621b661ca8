//! A service of a director, as a journal names it: `monit/nats`, `sv/agent`.

use backup_core::{Error, Result, Unit};

use super::files::WORK;

/// The services of a list, apart by who looks after them, each in the order of the list.
#[derive(Debug, Default)]
pub(super) struct Names<'a> {
    /// What monit calls them.
    pub(super) monit: Vec<&'a str>,
    /// What runit calls them.
    pub(super) runit: Vec<&'a str>,
    /// The files that a restore puts in place are among them.
    pub(super) files: bool,
}

impl<'a> Names<'a> {
    /// Fails where a unit is none of a director. No name that is returned is an option or stands for more than one service.
    pub(super) fn of(units: &'a [Unit]) -> Result<Self> {
        let mut names = Self::default();
        for unit in units {
            match unit.0.split_once('/') {
                Some(("monit", name)) if can_be_told(name) => names.monit.push(name),
                Some(("files", _)) if *unit == of_files() => names.files = true,
                Some(("sv", name)) if can_be_told(name) && !name.contains('/') => names.runit.push(name),
                _ => return Err(Error::failed(format!("{:?} is no service of a director", unit.0))),
            }
        }
        Ok(names)
    }
}

/// A service that monit looks after. Fails where monit could not be told to stop it alone.
pub(super) fn of_monit(name: &str) -> Result<Unit> {
    match can_be_told(name) {
        true => Ok(Unit(format!("monit/{name}"))),
        false => Err(Error::failed(format!("monit cannot be told to stop a service that is called {name:?}"))),
    }
}

/// A service that runit looks after.
pub(super) fn of_runit(name: &str) -> Unit {
    Unit(format!("sv/{name}"))
}

/// The files that a restore puts in place, by the folder in which it notes what it does.
pub(super) fn of_files() -> Unit {
    Unit(format!("files{WORK}"))
}

/// To monit `all` is every service; a name with a dash before it is an option.
fn can_be_told(name: &str) -> bool {
    !name.is_empty() && name != "all" && !name.starts_with('-') && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_into_a_journal_is_read_back() {
        let units = [of_files(), of_monit("nats").expect("a name"), of_monit("sv/it's").expect("a name"), of_runit("agent")];
        let told = ["files/var/vcap/.bosh-backup-restore", "monit/nats", "monit/sv/it's", "sv/agent"];
        assert_eq!(units.each_ref().map(|unit| unit.0.as_str()), told);
        let names = Names::of(&units).expect("services of a director");
        assert_eq!((names.monit, names.runit, names.files), (vec!["nats", "sv/it's"], vec!["agent"], true));
    }

    #[test]
    fn what_would_stop_everything_or_be_an_option_is_no_service() {
        for name in ["all", "", "-g", "a\nb"] {
            of_monit(name).expect_err(name);
            for unit in [format!("monit/{name}"), format!("sv/{name}")] {
                Names::of(&[Unit(unit.clone())]).expect_err(&unit);
            }
        }
        for unit in ["nats", "docker/nats", "sv/../monit", "files/etc", ""] {
            Names::of(&[Unit(unit.into())]).expect_err(unit);
        }
    }
}
