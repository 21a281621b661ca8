//! A throw-away server, made of the PostgreSQL programs of this machine, to prove a restore in.

mod programs;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use backup_core::scratch::{End, Folder, Keeper};
use backup_core::{Doing as _, Error, Kind, Result};

use crate::config::{Address, Config, Host};
use crate::connect::{Purpose, connect};
use crate::pg_error::pg_error;
use crate::{Version, quote};
use programs::{Account, Programs};

/// What a scratch server has to be like, so that a restore into it can come out equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerShape {
    /// The release of the server that was backed up. The scratch server is of the same series or the next there is.
    pub version: Version,
    /// The name of its first superuser.
    pub superuser: String,
    /// Its default encoding, as `UTF8`.
    pub encoding: String,
    /// Its default locale. One that this machine does not have is replaced by `C`, which [`Scratch::notes`] tells.
    pub locale: Locale,
    /// Further settings, as `("shared_preload_libraries", "timescaledb")`. They outrank those of the scratch server.
    pub settings: Vec<(String, String)>,
    /// How long `initdb`, and then the start of the server, may take.
    pub start_limit: Duration,
}

/// How a server sorts and classifies text by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locale {
    /// `LC_COLLATE`.
    pub collate: String,
    /// `LC_CTYPE`.
    pub ctype: String,
    /// `icu` or `builtin` with its locale; `None` is libc.
    pub provider: Option<(String, String)>,
}

impl Default for Locale {
    fn default() -> Self {
        Self { collate: "C".to_owned(), ctype: "C".to_owned(), provider: None }
    }
}

impl ServerShape {
    /// A server of `version` with `UTF8`, locale `C` and the superuser `postgres`, that has two minutes to start.
    pub fn of(version: Version) -> Self {
        let (superuser, encoding) = ("postgres".to_owned(), "UTF8".to_owned());
        Self { version, superuser, encoding, locale: Locale::default(), settings: Vec::new(), start_limit: START_LIMIT }
    }
}

/// A server that runs as long as this value lives. It listens on a socket in a folder of its own, which only its
/// owner and root can enter, asks for no password, and does not care for the disk: nothing in it outlives it.
///
/// Dropping it, like [`stop`](Self::stop), ends the server at once and removes the folder. If this process is killed, the
/// server ends by itself where `setpriv` of util-linux is there; the folder then stays until the next one is made beside it.
#[derive(Debug)]
pub struct Scratch {
    config: Config,
    version: Version,
    notes: Vec<String>,
    // In this order: the server ends before its folder goes.
    keeper: Keeper,
    folder: Folder,
}

/// The superuser that `initdb` makes where it cannot make the wanted one.
const INITIAL: &str = "postgres";

/// How long `initdb` and the start may take on a slow machine, unless somebody knows better.
const START_LIMIT: Duration = Duration::from_secs(120);

impl Scratch {
    /// Starts a server like `like`.
    ///
    /// The programs are those in `bindir`, else those of the best series in the folders of `PATH` and where the
    /// distributions put them. The server's files go into a new folder in `folder`, else in the system's temporary folder.
    /// As root everything runs as the user `postgres`, else `nobody`, since the server refuses root.
    /// Without programs new enough the error is [`Kind::Unproven`].
    pub async fn start(bindir: Option<&Path>, folder: Option<&Path>, like: &ServerShape) -> Result<Self> {
        let programs = programs::find(bindir, like.version).await?;
        let account = Account::find().await?;
        let parent = folder.map_or_else(std::env::temp_dir, Path::to_owned);
        let folder = Folder::make(&parent, "pg-scratch-", ".s.PGSQL.65535.lock", account.ids())?;
        let mut notes = Vec::new();
        if programs.version.major() != like.version.major() {
            notes.push(format!("the scratch server is PostgreSQL {}, the backup is of {}", programs.version, like.version));
        }
        initdb(&programs, &account, folder.path(), like, &mut notes).await?;
        let log = folder.path().join("server.log");
        let keeper = Keeper::start(server(&programs, &account, folder.path(), like), End::Quit, &log)?;
        let config = config(folder.path(), like);
        let mut scratch = Self { config, version: programs.version, notes, keeper, folder };
        scratch.wait_until_ready(&log, like.start_limit).await?;
        if like.superuser != scratch.config.user {
            scratch.rename_superuser(&like.superuser).await?;
        }
        Ok(scratch)
    }

