//! A MongoDB server as a place where a backup comes back, and where it is compared.

use std::collections::BTreeSet;

use async_trait::async_trait;
use backup_core::{Checked, Context, Difference, Event, Name, Restored, Result, Stored, Target};
use mongodb::Client;

use crate::config::Config;
use crate::connect::connect;
use crate::diagnose::{Extent, Found, missing_indexes};
use crate::digest::Counted;
use crate::dump::{Dump, StoredDump};
use crate::heal::look;
use crate::pace::Pace;
use crate::restore::{Planned, RestoreOptions, Run, Selection, count, is_users, plan, restore, source};

/// A server into which a backup, or what is selected of it, is restored. Nothing that is there is replaced.
#[derive(Debug, Clone, Default)]
pub struct Restore {
    /// How to reach the server.
    pub config: Config,
    /// What to restore.
    pub selection: Selection,
    /// How.
    pub options: RestoreOptions,
}

impl Restore {
    async fn client(&self, run: &Run) -> Result<Client> {
        let config = Config { app_name: Some(run.app_name()), ..self.config.clone() };
        Ok(connect(&config).await?.client)
    }
}

#[async_trait]
impl Target for Restore {
    async fn restore(&self, cx: &Context, backup: &dyn Stored) -> Result<Restored> {
        let run = Run::new();
        let client = cx.unless_cancelled(self.client(&run)).await?;
        let dump = StoredDump::new(backup)?;
        Box::pin(restore(cx, &client, &run, &dump, &self.selection, &self.options)).await
    }

    async fn compare(&self, cx: &Context, backup: &dyn Stored) -> Result<Checked> {
        let client = cx.unless_cancelled(self.client(&Run::new())).await?;
        let dump = StoredDump::new(backup)?;
        let plan = plan(cx, &dump, &self.selection, self.options.replay).await?;
        let mut checked = Checked { whole: plan.is_whole, ..Checked::default() };
        cx.tell(Event::Begun { what: "compare", parts: plan.collections.len(), bytes: None });
        for planned in &plan.collections {
            cx.unless_cancelled(compare(&client, planned, &mut checked)).await?;
            let what = format!("{}.{}", planned.database, planned.name);
            cx.tell(Event::PartDone { part: &what.parse::<Name>()?, bytes: 0 });
        }
        // Of one database no digest says which are its own.
        if self.selection.users && self.selection.database.is_none() {
            cx.unless_cancelled(compare_users(&client, &dump, &mut checked)).await?;
        }
        Ok(checked)
    }
}

/// Compares all users and roles with those of the backup; others on the server are a difference.
async fn compare_users(client: &Client, dump: &dyn Dump, checked: &mut Checked) -> Result<()> {
    for listed in dump.collections().await?.iter().filter(|listed| is_users(listed)) {
        let Some(says) = listed.counted else { continue };
        let found = count(&client.database(&listed.database), &listed.collection, &Pace::default()).await?;
        differ(checked, format!("collection {listed}"), tell(says), tell(found));
        *checked.counts.entry("users and roles".into()).or_default() += says.documents;
    }
    Ok(())
}

fn tell(counted: Counted) -> String {
    format!("{} documents with the digest {}", counted.documents, counted.digest)
}

fn differ(checked: &mut Checked, what: impl Into<String>, expected: String, found: String) {
    if expected != found {
        checked.differences.push(Difference { what: what.into(), expected, found });
    }
}

/// Compares a collection with what it is to be. Documents that the oplog changed were compared before it was replayed, when the
/// collection was filled: the backup does not say what they are after it.
async fn compare(client: &Client, planned: &Planned, checked: &mut Checked) -> Result<()> {
    let Planned { listed, described, database, name, is_written, .. } = planned;
    let what = format!("collection {database}.{name}");
    *checked.counts.entry("collections".into()).or_default() += 1;
    let database = client.database(database);
    let looked = look(&database, &BTreeSet::from([name.clone()])).await?.remove(name);
    let Some(Found::There(Extent { kind, indexes, .. })) = looked else {
        differ(checked, what, format!("{:?}", described.kind), "none".to_owned());
        return Ok(());
    };
    differ(checked, &*what, format!("{:?}", described.kind), format!("{kind:?}"));
    let missing = missing_indexes(&indexes, &described.indexes);
    differ(
        checked,
        &*what,
        String::new(),
        missing.iter().map(|index| format!("no index {index}")).collect::<Vec<_>>().join(", "),
    );
    if let Some(says) = listed.counted.filter(|_| !is_written) {
        let found = count(&database, &source(name, kind), &Pace::default()).await?;
        differ(checked, what, tell(says), tell(found));
        *checked.counts.entry("documents".into()).or_default() += says.documents;
    }
    Ok(())
}
