//! What stands beside mongo-healer: programs that a developer would write with the driver, and a restore with so many workers.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup_core::{Context, Directory, Plain};
use backup_mongo::restore::{RestoreOptions, Selection};
use backup_mongo::{Config, Restore};
use clap::{Subcommand, ValueEnum};
use futures_util::{StreamExt, TryStreamExt};
use mongodb::bson::{Document, doc};
use mongodb::{Client, Collection};
use tokio::runtime::Runtime;

use super::super::Result;

/// What `bench mongo` runs beside the program that it measures.
#[derive(Debug, Subcommand)]
pub(crate) enum Peer {
    /// Write the documents of a database, a file COLLECTION.bson each
    Dump {
        cursor: Cursor,
        host: String,
        database: String,
        /// The folder; all collections go to standard output if it is `-`
        folder: PathBuf,
    },
    /// Restore the one backup of a job
    Restore { folder: PathBuf, job: String, host: String, workers: usize },
}

/// How documents are read: both with what the driver does by itself.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Cursor {
    /// Each is decoded, and encoded again.
    Typed,
    /// They come as they are.
    Raw,
}

pub(crate) fn run(peer: &Peer) -> Result<()> {
    let runtime = Runtime::new()?;
    match peer {
        Peer::Dump { cursor, host, database, folder } => runtime.block_on(dump(*cursor, host, database, folder)),
        Peer::Restore { folder, job, host, workers } => runtime.block_on(restore(folder, job, host, *workers)),
    }
}

async fn dump(cursor: Cursor, host: &str, database: &str, folder: &Path) -> Result<()> {
    let database = Client::with_uri_str(format!("mongodb://{host}/?directConnection=true")).await?.database(database);
    let to_stdout = folder == Path::new("-");
    if !to_stdout {
        std::fs::create_dir_all(folder)?;
    }
    for name in database.list_collection_names().await? {
        let mut out: Box<dyn Write> = match to_stdout {
            true => Box::new(std::io::stdout().lock()),
            false => Box::new(BufWriter::with_capacity(1 << 20, File::create(folder.join(format!("{name}.bson")))?)),
        };
        let collection = database.collection(&name);
        match cursor {
            Cursor::Typed => typed(&collection, &mut out).await?,
            Cursor::Raw => raw(&collection, &mut out).await?,
        }
        out.flush()?;
    }
    Ok(())
}

async fn typed(collection: &Collection<Document>, out: &mut impl Write) -> Result<()> {
    let mut cursor = collection.find(doc! {}).await?;
    while let Some(document) = cursor.try_next().await? {
        document.to_writer(&mut *out)?;
    }
    Ok(())
}

async fn raw(collection: &Collection<Document>, out: &mut impl Write) -> Result<()> {
    let mut cursor = collection.find(doc! {}).batch().await?;
    while let Some(batch) = cursor.next().await {
        for document in batch?.doc_slices()? {
            out.write_all(document?.as_document().ok_or("no document")?.as_bytes())?;
        }
    }
    Ok(())
}

async fn restore(folder: &Path, job: &str, host: &str, workers: usize) -> Result<()> {
    let id = std::fs::read_dir(folder.join(job))?.next().ok_or("there is no backup")??.file_name();
    let id = id.to_str().ok_or("a name that is no text")?.parse()?;
    let repository = Plain::new(Arc::new(Directory::new(folder)), "bench");
    let options = RestoreOptions { workers, ..RestoreOptions::default() };
    let target = Restore { config: Config::new(host), selection: Selection::default(), options };
    backup_core::restore(&Context::default(), &repository, &job.parse()?, id, &target).await?;
    Ok(())
}
