//! `backup.conf`: databases, a line each, and lines of cron.

use backup_core::{Error, Result};
use jiff::tz::TimeZone;

use super::Spec;
use crate::Schedule;

/// What a `backup.conf` says, in its order.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    /// The databases, and the line of each.
    pub databases: Vec<(Spec, usize)>,
    /// When all of them are backed up.
    pub backups: Vec<Cron>,
    /// When they are verified.
    pub verifications: Vec<Cron>,
}

/// A line of cron.
#[derive(Debug, Clone)]
pub struct Cron {
    /// When.
    pub schedule: Schedule,
    /// Which database, if not all.
    pub only: Option<Spec>,
    /// The number of the line.
    pub line: usize,
}

impl Conf {
    /// Reads a file. Every line must be understood: the error names the first that is not.
    ///
    /// `#` begins a comment at the start of a line or behind a blank; the container dropped any line that had one anywhere.
    pub fn parse(text: &str, zone: &TimeZone) -> Result<Self> {
        let mut conf = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let comment =
                line.char_indices().find(|(at, c)| *c == '#' && line[..*at].chars().last().is_none_or(char::is_whitespace));
            let line = comment.map_or(line, |(at, _)| &line[..at]).trim();
            let words: Vec<&str> = line.split_whitespace().collect();
            let read = match words.as_slice() {
                [] => Ok(()),
                [_] => line.parse().map(|spec| conf.databases.push((spec, number))),
                [first, rest @ ..] if first.starts_with('@') => conf.cron(first, rest, number, zone),
                [_, _, _, _, _, rest @ ..] if !rest.is_empty() => conf.cron(&words[..5].join(" "), rest, number, zone),
                _ => Err(Error::usage("it is neither a database nor a line of cron")
                    .with_hint("write host:port/database, or five fields, a user and ./backup.sh -s")),
            };
            read.map_err(|error| {
                let hint = error.hint().unwrap_or("see the documentation of the file").to_owned();
                Error::usage(format!("line {number}: {error}")).with_hint(hint)
            })?;
        }
        Ok(conf)
    }

    /// A line of cron: what follows its times is a user, whom we do not need, and the container's command.
    fn cron(&mut self, times: &str, rest: &[&str], line: usize, zone: &TimeZone) -> Result<()> {
        let wrong = |what: String| Error::usage(what).with_hint("write ./backup.sh -s, or ./backup.sh -s -v all");
        let is_program = |word: &&&str| word.rsplit('/').next() == Some("backup.sh");
        let at = rest.iter().take(2).position(|word| is_program(&word));
        let at = at.ok_or_else(|| wrong("the command is not backup.sh".into()))?;
        let (mut only, mut verify) = (None, false);
        let mut flags = rest[at + 1..].iter();
        while let Some(flag) = flags.next() {
            match *flag {
                "-s" => {}
                "-v" => {
                    verify = true;
                    let which = flags.next().ok_or_else(|| wrong("-v says nothing of which database".into()))?;
                    only = if *which == "all" { None } else { Some(which.parse()?) };
                }
                other => return Err(wrong(format!("{other:?} is not known of backup.sh on a schedule"))),
            }
        }
        let cron = Cron { schedule: Schedule::cron(times, zone.clone())?, only, line };
        if verify {
            self.verifications.push(cron)
        } else {
            self.backups.push(cron)
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# Databases\npostgres=pg-host:5432/app\n\n  pg.example.org/shop?verifySchema=sales   # the shop\n\
        0 1 * * * default ./backup.sh -s\n0 4 * * * default ./backup.sh -s -v all\n*/5 * * * * ./backup.sh -s\n\
        @weekly default /backup.sh -s -v pg-host/app\n";

    #[test]
    fn a_file_is_read_in_its_order() {
        let conf = Conf::parse(FILE, &TimeZone::UTC).expect("a file");
        let databases: Vec<String> = conf.databases.iter().map(|(spec, line)| format!("{line} {spec}")).collect();
        assert_eq!(databases, ["2 pg-host:5432/app", "4 pg.example.org/shop"]);
        assert_eq!(conf.databases[1].0.schema.as_deref(), Some("sales"));
        let lines = |crons: &[Cron]| crons.iter().map(|cron| (cron.line, cron.schedule.to_string())).collect::<Vec<_>>();
        assert_eq!(lines(&conf.backups), [(5, "0 1 * * * (UTC)".into()), (7, "*/5 * * * * (UTC)".into())]);
        assert_eq!(lines(&conf.verifications).iter().map(|(line, _)| *line).collect::<Vec<_>>(), [6, 8]);
        assert_eq!(conf.verifications[1].only.as_ref().map(Spec::core).as_deref(), Some("pg-host-app"));
    }

    #[test]
    fn a_line_that_is_not_understood_is_named_and_never_left_out() {
        for (bad, line) in [
            ("postgres=a/b\nmongo=host/app\n", 2),
            ("0 1 * * * default /bin/rm -rf /\n", 1),
            ("0 1 * * * default ./backup.sh -s -v\n", 1),
            ("0 1 * * * default ./backup.sh -r a/b\n", 1),
            ("61 1 * * * default ./backup.sh -s\n", 1),
            ("a/b\n\n0 1 * *\n", 3),
            ("host/my app\n", 1),
        ] {
            let error = Conf::parse(bad, &TimeZone::UTC).expect_err(bad);
            assert!(error.to_string().starts_with(&format!("line {line}: ")), "{error}");
            assert!(error.hint().is_some(), "{bad}");
        }
        // A # within a word is part of it.
        assert!(Conf::parse("host/app#1", &TimeZone::UTC).is_ok());
    }
}
