//! Backs a database up into a directory: `cargo run --example export HOST DATABASE DIRECTORY`.

use std::sync::Arc;

use backup_core::{Context, Directory, Error, Plain, Result, backup};
use backup_mongo::{Config, Deployment, Options};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "printing is what this example is for")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, host, database, directory] = arguments.as_slice() else {
        return Err(Error::usage("give a host, a database and a directory"));
    };
    let options = Options { database: Some(database.clone()), ..Options::default() };
    let source = Deployment { config: Config::new(host), options };
    let repository = Plain::new(Arc::new(Directory::new(directory)), "example");
    let sources = async { Ok([&source]) };
    let manifest = backup(&Context::default(), &repository, &database.parse()?, sources, Default::default()).await?;
    println!("{}", manifest.id);
    Ok(())
}
