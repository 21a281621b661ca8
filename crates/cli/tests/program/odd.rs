//! The program under test: the common commands, and a sink that hangs or fails where `ODD_HOW` says.

use std::env;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use backup_cli::{Common, Face, Manage, Program, SinkArgs, Sinks};
use backup_core::{Body, Depth, Directory, Entry, Error, Key, Put, Result, Sink};
use clap::Parser;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

/// Runs and exits if it is started as the program; returns if it is not.
pub(crate) fn main() {
    if env::var_os("ODD_ARGUMENTS").is_none() {
        return;
    }
    let code = backup_cli::run::<Odd>();
    let code = (0..=u8::MAX).find(|known| ExitCode::from(*known) == code).expect("a code");
    std::process::exit(code.into());
}

/// What the harness is called with is not for the program: that stands in `ODD_ARGUMENTS`, a line each.
#[derive(Debug, Parser)]
struct Odd {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    sink: SinkArgs,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _harness: Vec<String>,
}

#[derive(Debug, Parser)]
struct Meant {
    #[command(subcommand)]
    command: Manage,
}

impl Program for Odd {
    const NAME: &'static str = "odd 0";

    fn common(&self) -> &Common {
        &self.common
    }

    fn to(&self) -> Option<String> {
        self.sink.to.clone()
    }

    fn sinks() -> Sinks {
        Sinks::new().with("odd", |rest, _| {
            let inner = Directory::new(rest.trim_start_matches("//"));
            Ok(Arc::new(OddSink { inner, how: env::var("ODD_HOW").unwrap_or_default(), deleted: AtomicUsize::new(0) }))
        })
    }

    async fn run(self, face: Face) -> Result<()> {
        let arguments = env::var("ODD_ARGUMENTS").unwrap_or_default();
        if arguments == "bracket" {
            let _bracket = face.cx.brackets.token();
            reached();
            while !PathBuf::from(env::var_os("ODD_FOLDER").unwrap_or_default()).join("go on").exists() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            return Ok(());
        }
        let meant = Meant::try_parse_from(["odd"].into_iter().chain(arguments.lines()));
        let meant = meant.map_err(|error| Error::usage(error.to_string()))?;
        meant.command.run::<Meant>(&face, &self.sink.job("odd")?).await
    }
}

#[derive(Debug)]
struct OddSink {
    inner: Directory,
    how: String,
    deleted: AtomicUsize,
}

fn reached() {
    let folder = PathBuf::from(env::var_os("ODD_FOLDER").unwrap_or_default());
    std::fs::write(folder.join("reached"), "").expect("written");
}

#[async_trait]
impl Sink for OddSink {
    async fn put(&self, key: &Key, body: Body) -> Result<Put> {
        self.inner.put(key, body).await
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Body> {
        if self.how == "hang in parts" && key.as_str().contains("/parts/") {
            reached();
            return std::future::pending().await;
        }
        self.inner.get(key, range).await
    }

    fn list(&self, prefix: &Key, depth: Depth) -> BoxStream<'_, Result<Entry>> {
        if self.how == "hang in list" {
            reached();
            return stream::pending().boxed();
        }
        self.inner.list(prefix, depth)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        if self.how == "hang in delete" {
            reached();
            return std::future::pending().await;
        }
        if key.file_name() == "manifest.json"
            && self.how == format!("fail in delete {}", self.deleted.fetch_add(1, Ordering::Relaxed))
        {
            return Err(Error::failed("it cannot be deleted"));
        }
        self.inner.delete(key).await
    }
}
