//! Whether a database is what the manifest of a backup says: counts of objects, rows and their digests, sequences, large objects.

use std::collections::BTreeMap;
use std::fmt::Display;

use backup_core::{Checked, Context, Difference, Doing, Error, Event, Kind, Result, Stored};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::catalog::TableData;
use crate::config::Config;
use crate::connect::{Purpose, Session, connect};
use crate::copy::{self, Slice};
use crate::digest::Rows;
use crate::facts::{Stage, TableFacts};
use crate::quote::{ident, qualified};
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
    for parts in databases {
        let name = target.options.rename.as_deref().unwrap_or(&parts.name);
        let doing = || format!("compare the database {}", ident(name));
        cx.unless_cancelled(database(cx, target, parts, name, &mut checked)).await.doing(doing)?;
    }
    Ok(checked)
}

async fn database(cx: &Context, target: &Restore, parts: &Parts, name: &str, checked: &mut Checked) -> Result<()> {
    let wanted = if target.options.tables.is_empty() { None } else { Some(Wanted::of(parts, &target.options.tables)?) };
    let config = target.config.with_database(name);
    let session = connect(&config, Purpose::Restore).await?;
    let at = |what: String| format!("{what} of the database {}", ident(name));
    if wanted.is_none() {
        let found = counts::read(&session.client).await?;
        for (kind, expected) in parts.post.iter().flat_map(|part| &part.facts.counts) {
            tally(checked, "objects", *expected);
            differ(checked, at(format!("number of {kind}")), expected, &found.get(kind).copied().unwrap_or_default());
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
        sequences(parts, &session, checked, &at).await?;
    }
    session.close().await;
    if parts.pre.iter().any(|part| part.facts.stage == Stage::Script) {
        return Err(Error::new(
            Kind::Unproven,
            "nothing was counted while it was taken: it comes from PostgreSQL's own programs",
        )
        .with_hint("take it with the native reader, or look for yourself with --check-sql after a restore"));
    }
    let tables = tables(parts, wanted.as_ref());
    let jobs = target.options.jobs.max(1).min(tables.len().max(1));
    let sessions = stream::iter(0..jobs).then(|_| as_read(&config)).try_collect::<Vec<_>>().await?;
    let sessions = crate::pool::Pool::new(sessions);
    let found: Vec<(TableFacts, Rows)> = stream::iter(tables)
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
    let mut loaded: BTreeMap<(String, String), (Rows, Rows)> = BTreeMap::new();
    for (table, rows) in found {
        tally(checked, "tables", 1);
        tally(checked, "rows", table.rows.rows);
        let (expected, found) = loaded.entry(table.into.unwrap_or((table.schema, table.name))).or_default();
        *expected += table.rows;
        *found += rows;
    }
    for ((schema, name), (expected, found)) in loaded {
        differ(checked, at(format!("table {}", qualified(&schema, &name))), &Shown(expected), &Shown(found));
    }
    Ok(())
}

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

async fn rows(client: &tokio_postgres::Client, table: &TableFacts) -> Result<Rows> {
    let data = TableData {
        oid: 0,
        schema: table.schema.clone(),
        name: table.name.clone(),
        columns: table.columns.clone(),
        condition: table.condition.clone(),
        pages: 0,
        load_via: None,
        after: Vec::new(),
    };
    let slice = Slice { table: data.into(), range: None, empty: false };
    let read = copy::rows(client, &slice.copy_to(table.encoding.as_deref()), &mut tokio::io::sink()).await;
    read.doing(|| format!("read the rows of {}", qualified(&table.schema, &table.name)))
}

async fn sequences(parts: &Parts, session: &Session, checked: &mut Checked, at: &impl Fn(String) -> String) -> Result<()> {
    let sequences: Vec<_> = parts.data.iter().flat_map(|part| &part.facts.sequences).collect();
    for chunk in sequences.chunks(200) {
        let ask = chunk.iter().map(|one| format!("SELECT last_value, is_called FROM {}", qualified(&one.schema, &one.name)));
        let sql = ask.collect::<Vec<_>>().join(" UNION ALL ");
        let rows = session.client.query(&sql, &[]).await.map_err(|error| crate::pg_error("read the sequences", error))?;
        for (one, row) in chunk.iter().zip(&rows) {
            tally(checked, "sequences", 1);
            let what = at(format!("sequence {}", qualified(&one.schema, &one.name)));
            let found = format!("{}, called: {}", row.get::<_, i64>(0), row.get::<_, bool>(1));
            differ(checked, what, &format!("{}, called: {}", one.last, one.called), &found);
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

fn differ(checked: &mut Checked, what: String, expected: &impl Display, found: &impl Display) {
    let (expected, found) = (expected.to_string(), found.to_string());
    if expected != found {
        checked.differences.push(Difference { what, expected, found });
    }
}
