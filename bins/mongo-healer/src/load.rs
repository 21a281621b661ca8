//! `mongo-healer load`.

use std::io::IsTerminal;
use std::path::PathBuf;

use backup_cli::Face;
use backup_core::{Error, Result, body};
use backup_mongo::restore::{Run, restore, restore_archive};
use backup_mongo::{Config, Server, connect, dump_at};
use clap::Args;

use crate::connection::Connection;
use crate::restore::Meant;

/// What mongodump wrote, and where it goes.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// The folder of mongodump, a file of its --archive, or the .tar.gz of backup.bash; - is an archive on standard input
    #[arg(value_name = "DUMP")]
    dump: PathBuf,
    /// The server: HOST, HOST:PORT, SET/HOST:PORT,…, mongodb://… or mongodb+srv://…
    #[arg(value_name = "HOST[:PORT]|URL")]
    server: String,
    #[command(flatten)]
    meant: Meant,
}

impl Load {
    pub(crate) async fn run(self, face: &Face, connection: &Connection) -> Result<()> {
        let (cx, run) = (&face.cx, Run::new());
        let config = Config { app_name: Some(run.app_name()), ..connection.config(&self.server)? };
        let (selection, options) = self.meant.into_parts();
        let restored = if self.dump.as_os_str() == "-" {
            if std::io::stdin().is_terminal() {
                return Err(Error::usage("no archive comes from a terminal").with_hint("have one come: mongodump --archive |"));
            }
            let Server { client, .. } = cx.unless_cancelled(connect(&config)).await?;
            let archive = body::sound(tokio::io::stdin());
            Box::pin(restore_archive(cx, &client, &run, archive, &selection, &options)).await?
        } else {
            // All of it is read before anything is written.
            let dump = cx.unless_cancelled(Box::pin(dump_at(&self.dump))).await?;
            let Server { client, .. } = cx.unless_cancelled(connect(&config)).await?;
            Box::pin(restore(cx, &client, &run, &*dump, &selection, &options)).await?
        };
        let counts: Vec<String> = restored.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        let text = format!("loaded {} ({})", restored.what.join(", "), counts.join(", "));
        Ok(face.report.result(&backup_cli::escaped(&text), &serde_json::json!({"loaded": restored}))?)
    }
}
