//! Whether the objects of a database are defined as in the backup: their statements are read again and compared.

use std::collections::{BTreeMap, HashSet};

use backup_core::{Checked, Context, Doing, Error, Event, Result, Stored};
use tokio::io::AsyncReadExt;

use super::normal::normal;
use super::{NONE, differ, tally};
use crate::catalog::Catalog;
use crate::config::Config;
use crate::digest::Rows;
use crate::facts::{ObjectFacts, PartFacts};
use crate::object::Kind;
use crate::quote::qualified;
use crate::raw_text;
use crate::restore::{Loaded, Parts};

/// What identifies a definition wherever it is: kind, schema and name.
type Key = (String, String, String);

/// The definitions of each key, and the sum of their hashes.
type Definitions = BTreeMap<Key, Rows>;

/// Compares the definitions of one database, which `config` is.
///
/// Not if they were read by another version of this crate, or from a server of another series: the same objects have other
/// statements then.
pub(super) async fn compare(
    cx: &Context,
    config: &Config,
    backup: &dyn Stored,
    parts: &Parts,
    checked: &mut Checked,
    at: &impl Fn(String) -> String,
) -> Result<()> {
    let session = super::as_read(config).await?;
    let origin = &backup.manifest().origin;
    let reader = origin.facts.get("reader").and_then(|reader| reader.as_str());
    let series = crate::Version::of_program(&format!("(PostgreSQL) {}", origin.version)).map(crate::Version::major);
    if reader != Some(crate::facts::READER) || series != Some(session.version.major()) {
        let why =
            if reader == Some(crate::facts::READER) { "a server of another series" } else { "another version of the program" };
        let what = format!(
            "{}: {why} took the backup, and tells them in other words",
            at("definitions are counted, not compared".into())
        );
        cx.tell(Event::Warning { what: &what });
        return Ok(());
    }
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let catalog = Catalog::read(&session.client, session.version).await?;
    session.close().await;
    let mut found = Definitions::new();
    for object in catalog.objects {
        let [schema, name, _] = object.order;
        let kind = format!("{:?}", object.id.kind);
        if !object.acl.is_empty() {
            add(&mut found, (format!("{:?}", Kind::Acl), schema.clone(), name.clone()), &raw_text::to_bytes(object.acl));
        }
        add(&mut found, (kind, schema, name), &raw_text::to_bytes(object.create));
    }
    let expected = stored(backup, parts).await?;
    tally(checked, "definitions", expected.values().map(|definitions| definitions.rows).sum());
    let keys: std::collections::BTreeSet<&Key> = expected.keys().chain(found.keys()).collect();
    for key @ (kind, schema, name) in keys {
        let shown = |of: &Definitions| {
            of.get(key).map_or_else(|| NONE.to_owned(), |one| format!("{}, digest {}", one.rows, one.digest))
        };
        let name = if schema.is_empty() { crate::quote::ident(name) } else { qualified(schema, name) };
        differ(checked, at(format!("{} {name}", words(kind))), &shown(&expected), &shown(&found));
    }
    Ok(())
}

/// `definition of statistics app.s`, `privileges on app.t`.
fn words(kind: &str) -> String {
    if kind == format!("{:?}", Kind::Acl) {
        return "privileges on".to_owned();
    }
    let mut words = "definition of ".to_owned();
    for (at, c) in kind.char_indices() {
        if c.is_ascii_uppercase() && at > 0 {
            words.push('-');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

/// Adds one; privileges of what the system made have no definition beside them.
fn add(definitions: &mut Definitions, key: Key, sql: &[u8]) {
    if !sql.is_empty() {
        definitions.entry(key).or_default().add_row(&normal(sql));
    }
}

/// The definitions of a backup, a statement in memory at a time.
async fn stored(backup: &dyn Stored, parts: &Parts) -> Result<Definitions> {
    let loaded = || parts.pre.iter().chain(&parts.indexes).chain(&parts.post);
    // Types and views that are made in two steps are there twice; the second one is whole.
    let mut steps: Vec<(String, u32)> = Vec::new();
    for part in loaded() {
        let can = |object: &ObjectFacts| ["Type", "Relation"].contains(&object.kind.as_str());
        steps.extend(objects(backup, part)?.into_iter().filter(can).map(|object| (object.kind, object.oid)));
    }
    steps.sort_unstable();
    let mut first: HashSet<(String, u32)> = steps.windows(2).filter(|two| two[0] == two[1]).map(|two| two[0].clone()).collect();
    drop(steps);
    let mut definitions = Definitions::new();
    for part in loaded() {
        let doing = || format!("read the definitions of {}", part.name);
        let mut body = backup.read(&part.name).await.doing(doing)?;
        let objects = objects(backup, part)?;
        let length: u64 = objects.iter().map(|object| object.length as u64).sum();
        let wrong = || Error::damaged("the manifest does not say where the statements of a part lie");
        let header = part.size.checked_sub(length).ok_or_else(wrong)?;
        tokio::io::copy(&mut (&mut body).take(header), &mut tokio::io::sink()).await.doing(doing)?;
        for object in objects {
            let mut sql = Vec::new();
            (&mut body).take(object.length as u64).read_to_end(&mut sql).await.doing(doing)?;
            if !first.remove(&(object.kind.clone(), object.oid)) {
                add(&mut definitions, (object.kind, object.schema, object.name), &sql);
            }
        }
    }
    Ok(definitions)
}

/// What a part creates: read again, since a restore needs it no longer.
fn objects(backup: &dyn Stored, part: &Loaded) -> Result<Vec<ObjectFacts>> {
    let stored = backup.manifest().parts.iter().find(|stored| stored.name == part.name);
    let missing = || Error::damaged(format!("the manifest has no part {}", part.name));
    let stored = stored.ok_or_else(missing)?;
    Ok(PartFacts::from_facts(&stored.name, &stored.facts)?.objects)
}
