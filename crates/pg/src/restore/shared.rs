//! Plays what all databases share: roles and tablespaces before them, settings of roles after them.

use std::sync::{Mutex, PoisonError};

use backup_core::{Context, Doing, Event, Result, Stored, body};

use super::existing::{Existing, Turn};
use super::layout::Layout;
use crate::config::Config;
use crate::connect::{Purpose, connect};
use crate::globals::Tablespace;
use crate::script::{Player, Scanner};

/// What is left to be played when all databases are there.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// What is set on the role that restores: it goes on as it came until then.
    restorer: String,
}

/// Plays the roles, and with the `whole` cluster the tablespaces. Roles that are there are brought to what they were only with
/// the whole cluster; else they stay as they are.
pub(super) async fn play(
    cx: &Context,
    config: &Config,
    backup: &dyn Stored,
    layout: &Layout,
    whole: bool,
    in_place: bool,
) -> Result<Rest> {
    let session = connect(config, Purpose::Restore).await?;
    let mut rest = Rest::default();
    if let Some(part) = &layout.roles {
        cx.tell(Event::Stage { what: "roles" });
        let existing = Existing::read(&session.client).await?;
        let later = Mutex::new((String::new(), String::new()));
        let mut player = Player::new(&session.client).filter(|item| {
            let turn = if whole { existing.with_all(item) } else { existing.with_one(item) };
            let mut later = later.lock().unwrap_or_else(PoisonError::into_inner);
            match &turn {
                Turn::Change(sql) => later.0.push_str(sql),
                Turn::Last(sql) => later.1.push_str(sql),
                Turn::Play | Turn::Leave => {}
            }
            turn == Turn::Play
        });
        player.play(&mut Scanner::new(backup.read(part).await?)).await.doing(|| "restore the roles")?;
        drop(player);
        let (change, last) = later.into_inner().unwrap_or_else(PoisonError::into_inner);
        rest.restorer = last;
        let changed = Player::new(&session.client).play(&mut Scanner::new(body::from_bytes(change))).await;
        changed.doing(|| "change the roles that are there")?;
    }
    if whole && !layout.tablespaces.is_empty() {
        cx.tell(Event::Stage { what: "tablespaces" });
        let existing = Existing::read(&session.client).await?;
        let location = |tablespace: &Tablespace| if in_place { "" } else { &tablespace.location }.to_owned();
        let sql = layout.tablespaces.iter().filter(|tablespace| !existing.tablespaces.contains(&tablespace.name));
        let sql: String = sql.map(|tablespace| tablespace.sql(&location(tablespace))).collect();
        let played = Player::new(&session.client).play(&mut Scanner::new(body::from_bytes(sql))).await;
        played.doing(|| "restore the tablespaces").map_err(|error| match error.hint() {
            Some(_) => error,
            None => error.with_hint("make their folders first, empty and owned by the server's user"),
        })?;
    }
    session.close().await;
    Ok(rest)
}

impl Rest {
    /// Plays it, with what the backup itself has for the end.
    pub(super) async fn play(self, config: &Config, backup: &dyn Stored, layout: &Layout) -> Result<()> {
        let session = connect(config, Purpose::Restore).await?;
        if let Some(part) = &layout.last {
            let mut scanner = Scanner::new(backup.read(part).await?);
            Player::new(&session.client).play(&mut scanner).await.doing(|| "restore the settings of roles")?;
        }
        let mut scanner = Scanner::new(body::from_bytes(self.restorer));
        Player::new(&session.client).play(&mut scanner).await.doing(|| "restore the role that restores")?;
        session.close().await;
        Ok(())
    }
}
