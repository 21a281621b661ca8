//! What a database is made of, as SQL: everything but its rows.

use backup_core::{Doing, Error, Result};
use tokio_postgres::Client;

use crate::catalog::Catalog;
use crate::graph::{self, Step};
use crate::object::{Kind, Section};
use crate::version::Version;

/// The statements that recreate the objects of a database, without its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Run before the rows are loaded.
    pub pre: String,
    /// Run after.
    pub post: String,
}

/// Settings that a session needs before it plays any part, as one block of statements.
///
/// They are what pg_dump writes (`_doSetFixedOutputState`), and `default_transaction_read_only = off`: a database can have
/// it on, and could not be restored otherwise.
pub fn header(version: Version, encoding: &str) -> String {
    let timeout = if version.at_least(17) { "SET transaction_timeout = 0;\n" } else { "" };
    format!(
        "SET statement_timeout = 0;\nSET lock_timeout = 0;\nSET idle_in_transaction_session_timeout = 0;\n{timeout}\
         SET client_encoding = '{encoding}';\nSET standard_conforming_strings = on;\n\
         SELECT pg_catalog.set_config('search_path', '', false);\nSET check_function_bodies = false;\n\
         SET xmloption = content;\nSET lc_monetary = 'C';\nSET datestyle = 'ISO, MDY';\nSET intervalstyle = 'postgres';\nSET client_min_messages = warning;\nSET row_security = off;\n\
         SET default_transaction_read_only = off;\nSET default_tablespace = '';\n"
    )
}

/// Reads the definition of the database that `client` is connected to, in a transaction of its own.
pub async fn definition(client: &mut Client) -> Result<Definition> {
    let number = client.query_one("SHOW server_version_num", &[]).await.doing(|| "ask for the server's version")?;
    let number: String = number.get(0);
    let version = Version(number.parse().map_err(|_| Error::failed(format!("the server calls its version {number:?}")))?);
    let transaction = client
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await
        .doing(|| "begin a snapshot")?;
    transaction.batch_execute("SET LOCAL search_path = ''").await.doing(|| "empty the search path")?;
    let catalog = Catalog::read(transaction.client(), version).await?;
    sections(&catalog)
}

/// The statements of `catalog`, in order.
pub(crate) fn sections(catalog: &Catalog) -> Result<Definition> {
    let mut definition = Definition { pre: String::new(), post: String::new() };
    let steps = graph::order(&catalog.objects, &catalog.edges)?;
    // Before privileges: a foreign key is checked with the rights of the table's owner, who may have none.
    let (last, first): (Vec<&Step<'_>>, Vec<&Step<'_>>) = steps.iter().partition(|step| step.object.id.kind >= Kind::Acl);
    for step in first {
        let text = if step.section == Section::Pre { &mut definition.pre } else { &mut definition.post };
        text.push_str(step.sql());
    }
    for step in steps.iter().filter(|step| !step.early) {
        definition.post.push_str(&step.object.acl);
    }
    // Behind them: a materialized view is filled with the rights of its owner, who may have been given them.
    definition.post.extend(last.into_iter().map(Step::sql));
    Ok(definition)
}
