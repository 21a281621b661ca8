//! Whether the objects of a database are defined as in the backup: their statements are read again and compared.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use backup_core::{Checked, Context, Difference, Doing, Error, Event, Result, Stored};
use tokio::io::AsyncReadExt;
use xxhash_rust::xxh3::xxh3_128;

use super::normal::normal;
use super::{NONE, tally};
use crate::catalog::Catalog;
use crate::config::Config;
use crate::facts::{ObjectFacts, PartFacts};
use crate::inventory::Inventory;
use crate::object::Kind;
use crate::quote::qualified;
use crate::raw_text;
use crate::restore::{Loaded, Parts};

/// What identifies a definition wherever it is: kind, schema and name.
type Key = (String, String, String);

/// The definitions of each key, in no order.
type Definitions = BTreeMap<Key, Vec<One>>;

/// One of several statements that have a key in common, such as the indexes of a table.
struct One {
    hash: u128,
    head: String,
}

/// How many characters of a statement stand for it.
const HEAD: usize = 100;

/// How many statements a difference shows.
const SHOWN: usize = 3;

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
    let inventory = Inventory::to_be_read(&session.client, session.version).await?;
    let catalog = Catalog::read(&session.client, session.version, inventory).await?;
    session.close().await;
    let mut found = Definitions::new();
    for object in catalog.objects {
        let [schema, name, _] = object.order;
        let kind = format!("{:?}", object.id.kind);
        let acl = (format!("{:?}", Kind::Acl), schema.clone(), name.clone());
        add(&mut found, acl, &raw_text::to_bytes(object.acl));
        add(&mut found, (kind, schema, name), &raw_text::to_bytes(object.create));
    }
    let expected = stored(backup, parts).await?;
    tally(checked, "definitions", expected.values().map(|all| all.len() as u64).sum());
    let keys: BTreeSet<&Key> = expected.keys().chain(found.keys()).collect();
    for key @ (kind, schema, name) in keys {
        let (expected, found) =
            (expected.get(key).map_or(&[][..], Vec::as_slice), found.get(key).map_or(&[][..], Vec::as_slice));
        let (lost, new) = (without(expected, found), without(found, expected));
        if !lost.is_empty() || !new.is_empty() {
            let name = if schema.is_empty() { crate::quote::ident(name) } else { qualified(schema, name) };
            let what = at(format!("{} {name}", words(kind)));
            checked.differences.push(Difference { what, expected: shown(&lost), found: shown(&new) });
        }
    }
    Ok(())
}

/// What is in `these` and not in `those`, each as often as it is.
fn without<'a>(these: &'a [One], those: &[One]) -> Vec<&'a One> {
    let mut there: BTreeMap<u128, usize> = BTreeMap::new();
    those.iter().for_each(|one| *there.entry(one.hash).or_default() += 1);
    let is_new = |one: &&One| match there.get_mut(&one.hash) {
        Some(left @ 1..) => {
            *left -= 1;
            false
        }
        _ => true,
    };
    these.iter().filter(is_new).collect()
}

/// The begin of each statement, and a few digits of what they are told apart by.
fn shown(all: &[&One]) -> String {
    let mut shown: Vec<String> = all.iter().take(SHOWN).map(|one| format!("{} ({:08x})", one.head, one.hash >> 96)).collect();
    match all.len() {
        0 => return NONE.to_owned(),
        more if more > SHOWN => shown.push(format!("{} more", more - SHOWN)),
        _ => {}
    }
    shown.join(", ")
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
    if sql.is_empty() {
        return;
    }
    let is_acl = key.0 == format!("{:?}", Kind::Acl);
    let all = definitions.entry(key).or_default();
    if is_acl {
        privileges(sql, |statement| all.push(One { hash: xxh3_128(statement), head: head(statement) }));
    } else {
        all.push(One { hash: xxh3_128(&normal(sql)), head: head(sql) });
    }
}

/// The begin of a statement without values, among which there are passwords.
fn head(sql: &[u8]) -> String {
    let end = sql.iter().position(|byte| b"'$\n;".contains(byte)).unwrap_or(sql.len());
    let text = String::from_utf8_lossy(sql.get(..end).unwrap_or_default());
    text.trim_end_matches([' ', '(']).chars().take(HEAD).collect()
}

/// Each of the privileges that `sql` gives or takes, with whoever does so: in which order they were given is no difference.
fn privileges(sql: &[u8], mut each: impl FnMut(&[u8])) {
    let mut by: &[u8] = b"";
    for line in sql.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"SET SESSION AUTHORIZATION ") {
            by = line;
        } else if line.starts_with(b"RESET SESSION AUTHORIZATION;") {
            by = b"";
        } else {
            each(&[by, line].concat());
        }
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
