//! Queries of the user's, run on what was restored: "verify that your data is displayed".

use std::pin::pin;

use backup_core::{Kind, Result};
use futures_util::TryStreamExt;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::config::Config;
use crate::connect::{Purpose, connect};
use crate::pg_error::pg_error;

/// How many rows of a query are shown.
const SHOWN: usize = 100;

/// What a query gave back.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Table {
    /// The query.
    pub query: String,
    /// Names of its columns.
    pub columns: Vec<String>,
    /// Its first 100 rows, values as text.
    pub rows: Vec<Vec<Option<String>>>,
    /// How many rows it gave.
    pub count: u64,
}

/// Runs `queries`, each a single statement, in the database of `config`, in a transaction that cannot write.
///
/// A query that fails is [`Kind::Unproven`]: what it was to show could not be shown.
pub async fn check_sql(config: &Config, queries: &[String]) -> Result<Vec<Table>> {
    let session = connect(config, Purpose::Ask).await?;
    let mut tables = Vec::new();
    for query in queries {
        session.client.batch_execute("BEGIN READ ONLY").await.map_err(|error| pg_error("begin a check", error))?;
        let table = run(&session.client, query).await;
        tables.push(table.map_err(|error| pg_error(format!("run the check {query}"), error).with_kind(Kind::Unproven))?);
        session.client.batch_execute("ROLLBACK").await.map_err(|error| pg_error("end a check", error))?;
    }
    session.close().await;
    Ok(tables)
}

async fn run(client: &Client, query: &str) -> Result<Table, tokio_postgres::Error> {
    // The server prepares one statement only: a second one could end the transaction and write after all.
    client.prepare(query).await?;
    let mut table = Table { query: query.to_owned(), columns: Vec::new(), rows: Vec::new(), count: 0 };
    let mut answer = pin!(client.simple_query_raw(query).await?);
    while let Some(message) = answer.try_next().await? {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                table.columns = columns.iter().map(|column| column.name().to_owned()).collect();
            }
            SimpleQueryMessage::Row(row) => {
                table.count += 1;
                if table.rows.len() < SHOWN {
                    table.rows.push((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect());
                }
            }
            _ => {}
        }
    }
    Ok(table)
}
