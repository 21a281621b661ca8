//! `[tell]`: who is told what.

use backup_core::Result;

use super::Secret;
use super::table::Table;
use crate::tell::{Address, Form, Wants};

/// Who is told of all jobs.
#[derive(Debug, Default)]
pub struct Tell {
    /// What machines call this installation.
    pub name: String,
    /// What people call it.
    pub friendly_name: String,
    /// Webhooks, in their order.
    pub webhooks: Vec<Hook>,
    /// Who is paged.
    pub pager: Option<Pager>,
}

/// A webhook.
#[derive(Debug)]
pub struct Hook {
    /// Where it is, which is a secret.
    pub address: Address,
    /// How it is written to.
    pub form: Form,
    /// What it is told.
    pub wants: Wants,
}

/// A service of PagerDuty.
#[derive(Debug)]
pub struct Pager {
    /// Where events go.
    pub address: Address,
    /// The integration key.
    pub key: Secret,
}

const TELL: &[&str] = &["friendly_name", "name", "pagerduty", "webhook"];
const WEBHOOK: &[&str] = &["form", "tells", "url"];
const PAGERDUTY: &[&str] = &["key", "url"];
const FORMS: &[(&str, Form)] = &[("form", Form::UrlEncoded), ("json", Form::Json)];
const TELLS: &[(&str, Wants)] = &[("troubles", Wants::Troubles), ("successes", Wants::Successes), ("all", Wants::All)];

impl Tell {
    pub(super) fn read(all: &Table<'_>) -> Result<Self> {
        let tell = all.table_or_none("tell", TELL)?;
        let name = tell.text("name")?.unwrap_or_default();
        let friendly_name = tell.text("friendly_name")?.unwrap_or_else(|| name.clone());
        let tables = tell.tables("webhook")?;
        let webhooks = tables.iter().map(|entry| {
            let hook = entry.table(WEBHOOK)?;
            Ok(Hook {
                address: hook
                    .secret_with("url", str::parse)?
                    .ok_or_else(|| hook.wrong("it says no url", "write url = { file = \"PATH\" }"))?,
                form: hook.choice_or("form", Form::default(), FORMS)?,
                wants: hook.choice_or("tells", Wants::default(), TELLS)?,
            })
        });
        let webhooks = webhooks.collect::<Result<_>>()?;
        let pager = match tell.entry("pagerduty") {
            None => None,
            Some(entry) => {
                let pager = entry.table(PAGERDUTY)?;
                let lacks = |what| pager.wrong(&format!("it says no {what}"), "write url and key = { file = \"PATH\" }");
                Some(Pager {
                    address: pager.with("url", str::parse)?.ok_or_else(|| lacks("url"))?,
                    key: pager.secret("key")?.ok_or_else(|| lacks("key"))?,
                })
            }
        };
        Ok(Self { name, friendly_name, webhooks, pager })
    }
}
