//! Brings back what is gone, out of backups in a directory: `cargo run --example heal HOST DATABASE DIRECTORY COLLECTION…`.

use std::sync::Arc;

use backup_core::{Context, Directory, Error, Plain, Result};
use backup_mongo::diagnose::Asked;
use backup_mongo::heal::{Healer, LAST, Verified, examine, heal};
use backup_mongo::restore::{RestoreOptions, Run};
use backup_mongo::{Config, connect};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "printing is what this example is for")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, host, database, directory, collections @ ..] = arguments.as_slice() else {
        return Err(Error::usage("give a host, a database, a directory and collections"));
    };
    let (cx, run, options) = (Context::default(), Run::new(), RestoreOptions::default());
    let client = connect(&Config { app_name: Some(run.app_name()), ..Config::new(host) }).await?.client;
    let asked = Asked { collections: collections.iter().cloned().collect(), ..Asked::default() };
    let healer = Healer { client: &client, run: &run, database: database.clone(), asked, last: Some(LAST), options };
    let repository = Plain::new(Arc::new(Directory::new(directory)), "example");
    let mut backups = Verified::new(&repository, database.parse()?);
    let diagnosis = examine(&cx, &healer, &mut backups).await?;
    let healed = heal(&cx, &healer, diagnosis).await?;
    println!("{:?}, still sick: {:?}", healed.done, healed.still_sick());
    Ok(())
}
