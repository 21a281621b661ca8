//! `dumps --config FILE`: the trees of the jobs of a TOML file, listed, verified, culled and restored as those of the container are.

use backup_tests::Major;
use backup_tests::kubernetes::StandIn;

use crate::dumps_restore::with;
use crate::program::Ran;
use crate::shelf::{Generation, Shelf};

/// A server, and a file with two jobs of dump files in trees of their own and one of backups.
struct Toml(Shelf);

impl Toml {
    fn new() -> Option<Self> {
        let shelf = Shelf::new(Major::V15, Generation::Later)?;
        shelf.server.psql("postgres", "CREATE DATABASE store OWNER app");
        shelf.server.psql("store", "SET ROLE app; CREATE TABLE good (id int)");
        std::fs::write(shelf.beside("hunter2"), "hunter2\n").expect("written");
        let toml = Self(shelf);
        toml.write(9);
        Some(toml)
    }

    /// The file, in which so many dumps of `front` stay.
    fn write(&self, last: u32) {
        let port = self.0.server.port();
        let job = |name: &str, more: &str| {
            let secret = "password = { file = \"hunter2\" }\nschedule = []\nto = ";
            format!("[[job]]\nname = \"{name}\"\nserver = \"host=127.0.0.1 port={port} user=app\"\n{secret}{more}\n")
        };
        let front = format!("\"front\"\ndatabases = \"shop\"\nformat = \"sql.gz\"\nlayout = \"dated\"\nkeep.last = {last}");
        let text = [
            "[service]\nephemeral = true\nstate = \"state\"\nzone = \"UTC\"\n".to_owned(),
            job("front", &front),
            job("whole", "\"whole\"\nrole_passwords = false\ndatabases = \"shop\""),
            job("back", "\"file://BESIDE/back/\"\ndatabases = \"store\"\nformat = \"sql.gz\""),
        ];
        let beside = self.0.beside("").display().to_string();
        let text = text.concat().replace("BESIDE/", &beside);
        std::fs::write(self.0.beside("backup.toml"), text).expect("written");
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    fn run_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Ran {
        // What the container is told is none of its business, however wrong.
        let others = [("DATABASE_SERVICE_NAME", "nowhere.example.org"), ("FTP_URL", "ftp://nowhere.example.org")];
        let mut command = self.0.bare(arguments);
        Ran::of(command.env("BACKUP_CONFIG", "backup.toml").envs(others).envs(more.iter().copied()))
    }

    /// The dumps of `front`, oldest first.
    fn front(&self) -> Vec<String> {
        let listed = self.run(&["dumps", "list", "front"]).ok().text();
        let paths = listed.split_whitespace().filter(|word| word.ends_with(".sql.gz"));
        paths.map(str::to_owned).collect()
    }
}

#[test]
fn each_job_of_dump_files_is_listed_verified_and_culled_in_its_own_tree() {
    let Some(toml) = Toml::new() else { return };
    toml.run(&["dumps", "list"]).fails_with_hint(3, &["there is no dump in ", "/front, ", "/back"]);
    for _ in 0..2 {
        toml.run(&["serve", "--once"]).ok();
    }
    let listed = toml.run(&["dumps", "list"]).ok().text();
    let words = ["  front  ", "/front_20", "  back  ", "/back_20", "\n2 dumps, ", "verified"];
    assert!(words.iter().all(|word| listed.contains(word)) && !listed.contains("whole"), "{listed}");
    assert_eq!(listed.matches(" free in ").count(), 2, "{listed}");
    // As the file names it, and by its database.
    let of_back =
        |ran: Ran| ran.ok().text().lines().filter(|line| !line.contains("free")).map(str::to_owned).collect::<Vec<_>>();
    let back = of_back(toml.run(&["dumps", "list", "back"]));
    assert_eq!(back.len(), 2);
    for named in ["store", "127.0.0.1/store", &format!("127.0.0.1:{}/store", toml.0.server.port())] {
        assert_eq!(of_back(toml.run(&["dumps", "list", named, "--config", "backup.toml"])), back, "{named}");
    }
    toml.run(&["dumps", "list", "whole"]).fails_with_hint(3, &["\"whole\"", "front, back"]);
    assert!(toml.run(&["dumps", "verify"]).ok().text().contains("back: "));

    let [old, new] = &toml.front()[..] else { panic!("two dumps") };
    let file = toml.0.beside("front").join(new);
    let whole = std::fs::read(&file).expect("read");
    std::fs::write(&file, &whole[..whole.len() - 9]).expect("written");
    toml.run(&["dumps", "verify", "front"]).fails_with_hint(4, &[new]);
    assert!(toml.run(&["dumps", "list", "front"]).ok().text().contains("damaged"));
    std::fs::write(&file, whole).expect("written");
    toml.run(&["dumps", "verify", "front"]).ok();

    // The retention of the job; another job's dumps stay.
    toml.write(1);
    toml.run(&["dumps", "cull"]).fails_with_hint(2, &["no terminal"]);
    let shown = toml.run(&["dumps", "cull", "--yes"]).ok().text();
    assert!(shown.contains(&format!("deleted {old}")) && shown.matches("deleted").count() == 1, "{shown}");
    assert_eq!(&toml.front(), std::slice::from_ref(new));
    assert_eq!(of_back(toml.run(&["dumps", "list", "back"])), back);
}

#[test]
fn a_dump_of_a_job_takes_the_place_of_its_database_or_of_another_one() {
    let Some(toml) = Toml::new() else { return };
    let shelf = &toml.0;
    let before = shelf.state("shop");
    toml.run(&["serve", "--once"]).ok();
    shelf.server.psql("shop", "DROP TABLE tag");
    toml.run(&["dumps", "restore", "--yes"]).fails_with_hint(2, &["several", "front, back"]);
    // The user of the job may not; the administrator may, and whoever may create databases.
    toml.run(&["dumps", "restore", "front", "--yes"]).fails_with_hint(1, &["app", "--admin-password-file"]);
    let admin = ["--yes", "--admin-password-file", "sesame"];
    let told = toml.run(&[&["dumps", "restore", "front", "--drop-old"], &admin[..]].concat()).ok().text();
    assert!(told.contains("restored shop of front from ") && !told.contains("hunter2"), "{told}");
    assert_eq!((shelf.state("shop"), shelf.databases()), (before.clone(), vec!["shop".to_owned(), "store".to_owned()]));
    shelf.server.psql("postgres", "ALTER ROLE app CREATEDB");
    shelf.server.psql("shop", "DROP TABLE tag");
    toml.run(&["dumps", "restore", "shop", "--yes", "--drop-old"]).ok();
    assert_eq!(shelf.state("shop"), before);
    // Beside it on the same server, however that is named; it belongs to the user of the job.
    toml.run(&["dumps", "restore", "front", "--yes", "--into", "tried"]).ok();
    let elsewhere = format!("127.0.0.1:{}/again", shelf.server.port());
    toml.run(&[&["dumps", "restore", "front", "--into", &elsewhere], &admin[..]].concat()).ok();
    let owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()";
    for name in ["tried", "again"] {
        assert_eq!(shelf.server.psql(name, "SELECT count(*) FROM item"), "3000", "{name}");
        assert_eq!(shelf.server.psql(name, owner), "app", "{name}");
    }
    assert_eq!(shelf.state("shop"), before);
}

#[test]
fn a_dump_that_names_no_host_is_of_the_one_job_of_its_tree_that_it_can_be_of() {
    let Some(toml) = Toml::new() else { return };
    let shelf = &toml.0;
    let write = |jobs: &[(&str, &str, &str)]| {
        let port = shelf.server.port();
        let job = |(name, database, to): &(&str, &str, &str)| {
            format!(
                "[[job]]\nname = \"{name}\"\nserver = \"host=127.0.0.1 port={port} user=app\"\ndatabases = \"{database}\"\n\
                 schedule = []\nto = \"{to}\"\nformat = \"sql.gz\"\nlayout = \"dated\"\nkeep.last = 3\n"
            )
        };
        let text: String = jobs.iter().map(job).collect();
        std::fs::write(shelf.beside("backup.toml"), format!("[service]\nephemeral = true\n{text}")).expect("written");
    };
    let path = "2020-10-03/shop2020-10-03-10-15.sql.gz";
    std::fs::create_dir_all(shelf.beside("one/2020-10-03")).expect("made");
    std::fs::write(shelf.beside("one").join(path), crate::shelf::gzip(&shelf.pg_dump())).expect("written");
    // Another tree may well have dumps of a database of the same name.
    write(&[("front", "shop", "one"), ("back", "shop", "two")]);
    assert!(toml.run(&["dumps", "list", "front"]).ok().text().contains(path));
    toml.run(&["dumps", "list", "back"]).fails_with_hint(3, &["no dump"]);
    // It can be of the job that is called so, and of two databases of that name.
    write(&[("front", "shop", "one"), ("shop", "store", "one")]);
    toml.run(&["dumps", "list", "front"]).fails_with_hint(3, &["no dump"]);
    write(&[("front", "shop", "one"), ("back", "shop", "one")]);
    toml.run(&["dumps", "list", "front"]).fails_with_hint(3, &["no dump"]);
}

#[test]
fn what_a_restore_left_down_is_brought_back_whichever_tree_it_is_of() {
    let Some(toml) = Toml::new() else { return };
    let shelf = &toml.0;
    std::fs::create_dir_all(shelf.beside("back/daily/2020-10-03")).expect("made");
    let sql = with(&shelf.pg_dump(), "SELECT 1/0;");
    std::fs::write(shelf.beside("back/daily/2020-10-03/back_2020-10-03_10-15-00.sql.gz"), crate::shelf::gzip(&sql))
        .expect("written");
    let api = StandIn::start();
    api.world().add("deployment/web", 3);
    let config = api.kubeconfig().display().to_string();
    let more = [("KUBECONFIG", config.as_str())];
    let restore = ["dumps", "restore", "back", "--yes", "--in-place", "--yes-in-place", "--admin-password-file", "sesame"];
    let restore = [&restore[..], &["--scale-down", "deployment/web"]].concat();
    toml.run_with(&restore, &more).fails(5, &["division by zero"]);
    assert_eq!(api.replicas("deployment/web"), 0);
    let resumed = toml.run_with(&["dumps", "resume"], &more).ok().text();
    assert!(resumed.starts_with("runs again: deployment/web=3") && resumed.lines().count() == 1, "{resumed}");
    assert_eq!(api.replicas("deployment/web"), 3);
    assert_eq!(toml.run_with(&["dumps", "resume"], &more).ok().text(), "nothing is paused\n");
}

#[test]
fn a_file_that_cannot_be_meant_is_told_as_by_config_check() {
    let Some(toml) = Toml::new() else { return };
    let file = toml.0.beside("backup.toml");
    let good = std::fs::read_to_string(&file).expect("read");
    for (wrong, words) in [
        (good.replace("dated", "daeted"), &["backup.toml, line ", "layout"][..]),
        (good.replace("file = \"hunter2\"", "file = \"nowhere\""), &["backup.toml, line 8", "nowhere"]),
    ] {
        std::fs::write(&file, wrong).expect("written");
        let error = |ran: Ran| ran.err.lines().find(|line| line.starts_with("error: ")).expect("an error").to_owned();
        let checked = toml.run(&["config", "check"]);
        let listed = toml.run(&["dumps", "list"]);
        assert_eq!((listed.code, words.iter().all(|word| listed.err.contains(word))), (checked.code, true), "{listed:?}");
        assert_eq!(error(listed), error(checked));
    }
    // Backups of our own format are read by other commands, which is said.
    let whole = good.find("[[job]]\nname = \"whole\"").expect("a job");
    let end = good.find("[[job]]\nname = \"back\"").expect("a job");
    std::fs::write(&file, &good[whole..end]).expect("written");
    for command in [&["list"][..], &["verify"], &["restore"], &["cull"], &["resume"]] {
        toml.run(&[&["dumps"], command].concat()).fails_with_hint(2, &["backup.toml has no job of dump files"]);
    }
    toml.run(&["dumps", "--config", "nowhere.toml", "list"]).fails(3, &["nowhere.toml"]);
}
