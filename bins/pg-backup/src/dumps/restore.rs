//! `pg-backup dumps restore`: a dump takes the place of a database.

use std::path::PathBuf;

use backup_cli::{Answers, Face, one_line, secret, size};
use backup_core::{BackupId, Context, Doing, Error, Result};
use backup_pg::Config;
use backup_pg::quote::ident;
use backup_pg::restore::{Before, Opened, Script, Swapped};
use backup_service::container::Secret;
use backup_service::tree::Dump;
use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::into::{self, Into};
use super::verify::verify;
use super::{journalled, pick};
use crate::down::Down;
use crate::shelf::{Kept, Shelf};

/// Which dump, into which database, and as whom.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The dump of which database: a job, host:port/database, host/database or database, as the configuration has it
    #[arg(value_name = "SPEC")]
    spec: Option<String>,
    /// Which: the whole name of a file, its path, an ID, the beginning of one, latest, latest-verified or latest-proven
    #[arg(short = 'f', long, value_name = "FILTER", default_value = "latest")]
    filter: String,
    /// Restore into this database instead of the one that the dump is of: HOST:PORT/DATABASE, or another one of its server
    #[arg(long, value_name = "DATABASE")]
    into: Option<Into>,
    /// Connect as an administrator, where the user of the backups may not create databases
    #[arg(short = 'a', long)]
    admin: bool,
    /// The administrator's name, postgres unless one is given; implies --admin
    #[arg(long, value_name = "NAME")]
    admin_user: Option<String>,
    /// The administrator's password is the first line of this file, else it is asked for on a terminal; implies --admin
    #[arg(long, value_name = "FILE")]
    admin_password_file: Option<PathBuf>,
    /// Drop the old database once the new one is in its place, instead of keeping it under another name
    #[arg(long)]
    drop_old: bool,
    /// Drop the old database FIRST, where there is no space for both: what fails after that leaves nothing in its place
    #[arg(long, conflicts_with = "drop_old")]
    in_place: bool,
    /// Do not ask: without a terminal nothing is restored otherwise
    #[arg(long)]
    yes: bool,
    /// Do not ask the second question either, that of --in-place
    #[arg(long, requires = "in_place")]
    yes_in_place: bool,
    #[command(flatten)]
    down: Down,
}

impl Restore {
    pub(super) async fn run(self, face: &Face, shelf: &Shelf) -> Result<()> {
        let answers = Answers::new(self.yes, "--yes");
        let second = Answers::new(self.yes_in_place, "--yes-in-place");
        answers.possible("put a dump in the place of a database")?;
        if self.in_place {
            second.possible("drop a database before the new one is there")?;
        }
        let (cx, kept) = (&face.cx, shelf.one(self.spec.as_deref())?);
        let dumps = cx.unless_cancelled(shelf.dumps(kept)).await?;
        let dump = pick::pick(kept, &dumps, &self.filter)?;
        // Opened now: no cull takes the file away between the check and the restore.
        let (roles, sql) = (kept.tree.get(&dump.key).await?, kept.tree.get(&dump.key).await?);
        let expected = verify(cx, &kept.tree, dump).await?;
        let (into, target) = into::target(shelf, kept, self.into.as_ref())?;
        // Of the databases of the server the one from which others are made and renamed.
        let config = self.config(cx, &target).await?.with_database("postgres");
        let owner = target.user()?;
        let (in_place, drop_old) = (self.in_place, self.drop_old);
        let (name, id, now) = (target.database, dump.id, BackupId::at(Timestamp::now()));
        let script = Script { config, name, id, now, owner, expected, in_place, drop_old };
        let before = cx.unless_cancelled(Box::pin(script.look())).await?;
        if self.down.is_idle() {
            // Else those who go down may be the ones that are connected; the restore looks again once they have.
            before.may_be_emptied()?;
        }
        let steps = self.down.steps(steps(&script, &before, dump));
        face.report.result(&one_by_one(&steps), &json!({"steps": steps}))?;
        answers.ask(cx, &format!("Put {} in the place of {into}?", dump.key)).await?;
        if in_place && before.there {
            let size = size(before.bytes);
            second.ask(cx, &format!("Drop {into} ({size}) NOW, before the new one is there? It cannot be undone.")).await?;
        }
        let opened = Opened { roles: (expected.roles > 0).then_some(roles), sql };
        let work = async |cx: Context| {
            let swapped = Box::pin(script.run(&cx, before, opened)).await;
            swapped.doing(|| format!("restore {} into {into}", dump.key))
        };
        let swapped = Box::pin(self.down.meanwhile(&shelf.face(face, kept.tree.root()), &journalled()?, work)).await?;
        show(face, dump, &into, &swapped)?;
        let undropped =
            |error: Error| error.with_hint(format!("{into} is restored and in its place: drop the old one by hand"));
        swapped.undropped.map_or(Ok(()), |error| Err(undropped(error)))
    }

