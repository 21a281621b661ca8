//! A database of an application, and a tree of its dumps as the backup container writes them, in both of its generations.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use backup_tests::{Major, Server, Setup};

use crate::program::{Ran, Sink};

/// Which generation of the container wrote the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    /// Five variables; `2026-11-20/shop2026-11-20-10-15.sql.gz`.
    First,
    /// `BACKUP_STRATEGY=rolling`; `daily/2026-11-20/127.0.0.1-shop_2026-11-20_10-15-00.sql.gz`, the roles behind the data.
    Later,
}

/// The server, the tree, and the variables of the container.
pub(crate) struct Shelf {
    pub(crate) server: Server,
    pub(crate) generation: Generation,
    sink: Sink,
    variables: Vec<(&'static str, String)>,
}

impl Shelf {
    /// Database `shop` of `app`, who is no superuser and may not create databases; `reader` may read one of its tables, `dba` comes
    /// with others. Over TCP the server asks for passwords.
    pub(crate) fn new(major: Major, generation: Generation) -> Option<Self> {
        let setup = Setup { password: Some("sesame".into()), ..Setup::default() };
        let server = Server::start_with(major, &setup)?;
        server.psql(
            "postgres",
            "CREATE ROLE app LOGIN PASSWORD 'hunter2'; CREATE ROLE reader; CREATE ROLE dba LOGIN; CREATE DATABASE shop OWNER app",
        );
        server.psql(
            "shop",
            "SET ROLE app; CREATE TABLE item (id int PRIMARY KEY, name text); CREATE TABLE tag (name text); \
             CREATE SEQUENCE ticket; SELECT setval('ticket', 7); GRANT SELECT ON item TO reader; \
             INSERT INTO item SELECT n, E'row\\n' || n FROM generate_series(1, 3000) n; INSERT INTO tag VALUES ('a'), (NULL); \
             CREATE VIEW v AS SELECT name FROM item",
        );
        let sink = Sink::new();
        let mut variables = vec![
            ("DATABASE_SERVICE_NAME", "127.0.0.1".to_owned()),
            ("POSTGRESQL_USER", "app".to_owned()),
            ("POSTGRESQL_PASSWORD", "hunter2".to_owned()),
            ("POSTGRESQL_DATABASE", "shop".to_owned()),
            ("BACKUP_DIR", format!("{}/", sink.folder().join("backups").display())),
            ("POSTGRESQL_PORT_NUM", server.port().to_string()),
            ("BACKUP_EPHEMERAL", "true".to_owned()),
            ("TZ", "UTC".to_owned()),
        ];
        if generation == Generation::Later {
            variables.push(("BACKUP_STRATEGY", "rolling".to_owned()));
        }
        std::fs::write(sink.folder().join("sesame"), "sesame\n").expect("written");
        Some(Self { server, generation, sink, variables })
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.sink.folder().join("backups")
    }

    /// A file beside the tree.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.sink.folder().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str], more: &[(&str, &str)]) -> Command {
        let mut command = self.bare(arguments);
        command.envs(self.variables.iter().map(|(name, value)| (*name, value.as_str()))).envs(more.iter().copied());
        command
    }

