//! A MongoDB server as a place where a backup comes back, and where it is compared.

use std::collections::BTreeSet;

use async_trait::async_trait;
use backup_core::{Checked, Context, Difference, Event, Name, Restored, Result, Stored, Target};
use mongodb::Client;

use crate::config::Config;
use crate::connect::connect;
use crate::described::Described;
use crate::diagnose::{Extent, Found, missing_indexes};
use crate::dump::{Dump, Listed, StoredDump};
use crate::facts::CollectionType;
use crate::heal::look;
use crate::layout::BUCKETS;
use crate::restore::{RestoreOptions, Run, Selection, count, restore};

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
        let all = dump.collections().await?;
        let meant = self.selection.of(&all)?;
        let mut checked = Checked { whole: meant.len() == all.len(), ..Checked::default() };
        cx.tell(Event::Begun { what: "compare", parts: meant.len(), bytes: None });
        for (listed, database, name) in meant {
            let described = cx.unless_cancelled(dump.describe(listed)).await?;
            cx.unless_cancelled(compare(&client, listed, &described, (&database, &name), &mut checked)).await?;
            cx.tell(Event::PartDone { part: &format!("{database}.{name}").parse::<Name>()?, bytes: 0 });
        }
        Ok(checked)
    }
}

async fn compare(
    client: &Client,
    listed: &Listed,
    described: &Described,
    (database, name): (&str, &str),
    checked: &mut Checked,
) -> Result<()> {
    let what = format!("collection {database}.{name}");
    let differ = |checked: &mut Checked, expected: String, found: String| {
        if expected != found {
            checked.differences.push(Difference { what: what.clone(), expected, found });
        }
    };
    *checked.counts.entry("collections".into()).or_default() += 1;
    let database = client.database(database);
    let looked = look(&database, &BTreeSet::from([name.to_owned()])).await?.remove(name);
    let Some(Found::There(Extent { kind, indexes, .. })) = looked else {
        differ(checked, format!("{:?}", described.kind), "none".to_owned());
        return Ok(());
    };
    differ(checked, format!("{:?}", described.kind), format!("{kind:?}"));
    let missing = missing_indexes(&indexes, &described.indexes);
    differ(checked, String::new(), missing.iter().map(|index| format!("no index {index}")).collect::<Vec<_>>().join(", "));
    if let Some(says) = listed.counted {
        let source = if kind == CollectionType::TimeSeries { format!("{BUCKETS}{name}") } else { name.to_owned() };
        let found = count(&database, &source).await?;
        let tell = |counted: crate::Counted| format!("{} documents with the digest {}", counted.documents, counted.digest);
        differ(checked, tell(says), tell(found));
        *checked.counts.entry("documents".into()).or_default() += says.documents;
    }
    Ok(())
}