    /// How to connect to it as the superuser, to the database `postgres`.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The release of the scratch server.
    pub fn version(&self) -> Version {
        self.version
    }

    /// In what it is not like the server it stands for, a line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The folder of the cluster's files.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The process that is the server; `None` once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.keeper.pid()
    }

    /// Ends the server, waits for that, and removes the folder.
    pub async fn stop(self) -> Result<()> {
        let stop = move || {
            let Self { keeper, folder, .. } = self;
            drop(keeper);
            folder.close()
        };
        tokio::task::spawn_blocking(stop).await.doing(|| "stop the scratch server")?
    }

    /// Gives the superuser another name, with the help of a second one, as nobody can rename who is logged in.
    async fn rename_superuser(&mut self, name: &str) -> Result<()> {
        const HELPER: &str = "backup_scratch_helper";
        let ask = async |config: &Config, sql: String| {
            let session = connect(config, Purpose::Ask).await?;
            session.client.batch_execute(&sql).await.map_err(|error| pg_error("name the superuser", error))?;
            session.close().await;
            Ok::<_, Error>(())
        };
        let helper = Config { user: HELPER.to_owned(), ..self.config.clone() };
        ask(&self.config, format!("CREATE ROLE {HELPER} SUPERUSER LOGIN")).await?;
        ask(&helper, format!("ALTER ROLE {INITIAL} RENAME TO {}", quote::ident(name))).await?;
        self.config.user = name.to_owned();
        ask(&self.config, format!("DROP ROLE {HELPER}")).await
    }

    /// Waits until somebody can log in, or the server has ended, or the time is over.
    async fn wait_until_ready(&self, log: &Path, limit: Duration) -> Result<()> {
        let start = Instant::now();
        loop {
            let refusal = match connect(&self.config, Purpose::Ask).await {
                Ok(session) => {
                    session.close().await;
                    return Ok(());
                }
                Err(refusal) => refusal,
            };
            if self.pid().is_none() || start.elapsed() > limit {
                return Err(Error::new(Kind::Unproven, format!("the scratch server did not start: {}", last_words(log)))
                    .with_source(refusal)
                    .with_hint("give another folder or other programs for the scratch server, or a server's URL"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn initdb(
    programs: &Programs,
    account: &Account,
    folder: &Path,
    like: &ServerShape,
    notes: &mut Vec<String>,
) -> Result<()> {
    let wanted = locale_arguments(programs.version, &like.locale, notes);
    let plain = vec!["--locale=C".to_owned()];
    let first = run_initdb(programs, account, folder, like, &wanted).await;
    let Err(why) = first else { return Ok(()) };
    if wanted == plain {
        return Err(why);
    }
    let data = folder.join("data");
    if data.exists() {
        fs::remove_dir_all(&data).doing(|| format!("empty {}", data.display()))?;
    }
    // If it was not the locale, this fails as well.
    run_initdb(programs, account, folder, like, &plain).await?;
    notes.push(format!(
        "the scratch server has locale C instead of {}, which this machine does not have",
        like.locale.provider.as_ref().map_or(&like.locale.collate, |(_, locale)| locale)
    ));
    Ok(())
}

fn locale_arguments(version: Version, locale: &Locale, notes: &mut Vec<String>) -> Vec<String> {
    let mut arguments = if locale.collate == locale.ctype {
        vec![format!("--locale={}", locale.collate)]
    } else {
        vec![format!("--lc-collate={}", locale.collate), format!("--lc-ctype={}", locale.ctype)]
    };
    match &locale.provider {
        Some((provider, name)) if provider == "icu" && version.at_least(15) => {
            arguments.extend(["--locale-provider=icu".to_owned(), format!("--icu-locale={name}")]);
        }
        Some((provider, name)) if provider == "builtin" && version.at_least(17) => {
            arguments.extend(["--locale-provider=builtin".to_owned(), format!("--builtin-locale={name}")]);
        }
        Some((provider, _)) => notes.push(format!("the scratch server has no locale provider {provider:?}")),
        None => {}
    }
    arguments
}

async fn run_initdb(
    programs: &Programs,
    account: &Account,
    folder: &Path,
    like: &ServerShape,
    locale: &[String],
) -> Result<()> {
    let mut command = tokio::process::Command::from(account.command(&programs.initdb()));
    command.args(["--auth=trust", "--no-sync"]).args(locale);
    command.arg(format!("--pgdata={}", folder.join("data").display()));
    command.arg(format!("--encoding={}", like.encoding)).arg(format!("--username={}", initial_superuser(like)));
    command.current_dir("/").kill_on_drop(true);
    let doing = || format!("run {}", programs.initdb().display());
    let done = tokio::time::timeout(like.start_limit, command.output()).await.map_err(|_| {
        Error::new(Kind::Unproven, format!("initdb did not end within {:?}", like.start_limit))
            .with_hint("give it more time, or another folder for the scratch server")
    })?;
    let done = done.doing(doing)?;
    if done.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&done.stderr);
    let told: Vec<_> = told.lines().filter(|line| line.contains("error") || line.contains("FATAL")).collect();
    Err(Error::new(Kind::Unproven, format!("initdb ended with {}: {}", done.status, told.join("; ")))
        .with_hint("check that the folder of the scratch server can be entered by its user, and has room"))
}

/// The command that is the server.
fn server(programs: &Programs, account: &Account, folder: &Path, like: &ServerShape) -> std::process::Command {
    let mut command = account.command(&programs.postgres());
    command.arg("-D").arg(folder.join("data"));
    let path = folder.display().to_string();
    let mut settings = vec![
        ("listen_addresses", ""),
        ("unix_socket_directories", path.as_str()),
        ("unix_socket_permissions", "0700"),
        ("fsync", "off"),
        ("synchronous_commit", "off"),
        ("full_page_writes", "off"),
        ("wal_level", "minimal"),
        ("max_wal_senders", "0"),
        ("max_wal_size", "4GB"),
        ("checkpoint_timeout", "1h"),
        ("autovacuum", "off"),
        ("max_connections", "40"),
        ("max_locks_per_transaction", "1024"),
        ("shared_buffers", "64MB"),
        ("maintenance_work_mem", "128MB"),
        ("logging_collector", "off"),
        ("log_destination", "stderr"),
    ];
    if programs.version.at_least(15) {
        // So that tablespaces come back without folders elsewhere.
        settings.push(("allow_in_place_tablespaces", "on"));
    }
    let further = like.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in settings.into_iter().chain(further) {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    command
}

fn config(folder: &Path, like: &ServerShape) -> Config {
    let port = like.settings.iter().rev().find(|(name, _)| name == "port").and_then(|(_, port)| port.parse().ok());
    let host = Host { address: Address::Socket(folder.to_owned()), hostaddr: None, port: port.unwrap_or(5432), through: None };
    Config::new(host, initial_superuser(like), "postgres")
}

/// The superuser to start with: `initdb` has trouble with names that need quotes.
fn initial_superuser(like: &ServerShape) -> &str {
    let plain = like.superuser.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain && !like.superuser.is_empty() { &like.superuser } else { INITIAL }
}

/// The last line of the server's log that tells why.
fn last_words(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rfind(|line| line.contains("FATAL") || line.contains("PANIC")).or_else(|| text.lines().next_back());
    line.unwrap_or("it said nothing").to_owned()
}
