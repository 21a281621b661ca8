//! One database brought back from an SQL script: beside what is there, looked at, swapped in.

use std::time::{Duration, Instant};

use backup_core::{BackupId, Body, Context, Doing, Error, Event, Kind, Result};

use super::before::Before;
use super::databases::{drop_database, names, unendable};
use super::existing::{Existing, Turn};
use super::grants::{self, Grant};
use super::load::flush;
use super::place::Place;
use super::temporary::Temporary;
use crate::config::Config;
use crate::connect::{Purpose, Session, connect};
use crate::counts;
use crate::globals::{self, DatabaseRecord};
use crate::pg_error::pg_error;
use crate::quote::ident;
use crate::script::{Inspected, Item, Player, Scanner};

/// How many tables are named of those with the most rows.
const TOP: usize = 5;

/// How one database is brought back from a script.
#[derive(Debug, Clone)]
pub struct Script {
    /// How to reach the server; the database named there is where others are made from.
    pub config: Config,
    /// What the database is to be called.
    pub name: String,
    /// When the script was taken: the working name says it.
    pub id: BackupId,
    /// When it is brought back: the name under which the old database is kept says it.
    pub now: BackupId,
    /// Whose the database is to be if there is none of its name.
    pub owner: String,
    /// What the whole script was found to hold.
    pub expected: Inspected,
    /// Whether what is there is dropped before the script is played: where there is no space for both.
    pub in_place: bool,
    /// Whether what was there before is dropped at the end. Else it stays under a name of its own.
    pub drop_old: bool,
}

/// The script, opened before anything is touched, so that what is played is what was checked.
pub struct Opened {
    /// Read for its roles; `None` if it has none.
    pub roles: Option<Body>,
    /// Read for everything else.
    pub sql: Body,
}

/// What was brought back.
#[derive(Debug, Default)]
pub struct Swapped {
    /// How many tables there are.
    pub tables: u64,
    /// How many rows the server took.
    pub rows: u64,
    /// The tables with the most rows.
    pub top: Vec<(String, u64)>,
    /// Where what was there before is kept.
    pub kept: Option<String>,
    /// Why it is kept although it was to be dropped: the new database is in its place all the same.
    pub undropped: Option<Error>,
    /// Privileges that the old database had and the script has not, given again.
    pub granted: Vec<String>,
    /// How long it took from the first session that was told to go to the new database under the name.
    pub switched: Duration,
}

impl Script {
    /// Looks at the server and changes nothing. Fails if the role could not do it.
    pub async fn look(&self) -> Result<Before> {
        let session = connect(&self.config, Purpose::Restore).await?;
        let (databases, _) = globals::databases(&session.client, session.version).await?;
        let there = names(&session.client).await?;
        let kept = there.iter().filter(|there| Temporary::Kept.is(there, &self.name)).cloned().collect();
        // What a restore in place that was cut off has left has the properties of what it dropped.
        let left = databases.iter().find(|record| Temporary::Restoring.is(&record.name, &self.name));
        let like = databases.iter().find(|record| record.name == self.name).or(left).cloned();
        let (mut bytes, mut sessions) = (0_i64, 0_i64);
        let sql = "SELECT pg_catalog.pg_database_size(oid), (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a \
                   WHERE a.datid = d.oid) FROM pg_catalog.pg_database d WHERE datname = $1";
        // Whoever may not connect to it may not know how large it is.
        if let Ok(Some(row)) = session.client.query_opt(sql, &[&self.name]).await {
            (bytes, sessions) = (row.get(0), row.get(1));
        }
        let others = unendable(&session.client, &self.name).await?;
        let sql = "SELECT oid FROM pg_catalog.pg_database WHERE datname = $1";
        let oid = session.client.query_opt(sql, &[&self.name]).await.map_err(|error| pg_error("find the database", error))?;
        let oid = oid.map(|row| row.get(0));
        self.may_create(&session, like.is_none()).await?;
        session.close().await;
        let mut place = Place::find(&self.config, &databases, (&self.name, self.id), true, false).await?;
        if place.in_place() {
            return Err(not_permitted(&self.config));
        }
        let full = place.is_full();
        if full && !self.in_place {
            let newest = there.iter().filter_map(|there| Temporary::Kept.id(there, &self.name)).max();
            place.keep(Temporary::Kept.name(&self.name, BackupId::next(self.now.time(), newest)));
        }
        let (bytes, sessions) = (bytes.unsigned_abs(), sessions.unsigned_abs());
        Ok(Before { place, like, there: full, bytes, sessions, oid, others, kept })
    }

