//! `--check-sql`: queries of the user's and what they show.

use backup_cli::{Face, one_line};
use backup_core::{Context, Error, Result};
use backup_pg::{Config, Table, check_sql};
use clap::Args;

/// Queries to run on what was restored.
#[derive(Debug, Clone, Args)]
pub(crate) struct Check {
    /// Run this query on what was restored and show its rows; may be given several times
    #[arg(long = "check-sql", value_name = "SQL")]
    queries: Vec<String>,
    /// The database that the queries are run in, if several were restored
    #[arg(long = "check-database", value_name = "NAME", requires = "queries")]
    database: Option<String>,
}

impl Check {
    /// As if the options said so.
    pub(crate) fn new(queries: Vec<String>, database: Option<String>) -> Self {
        Self { queries, database }
    }

    /// Runs the queries on the server at `config`, where `restored` are the databases.
    pub(crate) async fn run(&self, cx: &Context, config: &Config, restored: &[String]) -> Result<Vec<Table>> {
        if self.queries.is_empty() {
            return Ok(Vec::new());
        }
        let own = restored.iter().filter(|name| !matches!(name.as_str(), "postgres" | "template1"));
        let own: Vec<&String> = own.collect();
        let database = match (&self.database, own.as_slice(), restored) {
            (Some(name), ..) | (None, [], [name]) => name,
            (None, [name], _) => *name,
            _ => {
                return Err(Error::usage("several databases were restored and it is not said which one to check")
                    .with_hint("name it with --check-database"));
            }
        };
        cx.unless_cancelled(check_sql(&config.with_database(database.as_str()), &self.queries)).await
    }

    /// Prints what they showed.
    pub(crate) fn show(face: &Face, tables: &[Table]) -> Result<()> {
        for table in tables {
            let mut lines = vec![format!("check {}", table.query), table.columns.join(" | ")];
            lines.extend(table.rows.iter().map(|row| {
                let values: Vec<&str> = row.iter().map(|value| value.as_deref().unwrap_or("NULL")).collect();
                values.join(" | ")
            }));
            lines.push(format!("({} rows)", table.count));
            let lines: Vec<String> = lines.iter().map(|line| one_line(line)).collect();
            face.report.result(&lines.join("\n"), table)?;
        }
        Ok(())
    }
}
