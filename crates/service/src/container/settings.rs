//! What the container would do with an environment and a `backup.conf`.

use std::path::{Path, PathBuf};

use backup_core::{Error, Kind, Result};
use jiff::tz::TimeZone;

use super::environment::Environment;
use super::{Conf, Cron, Found, Secret, Spec, UNSUPPORTED};
use crate::Schedule;
use crate::tree::{Layout, Tiers};

/// What is to be done.
#[derive(Debug)]
pub struct Settings {
    /// Where dumps go.
    pub root: PathBuf,
    /// How they lie there.
    pub layout: Layout,
    /// Whose local time counts.
    pub zone: TimeZone,
    /// Which databases, in their order.
    pub databases: Vec<Wanted>,
    /// When they are backed up.
    pub backups: Schedule,
    /// Whether they are backed up when the service starts too.
    pub at_start: bool,
    /// When which are verified.
    pub verifications: Vec<Cron>,
    /// How long a scratch server may take to start, in seconds.
    pub server_timeout: u32,
    /// Where notices go: the form's receiver.
    pub webhook: Option<Secret>,
    /// The name of the environment, and the one for people.
    pub environment: (String, String),
    /// The receiver of pages, and its key.
    pub pager: Option<(String, Secret)>,
    /// Each value and where it came from.
    pub found: Vec<Found>,
}

/// One database and who reads it.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Which.
    pub spec: Spec,
    /// What the names of its dumps begin with.
    pub core: String,
    /// Who reads it.
    pub user: Option<String>,
    /// With which password.
    pub password: Option<Secret>,
    /// The schema in which a verification looks for tables.
    pub schema: String,
}

impl Settings {
    /// Reads the environment by `variable` and files by `file`, which fails with [`Kind::NotFound`] for one that is not there.
    ///
    /// With none of the variables and files that came later, the first generation of the container is meant: dumps named
    /// to the minute, the newest `NUM_BACKUPS` kept, one at start and then one each `BACKUP_PERIOD`.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>, file: &dyn Fn(&Path) -> Result<String>) -> Result<Self> {
        let environment = Environment::new(variable, file);
        if let Some((name, why)) = UNSUPPORTED.iter().find(|(name, _)| environment.raw(name).is_some()) {
            return Err(Error::usage(format!("{name} is set, and {why}")).with_hint(format!("unset {name}")));
        }
        if let Some(other) = environment.raw("CONTAINER_TYPE").filter(|kind| kind != "postgres") {
            return Err(Error::usage(format!("CONTAINER_TYPE is {other:?}, and this program backs up postgres alone"))
                .with_hint("unset CONTAINER_TYPE, or set it to postgres"));
        }
        let zone = zone(&environment)?;
        let conf = conf(&environment, file, &zone)?;
        let later = ["BACKUP_STRATEGY", "ROOT_BACKUP_DIR", "DAILY_BACKUPS", "WEEKLY_BACKUPS", "MONTHLY_BACKUPS"];
        let is_first = conf.is_none() && later.iter().all(|name| environment.raw(name).is_none());
        let layout = if is_first { Layout::First(kept(&environment)?) } else { layout(&environment)? };
        let conf = conf.unwrap_or_default();
        let databases = databases(&environment, &conf, is_first)?;
        let (backups, at_start) = if conf.backups.is_empty() && conf.verifications.is_empty() {
            (Schedule::sleep(&environment.text_or(&["BACKUP_PERIOD"], "1d")?)?, true)
        } else {
            (Schedule::any(conf.backups.iter().map(|cron| cron.schedule.clone()).collect()), false)
        };
        let root = environment.text_or(&["ROOT_BACKUP_DIR", "BACKUP_DIR"], "/backups/")?;
        let pager = match (environment.text(&["PGDUTY_URL"])?, environment.secret(&["PGDUTY_SVC_KEY"])?) {
            (Some(url), Some(key)) => Some((url, key)),
            (None, None) => None,
            _ => {
                return Err(Error::usage("one of PGDUTY_URL and PGDUTY_SVC_KEY is set without the other")
                    .with_hint("set both or neither"));
            }
        };
        let name = environment.text_or(&["ENVIRONMENT_NAME"], "")?;
        let friendly = environment.text_or(&["ENVIRONMENT_FRIENDLY_NAME"], &name)?;
        Ok(Self {
            root: PathBuf::from(root),
            layout,
            zone,
            databases,
            backups,
            at_start,
            verifications: conf.verifications,
            server_timeout: u32::try_from(environment.number("DATABASE_SERVER_TIMEOUT", 120, 1, 86_400)?).unwrap_or(120),
            webhook: environment.secret(&["WEBHOOK_URL"])?,
            environment: (name, friendly),
            pager,
            found: environment.found.into_inner(),
        })
    }
}

fn zone(environment: &Environment<'_>) -> Result<TimeZone> {
    let Some(name) = environment.text(&["TZ"])? else { return Ok(TimeZone::system()) };
    let name = name.trim_start_matches(':');
    // A name such as Europe/Berlin, or rules such as PST8PDT,M3.2.0,M11.1.0.
    TimeZone::get(name).or_else(|_| TimeZone::posix(name)).map_err(|error| {
        Error::usage(format!("TZ is {name:?}, which is no time zone"))
            .with_source(error)
            .with_hint("set it to a name such as Europe/Berlin")
    })
}