    /// How the server is reached: as the user of the backups, or as the administrator.
    async fn config(&self, cx: &Context, target: &Kept) -> Result<Config> {
        if !self.admin && self.admin_user.is_none() && self.admin_password_file.is_none() {
            return target.config(cx);
        }
        let admin = self.admin_user.as_deref().unwrap_or("postgres");
        let password = match &self.admin_password_file {
            Some(path) => {
                let text = std::fs::read_to_string(path).doing(|| format!("read the password in {}", path.display()))?;
                text.lines().next().map(Secret::from)
            }
            None => {
                let host = target.server.get("host").unwrap_or("the server");
                let typed = secret(cx, &format!("Password of {admin} at {host} (none: just Enter): ")).await?;
                typed.as_deref().map(Secret::from)
            }
        };
        let mut target = Kept { password, ..target.clone() };
        target.server.set("user", admin)?;
        target.config(cx)
    }
}

/// What will be done, in order.
fn steps(script: &Script, before: &Before, dump: &Dump) -> Vec<String> {
    let (name, work, expected) = (ident(&script.name), ident(before.work()), script.expected);
    let mut steps = vec![format!(
        "{} was read to its end: {} tables, {} rows, {} of SQL, {} statements about roles",
        dump.key,
        expected.tables,
        expected.rows,
        size(expected.bytes),
        expected.roles
    )];
    let beside = match before.there {
        true => format!("beside {name}, which takes {} and has {} sessions", size(before.bytes), before.sessions),
        false => format!("as there is no {name}, or an empty one"),
    };
    let whom = script.config.describe();
    steps.push(format!("make the database {work} as {whom}, {beside}, and the roles that are missing"));
    if script.in_place && before.there {
        steps.push(format!("end the sessions in {name} and DROP it: from here on there is no way back"));
    }
    steps.push(format!("play the dump into {work} and compare tables and rows with the dump"));
    if before.there {
        steps.push(format!(
            "give {work} owner, privileges and settings of {name}, and the privileges in it that the dump lacks"
        ));
    }
    match before.keeps() {
        Some(kept) if script.drop_old => {
            steps.push(format!(
                "end the sessions in {name}, give its name to {work}, and drop the old one, by then {}",
                ident(kept)
            ));
        }
        Some(kept) => {
            steps.push(format!("end the sessions in {name}, give its name to {work}, and keep the old one as {}", ident(kept)))
        }
        None => steps.push(format!("give {work} the name {name}")),
    }
    let kept = before.kept.iter();
    steps.extend(
        kept.map(|kept| format!("kept by an earlier restore, and stays: to remove it, DROP DATABASE {0}", ident(kept))),
    );
    steps
}

fn one_by_one(steps: &[String]) -> String {
    let lines: Vec<String> = steps.iter().zip(1..).map(|(step, n)| one_line(&format!("{n}. {step}"))).collect();
    lines.join("\n")
}

/// What was done.
fn show(face: &Face, dump: &Dump, into: &str, swapped: &Swapped) -> Result<()> {
    let Swapped { tables, rows, top, kept, granted, switched, undropped: _ } = swapped;
    let switched = switched.as_millis();
    let mut lines =
        vec![format!("restored {into} from {}: {tables} tables, {rows} rows, swapped in within {switched} ms", dump.key)];
    lines.extend(top.iter().map(|(table, rows)| format!("{rows:>12} rows in {table}")));
    lines.extend(granted.iter().map(|grant| format!("as before: {grant}")));
    lines.extend(kept.iter().map(|kept| format!("the old one is {0}: to remove it, DROP DATABASE {0}", ident(kept))));
    let lines: Vec<String> = lines.iter().map(|line| one_line(line)).collect();
    let value = json!({
        "database": into, "id": dump.id, "file": dump.key, "tables": tables, "rows": rows, "top": top,
        "granted": granted, "kept": kept, "switched_ms": u64::try_from(switched).unwrap_or(u64::MAX),
    });
    Ok(face.report.result(&lines.join("\n"), &value)?)
}
