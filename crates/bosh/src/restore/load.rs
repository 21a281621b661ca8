//! A database out of a dump, loaded by the director's psql under a name that nobody else uses, and counted.

use backup_core::{Context, Doing, Error, Event, Kind, Name, Result};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use super::plan::{Plan, Planned};
use super::{Restore, Wanted};
use crate::archive;

/// The longest line of psql that is looked at, in bytes.
const LONGEST: u64 = 64 * 1024;

impl Restore {
    /// Loads `planned` as its working name. What breaks off leaves that behind.
    pub(super) async fn load(&self, cx: &Context, planned: &Planned, part: &Name) -> Result<()> {
        let dump = archive::member(cx, &self.archive, &planned.dump, part).await?;
        let (database, working, roles) = (planned.name.clone(), planned.working.clone(), planned.roles.clone());
        let wanted = Wanted { database, working, roles };
        let script = self.dumps.script(dump, &wanted);
        let host = &self.director.host;
        let said = host.run(&self.director.postgres.fed(), Some(script)).await?;
        let rows = cx.unless_cancelled(copied(said)).await.map_err(told)?;
        if rows != planned.rows {
            let what = format!("{rows} rows were loaded, and the dump has {}", planned.rows);
            return Err(Error::new(Kind::Differs, what).with_hint("look at the log of PostgreSQL on the director"));
        }
        cx.tell(Event::PartDone { part, bytes: planned.bytes });
        Ok(())
    }

    /// Loads all, each beside what is there. However that breaks off, what was loaded goes.
    pub(super) async fn load_all(&self, cx: &Context, plan: &Plan) -> Result<()> {
        let bytes = plan.databases.iter().map(|planned| planned.bytes).sum();
        cx.tell(Event::Begun { what: "restore", parts: plan.databases.len(), bytes: Some(bytes) });
        for planned in &plan.databases {
            let part: Name = "dump".parse()?;
            let loaded = cx.unless_cancelled(self.load(cx, planned, &part)).await;
            if let Err(error) = loaded.doing(|| format!("load {}", planned.name)) {
                self.drop_all(cx, plan.databases.iter().map(|planned| planned.working.as_str())).await;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Drops databases; where that fails, it is told.
    pub(super) async fn drop_all(&self, cx: &Context, names: impl Iterator<Item = &str>) {
        for name in names {
            let dropped = self.director.postgres.drop(&*self.director.host, name).await;
            if let Err(error) = dropped.doing(|| format!("drop {name}")) {
                cx.tell(Event::Warning { what: &error.chain() });
            }
        }
    }
}

/// Reads what psql says to its end, and adds up the rows of each `COPY 17`.
async fn copied(said: backup_core::Body) -> Result<u64> {
    let mut said = BufReader::new(said);
    let (mut rows, mut line) = (0_u64, Vec::new());
    loop {
        line.clear();
        if (&mut said).take(LONGEST).read_until(b'\n', &mut line).await? == 0 {
            return Ok(rows);
        }
        let count = line.strip_prefix(b"COPY ").and_then(|count| str::from_utf8(count).ok()?.trim().parse::<u64>().ok());
        rows = rows.saturating_add(count.unwrap_or_default());
    }
}

/// What is to be done where psql gave up.
fn told(error: Error) -> Error {
    if error.kind() != Kind::Failed || error.hint().is_some() {
        return error;
    }
    error.with_hint("nothing was replaced; what psql complains of must be there first: an extension, a tablespace")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rows_are_what_psql_says_it_copied() {
        let said = "CREATE DATABASE\nYou are now connected to database \"x\".\nCOPY 1000\n setval \n--------\n COPY 7\n(1 row)\n\nCOPY 2\n";
        assert_eq!(copied(backup_core::body::from_bytes(said)).await.expect("read"), 1002);
        assert_eq!(copied(backup_core::body::from_bytes("COPY x\nCOPY")).await.expect("read"), 0);
    }
}
