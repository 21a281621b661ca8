//! Whether a database is what a backup says: counts of objects, definitions, rows and their digests, sequences, large objects.

mod definitions;
mod normal;
mod shared;

use std::collections::BTreeMap;
use std::fmt::Display;

use backup_core::{Checked, Context, Difference, Doing, Error, Event, Kind, Result, Stored};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio_postgres::Client;

use crate::catalog::TableData;
use crate::config::Config;
use crate::connect::{Purpose, Session, connect};
use crate::copy::{self, Slice};
use crate::digest::Rows;
use crate::facts::{Stage, TableFacts};
use crate::quote::{ident, literal, qualified};
use crate::restore::{Layout, Parts, Restore, Wanted};
use crate::{counts, large_objects};

/// Compares what `target` would restore with what is there.
pub(crate) async fn compare(cx: &Context, target: &Restore, backup: &dyn Stored) -> Result<Checked> {
    let layout = Layout::read(backup, !target.options.tables.is_empty())?;
    let databases = layout.select(&target.options.only)?;
    let tables: usize = databases.iter().map(|parts| parts.rows().len()).sum();
    cx.tell(Event::Begun { what: "compare", parts: tables, bytes: None });
    let whole = target.options.only.is_empty() && target.options.tables.is_empty();
    let mut checked = Checked { whole, ..Checked::default() };
    if whole {
        let shared = shared::compare(&target.config, backup, &mut checked);
        cx.unless_cancelled(shared).await.doing(|| "compare what the databases share")?;
    }
    for parts in databases {
        let name = target.options.rename.as_deref().unwrap_or(&parts.name);
        let doing = || format!("compare the database {}", ident(name));
        cx.unless_cancelled(Box::pin(database(cx, target, backup, parts, name, &mut checked))).await.doing(doing)?;
    }
    Ok(checked)
}

async fn database(
    cx: &Context,
    target: &Restore,
    backup: &dyn Stored,
    parts: &Parts,
    name: &str,
    checked: &mut Checked,
) -> Result<()> {
    let wanted = if target.options.tables.is_empty() { None } else { Some(Wanted::of(parts, &target.options.tables)?) };
    let config = target.config.with_database(name);
    let session = connect(&config, Purpose::Restore).await?;
    let at = |what: String| format!("{what} of the database {}", ident(name));
    if wanted.is_none() {
        let found = counts::read(&session.client, session.version).await?;
        for (kind, expected) in parts.post.iter().flat_map(|part| &part.facts.counts) {
            number(checked, at(format!("number of {kind}")), *expected, found.get(kind));
        }
        let expected = parts.data.iter().find_map(|part| part.facts.large_objects);
        if let Some(expected) = expected {
            tally(checked, "large object pieces", expected.rows);
            differ(
                checked,
                at("large objects".into()),
                &Shown(expected),
                &Shown(large_objects::digest(&session.client).await?),
            );
        }
        sequences(parts, &session.client, checked, &at).await?;
    }
    session.close().await;
    if parts.pre.iter().any(|part| part.facts.stage == Stage::Script) {
        return Err(Error::new(
            Kind::Unproven,
            "nothing was counted while it was taken: it comes from PostgreSQL's own programs",
        )
        .with_hint("take it with the native reader, or look for yourself with --check-sql after a restore"));
    }
    if wanted.is_none() {
        Box::pin(definitions::compare(cx, &config, backup, parts, checked, &at)).await?;
    }
    let tables = tables(parts, wanted.as_ref());
    let jobs = target.options.jobs.max(1).min(tables.len().max(1));
    let sessions = stream::iter(0..jobs).then(|_| as_read(&config)).try_collect::<Vec<_>>().await?;
    let sessions = crate::pool::Pool::new(sessions);
    let found: Vec<(TableFacts, Option<Rows>)> = stream::iter(tables)
        .map(|table| async {
            let lease = sessions.lease().await?;
            let rows = rows(lease.client(), &table).await;
            lease.give_back();
            let part = qualified(&table.schema, &table.name).parse()?;
            cx.tell(Event::PartDone { part: &part, bytes: 0 });
            Ok::<_, Error>((table, rows?))
        })
        .buffer_unordered(jobs)
        .try_collect()
        .await?;
    // Rows of a table that is loaded through another may have come back in a sister of theirs.
    let mut loaded: BTreeMap<(String, String), (Rows, Option<Rows>)> = BTreeMap::new();
    for (table, rows) in found {
        tally(checked, "tables", 1);
        tally(checked, "rows", table.rows.rows);
        let place = table.into.unwrap_or((table.schema, table.name));
        let (expected, found) = loaded.entry(place).or_insert((Rows::default(), Some(Rows::default())));
        *expected += table.rows;
        *found = found.zip(rows).map(|(mut found, rows)| {
            found += rows;
            found
        });
    }
    for ((schema, name), (expected, found)) in loaded {
        let what = at(format!("table {}", qualified(&schema, &name)));
        match found {
            Some(found) => differ(checked, what, &Shown(expected), &Shown(found)),
            None => differ(checked, what, &Shown(expected), &NONE),
        }
    }
    Ok(())
}