    /// Fails if the role may not create databases, or the owner of a `new` one is not there.
    async fn may_create(&self, session: &Session, new: bool) -> Result<()> {
        let sql = "SELECT r.rolsuper OR r.rolcreatedb, EXISTS (SELECT FROM pg_catalog.pg_roles o WHERE o.rolname = $1) \
                   FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";
        let row = session.client.query_one(sql, &[&self.owner]).await;
        let row = row.map_err(|error| pg_error("ask what the role may do", error))?;
        if !row.get::<_, bool>(0) {
            return Err(not_permitted(&self.config));
        }
        if new && !row.get::<_, bool>(1) {
            let owner = ident(&self.owner);
            return Err(Error::new(Kind::NotFound, format!("there is no role {owner}, whose the database is to be"))
                .with_hint(format!("make it first: CREATE ROLE {owner} LOGIN PASSWORD …")));
        }
        Ok(())
    }

    /// Brings it back, if all that counts is as it was seen `before`. Whatever fails before the swap leaves what is there as it was and removes what was made; in place, what
    /// was made stays under its working name, as it has the properties of what was dropped, until the next run. Tells
    /// [`Event::Replacing`] before it drops or renames what is there.
    pub async fn run(&self, cx: &Context, before: Before, opened: Opened) -> Result<Swapped> {
        let lock = cx.unless_cancelled(before.place.lock(&self.config)).await?;
        let now = cx.unless_cancelled(Box::pin(self.look())).await?;
        before.is_still(&now)?;
        now.may_be_emptied()?;
        let Before { mut place, like, there, .. } = now;
        let old = self.config.with_database(&self.name);
        let had = if there { cx.unless_cancelled(grants::read(&old)).await? } else { Vec::new() };
        if let Some(roles) = opened.roles {
            cx.tell(Event::Stage { what: "roles" });
            cx.unless_cancelled(self.roles(roles)).await.doing(|| "restore the roles")?;
        }
        place.make(&self.config, like.as_ref()).await?;
        let mut swapped = match self.fill(cx, &mut place, like.as_ref(), &had, opened.sql).await {
            Ok(swapped) => swapped,
            Err(error) => return Err(self.give_up(cx, &place, like.is_some(), error).await),
        };
        cx.tell(Event::Stage { what: "swap it in" });
        if there {
            cx.tell(Event::Replacing { what: &self.name });
        }
        let begun = Instant::now();
        if let Err(error) = place.swap_in(&self.config).await {
            return Err(self.give_up(cx, &place, like.is_some(), error).await);
        }
        swapped.switched = begun.elapsed();
        if let Some(kept) = place.kept() {
            // From here on nothing fails: who serves the new database must not be kept down for the old one.
            swapped.undropped = if self.drop_old { self.drop_kept(&place, kept).await.err() } else { None };
            swapped.kept = Some(kept.to_owned()).filter(|_| !self.drop_old || swapped.undropped.is_some());
        }
        lock.close().await;
        Ok(swapped)
    }

    async fn drop_kept(&self, place: &Place, kept: &str) -> Result<()> {
        drop_database(&self.config, &place.beside(&self.config).await?, kept).await
    }

    /// Everything between the new database and the swap.
    async fn fill(
        &self,
        cx: &Context,
        place: &mut Place,
        like: Option<&DatabaseRecord>,
        had: &[Grant],
        sql: Body,
    ) -> Result<Swapped> {
        // First, so that they outlive what they are of. The sessions that play have the settings pinned that matter.
        self.set_properties(place, like).await?;
        if self.in_place && place.is_full() {
            cx.tell(Event::Stage { what: "drop what is there" });
            cx.tell(Event::Replacing { what: &self.name });
            place.clear(&self.config).await?;
        }
        cx.tell(Event::Stage { what: "play the dump" });
        let config = self.config.with_database(&place.work);
        let mut swapped = cx.unless_cancelled(self.play(cx, &config, sql)).await?;
        let session = connect(&config, Purpose::Restore).await?;
        flush(&session).await?;
        let counts = counts::read(&session.client, session.version).await?;
        session.close().await;
        swapped.tables = counts.get("tables").copied().unwrap_or_default();
        self.compare(&swapped)?;
        let (granted, missing) = cx.unless_cancelled(grants::give(&config, had)).await?;
        for grant in &missing {
            cx.tell(Event::Warning { what: &format!("could not be given again: {grant}") });
        }
        swapped.granted = granted;
        Ok(swapped)
    }