    /// Beside the tree, without the container's variables.
    pub(crate) fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = self.sink.command(None, arguments);
        command.env_remove("BACKUP_TO").env_remove("BACKUP_STATE").current_dir(self.sink.folder());
        command
    }

    /// `pg-backup dumps …`.
    pub(crate) fn dumps(&self, arguments: &[&str]) -> Ran {
        self.dumps_with(arguments, &[])
    }

    pub(crate) fn dumps_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Ran {
        Ran::of(&mut self.command(&[&["dumps"], arguments].concat(), more))
    }

    /// `pg-backup dumps restore …` as the administrator, asked nothing.
    pub(crate) fn restore(&self, arguments: &[&str]) -> Ran {
        self.dumps(&[&["restore", "--yes"], &self.admin()[..], arguments].concat().iter().map(|one| &**one).collect::<Vec<_>>())
    }

    pub(crate) fn admin(&self) -> [&'static str; 2] {
        ["--admin-password-file", "sesame"]
    }

    /// Where the dump of a day lies, from the root of the tree on.
    pub(crate) fn path(&self, day: u32) -> String {
        match self.generation {
            Generation::First => format!("2020-10-{day:02}/shop2020-10-{day:02}-10-15.sql.gz"),
            Generation::Later => format!("daily/2020-10-{day:02}/127.0.0.1-shop_2020-10-{day:02}_10-15-00.sql.gz"),
        }
    }

    /// What pg_dump prints of the database as the container has it: over the user of the backups.
    pub(crate) fn pg_dump(&self) -> Vec<u8> {
        let dump = self.server.command("pg_dump").args(["-Fp", "-U", "app", "shop"]).output().expect("pg_dump runs");
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        dump.stdout
    }

    /// Takes a dump as the container does and returns its path in the tree.
    pub(crate) fn take(&self, day: u32) -> String {
        self.put(&self.path(day), &self.pg_dump())
    }

    /// Stores `sql` as the container does, in the later generation with the roles behind it.
    pub(crate) fn put(&self, path: &str, sql: &[u8]) -> String {
        let mut file = gzip(sql);
        if self.generation == Generation::Later {
            let roles = self.server.pg_dumpall(&["--roles-only", "--no-role-passwords"]);
            let roles = String::from_utf8(roles).expect("text");
            let others = |line: &&str| {
                let own =
                    |role: &str| ["CREATE ROLE", "ALTER ROLE"].iter().any(|verb| line.starts_with(&format!("{verb} {role}")));
                !own("postgres") && !own("app")
            };
            let roles: Vec<&str> = roles.lines().filter(others).collect();
            file.extend(gzip((roles.join("\n") + "\n").as_bytes()));
        }
        self.write(path, &file);
        path.to_owned()
    }

    /// A file of the tree, byte for byte.
    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        File::create(path).expect("made").write_all(bytes).expect("written");
    }

    /// All that is in the database, and of the database itself, as text.
    pub(crate) fn state(&self, name: &str) -> String {
        let dump = self.server.command("pg_dump").args(["-Fp", name]).output().expect("pg_dump runs");
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        let text = String::from_utf8(dump.stdout).expect("text");
        // Each run has another key.
        let text = text.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n");
        format!("{}\n{text}", self.properties(name))
    }

    /// What belongs to the database itself.
    pub(crate) fn properties(&self, name: &str) -> String {
        let sql = "SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit, \
                   (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) a), shobj_description(d.oid, 'pg_database'), \
                   (SELECT array_agg((setrole::regrole::text, setconfig)::text ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid)";
        self.server.psql("postgres", &format!("{sql} FROM pg_database d WHERE datname = '{name}'"))
    }

    /// The databases that are there beside those of every server.
    pub(crate) fn databases(&self) -> Vec<String> {
        let sql = "SELECT datname FROM pg_database WHERE datname !~ '^(template|postgres)' ORDER BY 1";
        self.server.psql("postgres", sql).lines().map(str::to_owned).collect()
    }

    /// The dumps in the tree, by their paths in it, in order.
    pub(crate) fn files(&self) -> Vec<String> {
        let (mut found, mut folders) = (Vec::new(), vec![self.root()]);
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir().into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        let within = |path: &PathBuf| path.strip_prefix(self.root()).expect("within").to_string_lossy().into_owned();
        let mut found: Vec<String> = found.iter().map(within).filter(|path| !path.starts_with("records/")).collect();
        found.sort();
        found
    }
}

/// What `gzip` makes of it.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip runs");
    let mut input = gzip.stdin.take().expect("piped");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(bytes));
        gzip.wait_with_output()
    });
    output.expect("it ends").stdout
}

/// The folder of a path in a tree.
pub(crate) fn name_of(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).expect("a name")
}
