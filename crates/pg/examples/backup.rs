//! Backs a database up into a directory: `cargo run --example backup 'host=… dbname=…' DIRECTORY`.

use std::sync::Arc;

use backup_core::{Context, Directory, Error, Options, Plain, Result, backup};
use backup_pg::{Config, Database};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "printing is what this example is for")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, conninfo, directory] = arguments.as_slice() else {
        return Err(Error::usage("give a connection string and a directory"));
    };
    let database = Database { config: Config::parse(conninfo)?, options: Default::default(), record: None, folder: None };
    let repository = Plain::new(Arc::new(Directory::new(directory)), "example");
    let sources = async { Ok([&database]) };
    let manifest = backup(&Context::default(), &repository, &"shop".parse()?, sources, Options::default()).await?;
    println!("{}", manifest.id);
    Ok(())
}