    /// Gives the new database what the old one has, or if there is none its owner.
    async fn set_properties(&self, place: &Place, like: Option<&DatabaseRecord>) -> Result<()> {
        if like.is_some() {
            return place.set_properties(&self.config, like).await;
        }
        let session = place.beside(&self.config).await?;
        let sql = format!("ALTER DATABASE {} OWNER TO {}", ident(&place.work), ident(&self.owner));
        session.client.batch_execute(&sql).await.map_err(|error| pg_error("give the database to its owner", error))?;
        session.close().await;
        Ok(())
    }

    /// What the server has must be what the script holds.
    fn compare(&self, swapped: &Swapped) -> Result<()> {
        let Inspected { tables, rows, .. } = self.expected;
        if (swapped.tables, swapped.rows) == (tables, rows) {
            return Ok(());
        }
        let what = format!(
            "the dump has {tables} tables and {rows} rows, and the server has {} and took {}",
            swapped.tables, swapped.rows
        );
        Err(Error::new(Kind::Differs, what))
    }

    /// Makes the roles that are missing; nothing changes about those that are there.
    async fn roles(&self, script: Body) -> Result<()> {
        let session = connect(&self.config, Purpose::Restore).await?;
        let existing = Existing::read(&session.client).await?;
        let of_session = ["set client_encoding ", "set standard_conforming_strings "];
        let mut player = Player::new(&session.client).filter(|item| match item {
            Item::Statement(statement) if statement.is_of_roles() => {
                statement.head().starts_with("do ") || existing.with_one(item) == Turn::Play
            }
            Item::Statement(statement) => of_session.iter().any(|start| statement.head().starts_with(start)),
            _ => false,
        });
        player.play(&mut Scanner::new(script)).await?;
        drop(player);
        session.close().await;
        Ok(())
    }

    /// Plays everything but the roles.
    async fn play(&self, cx: &Context, config: &Config, script: Body) -> Result<Swapped> {
        let session = connect(config, Purpose::Restore).await?;
        // Nothing counts until the last commit, which flushes all that came before it.
        session.execute("SET synchronous_commit = off").await?;
        let mut swapped = Swapped::default();
        let top = &mut swapped.top;
        let mut player = Player::new(&session.client)
            .filter(|item| !matches!(item, Item::Statement(one) if one.is_of_roles()))
            .tolerate(|statement, state| {
                let may = is_passed_over(statement.head(), state.code());
                if may {
                    let what = format!("passed over: {} [SQLSTATE {}]", statement.shown(), state.code());
                    cx.tell(Event::Warning { what: &what });
                }
                may
            })
            .copied(|table, rows| {
                top.push((table.to_owned(), rows));
                top.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
                top.truncate(TOP);
            });
        let played = player.play(&mut Scanner::new(script)).await?;
        drop(player);
        swapped.rows = played.rows;
        session.close().await;
        Ok(swapped)
    }

    /// Removes what was made: what is there stays as it was. What cannot be removed is removed by the next run.
    ///
    /// Where nothing is there, what was made stays: it alone has the properties of what was dropped.
    async fn give_up(&self, cx: &Context, place: &Place, has_properties: bool, error: Error) -> Error {
        if has_properties && place.is_nothing() {
            return error.with_hint(format!(
                "what was there is gone, and {} has its properties: mend what failed and run it again",
                ident(&place.work)
            ));
        }
        if let Err(left) = place.discard(&self.config).await {
            let what = format!("the database {} could not be dropped: {}", ident(&place.work), left.chain());
            cx.tell(Event::Warning { what: &what });
        }
        error
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}

fn not_permitted(config: &Config) -> Error {
    Error::failed(format!(
        "the role {} may not create the database and put it in the place of the old one",
        ident(&config.user)
    ))
    .with_hint("connect as an administrator: --admin-user NAME, with --admin-password-file FILE or on a terminal")
}

/// What other versions' dumps have and this server cannot take, and nobody misses: settings that it does not know, and the
/// comment on an extension that is somebody else's.
fn is_passed_over(head: &str, state: &str) -> bool {
    match state {
        "42704" => head.starts_with("set "),
        "42501" => head.starts_with("comment on extension "),
        _ => false,
    }
}
