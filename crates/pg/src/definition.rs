//! What a database is made of, as SQL: everything but its rows.

use std::collections::{BTreeMap, HashMap};

use backup_core::{Doing, Error, Result};
use tokio_postgres::Client;

use crate::catalog::Catalog;
use crate::connect::Purpose;
use crate::facts::Stage;
use crate::inventory::Inventory;
use crate::pg_error::pg_error;
use crate::plan::{Content, Cut, Planner};
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
/// They are what pg_dump writes (`_doSetFixedOutputState`), `array_nulls = on`, without which a NULL in an array would become
/// text, and `default_transaction_read_only = off`: a database can have it on, and could not be restored otherwise.
pub fn header(version: Version, encoding: &str) -> String {
    let timeout = if version.at_least(17) { "SET transaction_timeout = 0;\n" } else { "" };
    format!(
        "SET statement_timeout = 0;\nSET lock_timeout = 0;\nSET idle_in_transaction_session_timeout = 0;\n{timeout}\
         SET client_encoding = '{encoding}';\nSET standard_conforming_strings = on;\n\
         SELECT pg_catalog.set_config('search_path', '', false);\nSET check_function_bodies = false;\n\
         SET xmloption = content;\nSET array_nulls = on;\nSET lc_monetary = 'C';\nSET datestyle = 'ISO, MDY';\nSET intervalstyle = 'postgres';\n\
         SET client_min_messages = warning;\nSET row_security = off;\n\
         SET default_transaction_read_only = off;\nSET default_tablespace = '';\n"
    )
}

/// Reads the definition of the database that `client` is connected to, in a transaction of its own, whatever its settings are.
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
    // They go with the transaction, which is not committed.
    let pinned = crate::pin(transaction.client(), Purpose::Dump).await;
    pinned.map_err(|error| pg_error("pin the settings of the session", error))?;
    let inventory = Inventory::to_be_read(transaction.client(), version).await?;
    let catalog = Catalog::read(transaction.client(), version, inventory).await?;
    let (sizes, header) = (HashMap::new(), header(version, "UTF8"));
    let cut = Cut { range: u64::MAX, pack: u64::MAX, ranges: false };
    let planner = Planner { database: "", folder: None, header: &header, sizes: &sizes, cut, clean: false };
    let mut definition = Definition { pre: String::new(), post: String::new() };
    for planned in planner.parts(catalog.without_data(), false, BTreeMap::new())? {
        let Content::Text(text) = &planned.content else { continue };
        let into = if planned.facts.stage == Stage::Pre { &mut definition.pre } else { &mut definition.post };
        into.push_str(&String::from_utf8_lossy(text));
    }
    Ok(definition)
}
