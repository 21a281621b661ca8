//! One database as a dump that stands for itself: the roles that it may need, then what is in it.

use backup_core::{Result, Source};

use crate::cluster::Texts;
use crate::config::Config;
use crate::connect::{Purpose, connect};
use crate::facts::{PartFacts, Stage};
use crate::globals::{self, GlobalsOptions};
use crate::snapshot::{Database, Options, origin};

/// The database that `config` names as sources for [`dump`](crate::dump()), to be played into an empty database of any name.
///
/// With `roles`, they come first: those that the server has not are created, without passwords, and no role that is there is
/// changed. It needs no more rights than reading the database does.
pub async fn single(config: &Config, roles: bool, jobs: usize) -> Result<Vec<Box<dyn Source>>> {
    let mut sources: Vec<Box<dyn Source>> = Vec::new();
    if roles {
        let session = connect(config, Purpose::Dump).await?;
        let (origin, ..) = origin(&session).await?;
        let globals = globals::read(&session.client, session.version, &GlobalsOptions { passwords: false }).await?;
        let header = crate::header(session.version, "UTF8");
        let mut texts = Texts::new(origin);
        let sql = globals.missing_roles_sql(&config.user);
        texts.add("roles", PartFacts::new(Stage::Roles, None), format!("{header}{sql}"))?;
        session.close().await;
        sources.push(Box::new(texts));
    }
    let options = Options { jobs, create: false, range: crate::RANGE, ..Options::default() };
    sources.push(Box::new(Database { config: config.clone(), options, record: None, folder: None }));
    Ok(sources)
}
