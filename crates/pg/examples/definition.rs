//! Prints the definition of a database: `cargo run --example definition 'host=… dbname=…'`.

use backup_core::{Doing, Error, Result};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "printing is what this example is for")]
async fn main() -> Result<()> {
    let conninfo = std::env::args().nth(1).ok_or_else(|| Error::usage("give a connection string"))?;
    let (mut client, connection) = tokio_postgres::connect(&conninfo, tokio_postgres::NoTls).await.doing(|| "connect")?;
    tokio::spawn(connection);
    let definition = backup_pg::definition(&mut client).await?;
    print!("{}{}{}", backup_pg::header(backup_pg::Version(150_000), "UTF8"), definition.pre, definition.post);
    Ok(())
}