/// What is found of something that is not there.
const NONE: &str = "none";

/// A connection that reads rows as they were read when they were backed up.
async fn as_read(config: &Config) -> Result<Session> {
    let session = connect(config, Purpose::Dump).await?;
    if session.encoding == "SQL_ASCII" {
        session.execute("SET client_encoding = 'SQL_ASCII'").await?;
    }
    Ok(session)
}

/// The tables of the parts, ranges added up.
fn tables(parts: &Parts, wanted: Option<&Wanted>) -> Vec<TableFacts> {
    let mut tables: BTreeMap<(String, String), TableFacts> = BTreeMap::new();
    for table in parts.data.iter().flat_map(|part| &part.facts.tables) {
        if wanted.is_some_and(|wanted| !wanted.has(&table.schema, &table.name)) {
            continue;
        }
        match tables.entry((table.schema.clone(), table.name.clone())) {
            std::collections::btree_map::Entry::Occupied(mut entry) => entry.get_mut().rows += table.rows,
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(table.clone());
            }
        }
    }
    tables.into_values().collect()
}

/// The rows of a table; `None` if there is no such table, or one without these columns.
async fn rows(client: &Client, table: &TableFacts) -> Result<Option<Rows>> {
    let data = TableData {
        oid: 0,
        schema: table.schema.clone(),
        name: table.name.clone(),
        columns: table.columns.clone(),
        condition: table.condition.clone(),
        load_via: None,
        after: Vec::new(),
    };
    let slice = Slice { table: data.into(), range: None, empty: false };
    let read = copy::rows(client, &slice.copy_to(table.encoding.as_deref()), &mut tokio::io::sink()).await;
    match read {
        Err(_) if !is_there(client, table).await? => Ok(None),
        read => read.doing(|| format!("read the rows of {}", qualified(&table.schema, &table.name))).map(Some),
    }
}

async fn is_there(client: &Client, table: &TableFacts) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1) AND c.relkind = 'r' \
               AND pg_catalog.cardinality($2::pg_catalog.text[]) = (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute a \
               WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname::pg_catalog.text = ANY ($2)))";
    let row = client.query_one(sql, &[&qualified(&table.schema, &table.name), &table.columns]).await;
    Ok(row.map_err(|error| crate::pg_error("look for the table", error))?.get(0))
}

async fn sequences(parts: &Parts, client: &Client, checked: &mut Checked, at: &impl Fn(String) -> String) -> Result<()> {
    let sequences: Vec<_> = parts.data.iter().flat_map(|part| &part.facts.sequences).collect();
    let doing = |error| crate::pg_error("read the sequences", error);
    for chunk in sequences.chunks(200) {
        let names: Vec<String> = chunk.iter().map(|one| qualified(&one.schema, &one.name)).collect();
        let sql = "SELECT s.name FROM pg_catalog.unnest($1::pg_catalog.text[]) s (name) \
                   JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(s.name) AND c.relkind = 'S'";
        let rows = client.query(sql, &[&names]).await.map_err(doing)?;
        let there: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let ask =
            there.iter().map(|name| format!("SELECT {}::pg_catalog.text, last_value, is_called FROM {name}", literal(name)));
        let sql = ask.collect::<Vec<_>>().join(" UNION ALL ");
        let rows = if there.is_empty() { Vec::new() } else { client.query(&sql, &[]).await.map_err(doing)? };
        let shown = |last: i64, called: bool| format!("{last}, called: {called}");
        let found: BTreeMap<&str, String> = rows.iter().map(|row| (row.get(0), shown(row.get(1), row.get(2)))).collect();
        for (one, name) in chunk.iter().zip(&names) {
            tally(checked, "sequences", 1);
            let found = found.get(name.as_str()).map_or(NONE, String::as_str);
            differ(checked, at(format!("sequence {name}")), &shown(one.last, one.called), &found);
        }
    }
    Ok(())
}

struct Shown(Rows);

impl Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows, digest {}", self.0.rows, self.0.digest)
    }
}

fn tally(checked: &mut Checked, what: &str, count: u64) {
    *checked.counts.entry(what.to_owned()).or_default() += count;
}

/// Compares how many objects there are of a kind.
fn number(checked: &mut Checked, what: String, expected: u64, found: Option<&u64>) {
    tally(checked, "objects", expected);
    differ(checked, what, &expected, &found.copied().unwrap_or_default());
}

fn differ(checked: &mut Checked, what: String, expected: &impl Display, found: &impl Display) {
    let (expected, found) = (expected.to_string(), found.to_string());
    if expected != found {
        checked.differences.push(Difference { what, expected, found });
    }
}
