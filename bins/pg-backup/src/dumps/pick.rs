//! Which database and which dump of it is meant.

use std::path::Path;

use backup_core::{Error, Kind, Records, Result, State, Which};
use backup_service::container::Spec;
use backup_service::tree::Dump;

use crate::shelf::{Kept, Shelf};

impl Shelf {
    /// The databases of the configuration that `spec` means: the name that the dumps have, which is that of a job, or
    /// `host:port/database`, `host/database`, `database`; all of them for `all` or nothing. Names count as a whole.
    pub(super) fn wanted(&self, spec: Option<&str>) -> Result<Vec<&Kept>> {
        let Some(text) = spec.filter(|text| *text != "all") else { return Ok(self.kept.iter().collect()) };
        if let Some(kept) = self.kept.iter().find(|kept| kept.core == text) {
            return Ok(vec![kept]);
        }
        let named: Option<Spec> = text.parse().ok();
        let is_meant = |kept: &&Kept| match &named {
            Some(Spec { host, port, database, .. }) => {
                let its = kept.server.get("port").unwrap_or("5432");
                kept.is_at(host) && kept.database == *database && port.is_none_or(|port| port.to_string() == its)
            }
            None => kept.database == text,
        };
        let found: Vec<&Kept> = self.kept.iter().filter(is_meant).collect();
        match found.as_slice() {
            [_] => Ok(found),
            several => {
                let there = if several.is_empty() { names(&self.kept) } else { names(several.iter().copied()) };
                let (kind, how) = if several.is_empty() { (Kind::NotFound, "no") } else { (Kind::Usage, "more than one") };
                Err(Error::new(kind, format!("{how} database of the configuration is called {text:?}"))
                    .with_hint(format!("name one of {there}")))
            }
        }
    }

    /// The one database that is meant.
    pub(super) fn one(&self, spec: Option<&str>) -> Result<&Kept> {
        match self.wanted(spec)?.as_slice() {
            [kept] => Ok(kept),
            several => {
                let there = names(several.iter().copied());
                Err(Error::usage("the configuration has several databases and it is not said which one is meant")
                    .with_hint(format!("name one of {there}")))
            }
        }
    }
}

/// What the configuration calls them.
fn names<'k>(kept: impl IntoIterator<Item = &'k Kept>) -> String {
    kept.into_iter().map(|kept| &*kept.name).collect::<Vec<_>>().join(", ")
}

/// The one of `dumps` that `filter` means.
///
/// A name of a file, or a path from the root of the tree or from that of the machine, is all of it or nothing: no beginning
/// and no pattern, so that no dump of another database can be meant. Else it is an ID, the beginning of one, or `latest`.
pub(super) fn pick<'a>(kept: &Kept, dumps: &'a [Dump], filter: &str) -> Result<&'a Dump> {
    let (name, root) = (&kept.name, kept.tree.root());
    let none =
        |what: String| Error::new(Kind::NotFound, what).with_hint(format!("pg-backup dumps list {name} shows what there is"));
    if dumps.is_empty() {
        return Err(none(format!("there is no dump of {name} in {}", root.display())));
    }
    if filter.contains('/') || filter.ends_with(".sql.gz") {
        let within = Path::new(filter).strip_prefix(root).unwrap_or(Path::new(filter));
        let is_meant = |dump: &&Dump| Path::new(dump.key.as_str()) == within || dump.key.file_name() == filter;
        return match dumps.iter().filter(is_meant).collect::<Vec<_>>().as_slice() {
            [dump] => Ok(dump),
            [] => Err(none(format!("no dump of {name} is called {filter:?}"))),
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
        Kind::NotFound => none(format!("{name}: {error}")),
        _ => error,
    })?;
    dumps.iter().find(|dump| dump.id == id).ok_or_else(|| none(format!("there is no dump {id}")))
}
