//! Which database and which dump of it is meant.

use std::path::Path;

use backup_core::{Error, Kind, Records, Result, State, Which};
use backup_service::container::{Spec, Wanted};
use backup_service::tree::{Dump, Tree};

use super::Shelf;

impl Shelf {
    /// The databases of the configuration that `spec` means: `host:port/database`, `host/database`, `database`, or the name that
    /// the dumps have; all of them for `all` or nothing. Names count as a whole.
    pub(super) fn wanted(&self, spec: Option<&str>) -> Result<Vec<&Wanted>> {
        let all = &self.settings.databases;
        let Some(text) = spec.filter(|text| *text != "all") else { return Ok(all.iter().collect()) };
        let named: Option<Spec> = text.parse().ok();
        let is_meant = |wanted: &&Wanted| match &named {
            Some(spec) => {
                (&spec.host, &spec.database) == (&wanted.spec.host, &wanted.spec.database)
                    && spec.port.is_none_or(|port| wanted.spec.port.unwrap_or(5432) == port)
            }
            None => wanted.spec.database == text || wanted.core == text,
        };
        let found: Vec<&Wanted> = all.iter().filter(is_meant).collect();
        match found.as_slice() {
            [_] => Ok(found),
            several => {
                let there: Vec<String> = if several.is_empty() { all.iter() } else { [].iter() }
                    .chain(several.iter().copied())
                    .map(|wanted| wanted.spec.to_string())
                    .collect();
                let (kind, how) = if several.is_empty() { (Kind::NotFound, "no") } else { (Kind::Usage, "more than one") };
                Err(Error::new(kind, format!("{how} database of the configuration is called {text:?}"))
                    .with_hint(format!("name one of {}", there.join(", "))))
            }
        }
    }

    /// The one database that is meant.
    pub(super) fn one(&self, spec: Option<&str>) -> Result<&Wanted> {
        match self.wanted(spec)?.as_slice() {
            [wanted] => Ok(wanted),
            several => {
                let there: Vec<String> = several.iter().map(|wanted| wanted.spec.to_string()).collect();
                Err(Error::usage("the configuration has several databases and it is not said which one is meant")
                    .with_hint(format!("name one of {}", there.join(", "))))
            }
        }
    }
}

/// The one of `dumps` that `filter` means, the newest if there is none.
///
/// A name of a file, or a path from the root of the tree or from that of the machine, is all of it or nothing: no beginning
/// and no pattern, so that no dump of another database can be meant. Else it is an ID, the beginning of one, or `latest`.
pub(super) fn pick<'a>(tree: &Tree, wanted: &Wanted, dumps: &'a [Dump], filter: Option<&str>) -> Result<&'a Dump> {
    let filter = filter.unwrap_or("latest");
    let none = |what: String| {
        Error::new(Kind::NotFound, what).with_hint(format!("pg-backup dumps list {} shows what there is", wanted.spec))
    };
    if dumps.is_empty() {
        return Err(none(format!("there is no dump of {} in {}", wanted.spec, tree.root().display())));
    }
    if filter.contains('/') || filter.ends_with(".sql.gz") {
        let within = Path::new(filter).strip_prefix(tree.root()).unwrap_or(Path::new(filter));
        let is_meant = |dump: &&Dump| Path::new(dump.key.as_str()) == within || dump.key.file_name() == filter;
        return match dumps.iter().filter(is_meant).collect::<Vec<_>>().as_slice() {
            [dump] => Ok(dump),
            [] => Err(none(format!("no dump of {} is called {filter:?}", wanted.spec))),
            _ => Err(Error::usage(format!("several dumps are called {filter:?}"))
                .with_hint("give the path, from the root of the tree on")),
        };
    }
    let which: Which = filter.parse().map_err(|error: Error| {
        error.with_hint(
            "give the whole name of a file, its path, an ID, its beginning, latest, latest-verified or latest-proven",
        )
    })?;
    let sound = |dump: &Dump| dump.mark.damaged.is_none();
    let record = |dump: &Dump| Records {
        verified: dump.mark.verified.filter(|_| sound(dump)),
        proven: dump.mark.proven.filter(|_| sound(dump)),
        ..Records::new(dump.id, State::Listed)
    };
    let id = which.of(&dumps.iter().map(record).collect::<Vec<_>>()).map_err(|error| match error.kind() {
        Kind::NotFound => none(format!("{}: {error}", wanted.spec)),
        _ => error,
    })?;
    dumps.iter().find(|dump| dump.id == id).ok_or_else(|| none(format!("there is no dump {id}")))
}
