//! Rows of tables as psql input: `COPY … FROM stdin;`, the rows, `\.`.

use std::sync::{Arc, OnceLock};

use backup_core::{Doing, Error, Facts, Result};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio_postgres::Client;

use crate::catalog::TableData;
use crate::digest::{RowCounter, Rows};
use crate::facts::{PartFacts, TableFacts};
use crate::pg_error::pg_error;
use crate::quote::{ident, literal, qualified};
use crate::raw_text;

/// How many bytes are collected before they are handed on: a row is one message, and most rows are small.
const COLLECTED: usize = 128 * 1024;

/// A table, or the rows of it that lie in a range of pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slice {
    /// Whose rows.
    pub(crate) table: Arc<TableData>,
    /// Which range of the table, counted from 0, and the pages: from the first on, up to the second where there is one.
    pub(crate) range: Option<(u32, u64, Option<u64>)>,
    /// Whether it is known to have no row.
    pub(crate) empty: bool,
}

impl Slice {
    /// `COPY … TO stdout`, in the encoding that the rows are stored in.
    pub(crate) fn copy_to(&self, encoding: Option<&str>) -> String {
        let table = &self.table;
        let end = format!("TO stdout{}", in_encoding(encoding));
        let name = qualified(&table.schema, &table.name);
        let columns = columns(&table.columns);
        let pages = |(_, from, to): (u32, u64, Option<u64>)| {
            let upper = to.map(|to| format!(" AND ctid < '({to},0)'")).unwrap_or_default();
            format!(" WHERE ctid >= '({from},0)'{upper}")
        };
        match (&table.condition, self.range) {
            (None, None) => format!("COPY {name}{} {end}", in_parentheses(&columns)),
            (Some(condition), _) => format!("COPY (SELECT {columns} FROM ONLY {name} {condition}) {end}"),
            (None, Some(range)) => format!("COPY (SELECT {columns} FROM ONLY {name}{}) {end}", pages(range)),
        }
    }

    /// What is known of it before its rows have been read.
    fn facts(&self, encoding: Option<&str>) -> TableFacts {
        TableFacts {
            schema: self.table.schema.clone(),
            name: self.table.name.clone(),
            columns: self.table.columns.clone(),
            condition: self.table.condition.clone(),
            into: self.table.load_via.clone(),
            range: self.range.map(|(number, ..)| number),
            encoding: encoding.map(str::to_owned),
            rows: Rows::default(),
        }
    }
}

/// `COPY … FROM stdin;`, by which a part tells whose rows follow.
pub(crate) fn copy_from(table: &TableFacts) -> String {
    let (schema, name) = table.into.as_ref().map_or((&table.schema, &table.name), |(schema, name)| (schema, name));
    let columns = in_parentheses(&columns(&table.columns));
    format!("COPY {}{columns} FROM stdin{};\n", qualified(schema, name), in_encoding(table.encoding.as_deref()))
}

/// The encoding of rows, apart from that of the statement: not every character of every encoding is one of UTF-8.
fn in_encoding(encoding: Option<&str>) -> String {
    encoding.map(|encoding| format!(" WITH (ENCODING {})", literal(encoding))).unwrap_or_default()
}

fn columns(columns: &[String]) -> String {
    columns.iter().map(|column| ident(column)).collect::<Vec<_>>().join(", ")
}

/// A table of no columns has no list: `COPY t FROM stdin` takes empty lines.
fn in_parentheses(columns: &str) -> String {
    if columns.is_empty() { String::new() } else { format!(" ({columns})") }
}

/// Writes `header` and then each of `slices`, counting the rows; sets `facts` at the end.
///
/// Rows are of this `encoding`; of the header's if there is none.
pub(crate) async fn write(
    client: &Client,
    header: Bytes,
    encoding: Option<&str>,
    slices: &[Slice],
    mut known: PartFacts,
    facts: &OnceLock<Facts>,
    mut out: impl AsyncWrite + Unpin,
) -> Result<()> {
    out.write_all(&header).await?;
    for slice in slices {
        if slice.table.columns.iter().any(|column| raw_text::is_raw(column)) {
            let name = qualified(&slice.table.schema, &slice.table.name);
            return Err(Error::failed(format!("a column of the table {name} has a name that is no UTF-8"))
                .with_hint("rename it, or take the cluster with --source pg_dumpall"));
        }
        let mut table = slice.facts(encoding);
        let begin = format!("\n{}", copy_from(&table));
        out.write_all(begin.as_bytes()).await?;
        if !slice.empty {
            let read = rows(client, &slice.copy_to(encoding), &mut out).await;
            table.rows = read.doing(|| format!("read the rows of {}", qualified(&table.schema, &table.name)))?;
        }
        out.write_all(b"\\.\n").await?;
        known.tables.push(table);
    }
    // Before the end of file, which whoever reads sees only after this.
    let _ = facts.set(known.to_facts());
    out.shutdown().await?;
    Ok(())
}

/// Streams what `copy` gives into `out`, row by row, and counts it.
pub(crate) async fn rows(client: &Client, copy: &str, out: &mut (impl AsyncWrite + Unpin)) -> Result<Rows> {
    let stream = client.copy_out(copy).await.map_err(|error| pg_error("copy rows out", error))?;
    let mut stream = std::pin::pin!(stream);
    let mut counter = RowCounter::default();
    let mut collected = Vec::with_capacity(COLLECTED);
    while let Some(row) = stream.next().await {
        let row = row.map_err(|error| pg_error("copy rows out", error))?;
        // Before anything of it is written.
        counter.add(&row)?;
        if collected.len() + row.len() > COLLECTED {
            out.write_all(&collected).await?;
            collected.clear();
        }
        // A wide row is not copied: others are on their way already, up to five where what takes them is slow.
        if row.len() > COLLECTED {
            out.write_all(&row).await?;
        } else {
            collected.extend_from_slice(&row);
        }
    }
    out.write_all(&collected).await?;
    counter.finish()
}