/// The file that `BACKUP_CONF` names, which must be there, or the usual one if it is.
fn conf(environment: &Environment<'_>, file: &dyn Fn(&Path) -> Result<String>, zone: &TimeZone) -> Result<Option<Conf>> {
    let named = environment.text(&["BACKUP_CONF"])?;
    let path = named.as_deref().unwrap_or("backup.conf");
    let text = match file(Path::new(path)) {
        Err(error) if error.kind() == Kind::NotFound && named.is_none() => return Ok(None),
        text => text?,
    };
    let conf = Conf::parse(&text, zone).map_err(|error| {
        let hint = error.hint().unwrap_or_default().to_owned();
        Error::usage(format!("{path}, {error}")).with_hint(hint)
    })?;
    let mut found = environment.found.borrow_mut();
    let mut note = |name: &str, value: String, line: usize| {
        found.push(Found { name: name.into(), value, from: format!("{path}, line {line}") });
    };
    for (spec, line) in &conf.databases {
        note("database", spec.to_string(), *line);
    }
    for cron in &conf.backups {
        note("backup", cron.schedule.to_string(), cron.line);
    }
    for cron in &conf.verifications {
        note("verification", cron.schedule.to_string(), cron.line);
    }
    drop(found);
    Ok(Some(conf))
}

fn kept(environment: &Environment<'_>) -> Result<u32> {
    Ok(u32::try_from(environment.number("NUM_BACKUPS", 31, 1, 1_000_000)?).unwrap_or(31))
}

fn layout(environment: &Environment<'_>) -> Result<Layout> {
    let strategy = environment.text_or(&["BACKUP_STRATEGY"], "rolling")?.to_lowercase();
    match strategy.as_str() {
        "daily" => return Ok(Layout::Dated(kept(environment)?)),
        "rolling" => {}
        other => {
            return Err(Error::usage(format!("BACKUP_STRATEGY is {other:?}")).with_hint("set it to rolling or daily"));
        }
    }
    // As in the container: a negative number of weeks means the other strategy.
    let weekly = environment.number("WEEKLY_BACKUPS", 4, -1_000_000, 1_000_000)?;
    if weekly < 0 {
        return Ok(Layout::Dated(kept(environment)?));
    }
    let number =
        |name, default| Ok::<_, Error>(u32::try_from(environment.number(name, default, 0, 1_000_000)?).unwrap_or_default());
    let weekly = u32::try_from(weekly).unwrap_or_default();
    let tiers = Tiers { daily: number("DAILY_BACKUPS", 6)?, weekly, monthly: number("MONTHLY_BACKUPS", 1)? };
    if (tiers.daily, tiers.weekly, tiers.monthly) == (0, 0, 0) {
        return Err(Error::usage(
            "DAILY_BACKUPS, WEEKLY_BACKUPS and MONTHLY_BACKUPS are all 0, so that no backup would ever be kept",
        )
        .with_hint("set one of them to 1 or more"));
    }
    Ok(Layout::Rolling(tiers))
}

/// The databases of the file, or the one of the environment.
fn databases(environment: &Environment<'_>, conf: &Conf, is_first: bool) -> Result<Vec<Wanted>> {
    let schema = environment.text_or(&["TABLE_SCHEMA"], "public")?;
    let mut specs: Vec<Spec> = conf.databases.iter().map(|(spec, _)| spec.clone()).collect();
    if specs.is_empty() {
        let host = environment.text(&["DATABASE_SERVICE_NAME"])?;
        // The container's manual says DATABASE_NAME, which its code never read.
        let database = environment.text(&["POSTGRESQL_DATABASE", "DATABASE_NAME"])?;
        if host.is_none() && database.is_none() {
            return Err(Error::usage("no database is named")
                .with_hint("set DATABASE_SERVICE_NAME and POSTGRESQL_DATABASE, or write databases into backup.conf"));
        }
        let port = match environment.text(&["DEFAULT_PORT", "POSTGRESQL_PORT_NUM"])? {
            Some(port) => format!(":{port}"),
            None => String::new(),
        };
        let (host, database) = (host.unwrap_or("postgresql".into()), database.unwrap_or("my_postgres_db".into()));
        specs.push(format!("{host}{port}/{database}").parse()?);
    }
    let mut wanted: Vec<Wanted> = Vec::new();
    for spec in specs {
        let prefix: String = spec.host.to_uppercase().replace(['-', '.'], "_");
        let (user, password) = (format!("{prefix}_USER"), format!("{prefix}_PASSWORD"));
        // The container of the first generation knows one pair, that of later ones a pair for each host.
        let user = environment.text(&[&user, "DATABASE_USER", "POSTGRESQL_USER"])?;
        let password = environment.secret(&[&password, "DATABASE_PASSWORD", "POSTGRESQL_PASSWORD"])?;
        let core = if is_first { spec.database.clone() } else { spec.core() };
        if let Some(other) = wanted.iter().find(|other| other.core == core) {
            return Err(Error::usage(format!("the dumps of {} and of {spec} would have the same names, {core}", other.spec))
                .with_hint("keep one of them in a tree of its own"));
        }
        let schema = spec.schema.clone().unwrap_or_else(|| schema.clone());
        wanted.push(Wanted { spec, core, user, password, schema });
    }
    Ok(wanted)
}
