//! The container's environment: what is meant, with which defaults, and what is refused.

use std::collections::BTreeMap;
use std::path::Path;

use backup_core::{Error, Kind, Result};
use backup_service::container::{Settings, UNSUPPORTED};
use backup_service::tree::{Layout, Tiers};

/// The five variables of the first generation's manual.
const FIVE: [(&str, &str); 5] = [
    ("DATABASE_SERVICE_NAME", "postgresql"),
    ("POSTGRESQL_USER", "app"),
    ("POSTGRESQL_PASSWORD", "hunter2"),
    ("POSTGRESQL_DATABASE", "shop"),
    ("BACKUP_DIR", "/backups/"),
];

fn read(variables: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Settings> {
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    let files: BTreeMap<&str, &str> = files.iter().copied().collect();
    let variable = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    let file = |path: &Path| {
        let text = files.get(path.to_str().expect("text"));
        text.map(|text| (*text).to_owned()).ok_or_else(|| Error::new(Kind::NotFound, format!("no {}", path.display())))
    };
    Settings::read(&variable, &file)
}

fn with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    FIVE.iter().chain(more).copied().collect()
}

#[test]
fn the_five_variables_alone_mean_the_first_generation() {
    let settings = read(&FIVE, &[]).expect("understood");
    assert_eq!(settings.layout, Layout::First(31));
    assert_eq!((settings.root.to_str(), settings.at_start), (Some("/backups/"), true));
    assert_eq!(settings.backups.to_string(), "every 24h");
    let [shop] = &settings.databases[..] else { panic!("one database") };
    assert_eq!((shop.core.as_str(), shop.spec.to_string().as_str()), ("shop", "postgresql/shop"));
    assert_eq!((shop.user.as_deref(), shop.password.as_ref().map(|secret| secret.expose())), (Some("app"), Some("hunter2")));
    let shown = format!("{settings:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let from: Vec<&str> = settings.found.iter().filter(|one| one.name == "NUM_BACKUPS").map(|one| one.from.as_str()).collect();
    assert_eq!(from, ["the default"]);
    let settings = read(&with(&[("NUM_BACKUPS", "5"), ("BACKUP_PERIOD", "6h")]), &[]).expect("understood");
    assert_eq!((settings.layout, settings.backups.to_string().as_str()), (Layout::First(5), "every 6h"));
}

#[test]
fn a_strategy_means_what_came_later() {
    let rolling = Layout::Rolling(Tiers { daily: 6, weekly: 4, monthly: 1 });
    let layout = |more| read(&with(more), &[]).map(|settings| settings.layout);
    assert_eq!(layout(&[("BACKUP_STRATEGY", "Rolling")]).expect("rolling"), rolling);
    assert_eq!(layout(&[("BACKUP_STRATEGY", "daily")]).expect("daily"), Layout::Dated(31));
    assert_eq!(layout(&[("WEEKLY_BACKUPS", "-1"), ("NUM_BACKUPS", "9")]).expect("daily"), Layout::Dated(9));
    assert_eq!(
        layout(&[("DAILY_BACKUPS", "0"), ("WEEKLY_BACKUPS", "2")]).expect("rolling"),
        Layout::Rolling(Tiers { daily: 0, weekly: 2, monthly: 1 })
    );
    let settings = read(&with(&[("BACKUP_STRATEGY", "rolling"), ("ROOT_BACKUP_DIR", "/other")]), &[]).expect("understood");
    assert_eq!((settings.root.to_str(), settings.databases[0].core.as_str()), (Some("/other"), "postgresql-shop"));
}

#[test]
fn a_file_of_databases_has_a_user_for_each_host() {
    let conf = "pg-one:5433/a\npostgres=pg.two/b?verifySchema=sales\n0 1 * * * default ./backup.sh -s\n0 4 * * * default ./backup.sh -s -v all\n";
    let variables = [
        ("PG_ONE_USER", "one"),
        ("PG_ONE_PASSWORD_FILE", "/run/secrets/one"),
        ("PG_TWO_USER", "two"),
        ("DATABASE_PASSWORD", "for all"),
        ("TABLE_SCHEMA", "main"),
        ("TZ", "PST8PDT,M3.2.0,M11.1.0"),
    ];
    let settings = read(&variables, &[("backup.conf", conf), ("/run/secrets/one", "s3cret\n")]).expect("understood");
    let shown = settings.databases.iter().map(|one| {
        (one.core.as_str(), one.user.as_deref(), one.password.as_ref().map(|secret| secret.expose()), one.schema.as_str())
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [("pg-one-a", Some("one"), Some("s3cret"), "main"), ("pg.two-b", Some("two"), Some("for all"), "sales"),]
    );
    assert!(!settings.at_start && settings.verifications.len() == 1);
    let password = settings.found.iter().find(|one| one.name == "PG_ONE_PASSWORD").expect("noted");
    assert_eq!((password.value.as_str(), password.from.as_str()), ("(a secret)", "the file /run/secrets/one"));
    assert!(settings.found.iter().any(|one| one.from == "backup.conf, line 2"), "{:?}", settings.found);
    assert!(matches!(settings.layout, Layout::Rolling(_)), "a file means what came later");
}

#[test]
fn what_cannot_be_meant_is_refused_in_one_line_with_what_to_do() {
    for (name, _) in UNSUPPORTED {
        let error = read(&with(&[(name, "x")]), &[]).expect_err(name);
        assert!(error.to_string().starts_with(name), "{error}");
    }
    for (more, files) in [
        (&[("BACKUP_STRATEGY", "rollin")][..], &[][..]),
        (&[("NUM_BACKUPS", "0")], &[]),
        (&[("NUM_BACKUPS", "many")], &[]),
        (&[("DAILY_BACKUPS", "0"), ("WEEKLY_BACKUPS", "0"), ("MONTHLY_BACKUPS", "0")], &[]),
        (&[("DAILY_BACKUPS", "-1")], &[]),
        (&[("BACKUP_PERIOD", "daily")], &[]),
        (&[("TZ", "Mars/Olympus")], &[]),
        (&[("CONTAINER_TYPE", "mssql")], &[]),
        (&[("POSTGRESQL_PASSWORD_FILE", "/x")], &[("/x", "both are set")]),
        (&[("DEFAULT_PORT", "none")], &[]),
        (&[("PGDUTY_URL", "https://example.org")], &[]),
        (&[], &[("backup.conf", "mariadb=host/app\n")]),
        (&[], &[("backup.conf", "a/b\na:5433/b\n")]),
    ] {
        let error = read(&with(more), files).expect_err("refused");
        assert_eq!(error.kind(), Kind::Usage, "{more:?} {error}");
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()) && !error.chain().contains('\n'), "{more:?} {error}");
    }
    assert_eq!(read(&with(&[("BACKUP_CONF", "/etc/other.conf")]), &[]).expect_err("not there").kind(), Kind::NotFound);
    assert_eq!(read(&[("BACKUP_DIR", "/backups/")], &[]).expect_err("no database").kind(), Kind::Usage);
}
