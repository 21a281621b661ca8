//! What a command prints on another machine: `cargo run -p backup-host --example remote -- core@director du -sh /var`

use backup_core::Result;
use backup_host::{Command, Host, Ssh, ssh::Config};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut words = std::env::args_os().skip(1);
    let [host, program] = [(); 2].map(|()| words.next().unwrap_or_default());
    let host = Ssh::new(Config::new(host.to_string_lossy()))?;
    let mut printed = host.run(&Command::new(program).args(words), None).await?;
    tokio::io::copy(&mut printed, &mut tokio::io::stdout()).await?;
    Ok(())
}
