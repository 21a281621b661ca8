//! Files of a director come back, all of them or none, and what cannot be meant stops and replaces nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::killed::killed_at;
use crate::scene::Scene;

/// The folders in which restores work.
const WORK: &str = "ls -d /var/vcap/.bosh-backup-* /var/vcap/store/.bosh-backup-* 2>/dev/null || :";

impl Scene {
    /// All that there is to know of the files in folders below `/var/vcap`, but for their numbers.
    fn tree(&self, folders: &str) -> String {
        let looked = r"-type d -printf '%p %y %m %U %G\n' -o -printf '%p %y %s %m %U %G %n %l %T@\n'";
        self.director.sh(&format!(
            "cd /var/vcap; find {folders} {looked} | sort; find {folders} -type f -exec cat {{}} + | cksum; \
             getfattr -Rdm - {folders} 2>/dev/null || :"
        ))
    }

    fn jobs(&self) -> String {
        self.director.sh("cat /var/vcap/sys/run/*/*.pid")
    }
}

/// Files of every kind in the store.
fn every_kind(scene: &Scene) {
    let root = scene.director.store().join("blobstore");
    fs::create_dir_all(root.join("it's a \"name\"\nof two lines")).expect("made");
    fs::write(root.join("it's a \"name\"\nof two lines/$(id) `id` \\"), "odd").expect("written");
    symlink("/etc/passwd", root.join("link")).expect("linked");
    fs::hard_link(root.join("a/blob"), root.join("again")).expect("linked");
    fs::File::create(root.join("hole")).and_then(|file| file.set_len(5_000_000)).expect("made");
    fs::write(root.join("owned"), "owned").expect("written");
    std::os::unix::fs::chown(root.join("owned"), Some(70_000), Some(3_000_000)).expect("given");
    rustix::fs::lsetxattr(root.join("owned"), "user.text", b"with = and\n", rustix::fs::XattrFlags::empty()).expect("given");
    scene.director.sh("cd /var/vcap/store/blobstore; chmod 6755 owned; mkfifo -m 640 pipe; mkdir -m 1733 empty");
}

#[test]
fn files_of_a_director_come_back_and_what_the_list_leaves_out_stays() {
    let Some(scene) = Scene::start() else { return };
    scene.stopped_before("nats");
    every_kind(&scene);
    scene.run(&["backup"], 0);
    let before = scene.tree("store/blobstore");
    scene.psql("postgres", "DROP DATABASE bosh");
    scene.director.sh(
        "cd /var/vcap/store; rm -r blobstore/a/blob blobstore/it*; echo other >blobstore/owned; chmod 600 blobstore/owned; \
         echo new >blobstore/new; echo new >new; echo found >lost+found/y; echo changed >../bosh/settings.json",
    );
    let (destroyed, jobs) = (scene.tree("store/blobstore"), scene.jobs());

    let steps: Vec<String> = scene.run(&["restore", "--files", "--dry-run"], 0).out.lines().map(str::to_owned).collect();
    for about in
        ["    store/blobstore: replaced", "    store/new: removed", "    store/postgres: replaced", "    monit/director"]
    {
        assert!(steps.iter().any(|line| line == about), "{about:?} is not in {steps:?}");
    }
    let steps: Vec<String> = steps.into_iter().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(steps.len(), 8, "{steps:?}");
    let said = scene.run(&["restore", "--files"], 2);
    assert!(said.err.contains("nobody is there to be asked"), "{}", said.err);
    assert_eq!((scene.tree("store/blobstore"), scene.jobs()), (destroyed, jobs), "nothing was done");

    let said = scene.run(&["--json", "restore", "--files", "--yes"], 0);
    assert_eq!(said.steps(&steps), steps, "each step, in that order");
    assert_eq!(scene.tree("store/blobstore"), before);
    assert_eq!(scene.psql("bosh", "SELECT count(*) FROM instances"), "1000", "the files of the database are back");
    assert_eq!(
        scene.director.sh("cd /var/vcap; cat store/lost+found/x store/lost+found/y bosh/settings.json; ls store"),
        "lost\nfound\nchanged\nblobstore\nlost+found\npostgres",
        "what the list leaves out, or was not chosen, stays"
    );
    assert_eq!(scene.up(), ["agent", "director", "postgres"], "what was stopped before stays so");
    assert_eq!((scene.traces(), scene.director.sh(WORK)), (String::new(), String::new()));
    let result = said.result();
    assert!(result["downtime_ms"].as_u64().is_some_and(|millis| millis > 0), "{result}");
    let log = fs::read_to_string(result["log"].as_str().expect("a log")).expect("read");
    assert!(log.contains("the restore is done"), "{log}");

    // One file in a folder that has others, and a folder, out of the cache; what was there is kept on both file systems. The cache
    // does not tell what the list was: nothing is removed beside what comes back.
    scene.director.sh("rm -r /var/vcap/store/blobstore/a; echo new >/var/vcap/store/new");
    let paths = ["--path", "bosh/settings.json", "--path", "store/blobstore"];
    let said = scene.run(&[&["--json", "restore", "--files", "--cache", "--keep", "--yes"], &paths[..]].concat(), 0);
    let result = said.result();
    let kept: Vec<&str> = result["kept"].as_array().expect("a list").iter().filter_map(|kept| kept.as_str()).collect();
    let [here, store] = kept.as_slice() else { panic!("{result}") };
    let told = scene.director.sh(&format!("cat /var/vcap/bosh/settings.json {here}/bosh/settings.json /var/vcap/store/new"));
    assert_eq!((told.as_str(), scene.tree("store/blobstore")), ("{}\nchanged\nnew", before));
    scene.director.sh(&format!("test -d {store}/store/blobstore -a ! -e {store}/store/blobstore/a"));
    assert_eq!(scene.director.sh(WORK), kept.join("\n"), "and nothing else is left");
    assert_eq!(scene.up(), ["agent", "director", "postgres"]);
}

/// An archive as microbosh-simple-backup makes one, whose names a program of sh has made in `vcap`.
fn seed_written(scene: &Scene, script: &str, options: &[&str]) -> String {
    let (made, archive) = (scene.at("seed"), scene.at("seed.tgz"));
    let _ = fs::remove_dir_all(&made);
    fs::create_dir_all(made.join("vcap/store/blobstore")).expect("made");
    fs::write(made.join("_date.control"), "20150101000000\n20150101000100\n").expect("written");
    let shell = Command::new("sh").args(["-euc", script]).current_dir(&made).status().expect("sh runs");
    assert!(shell.success(), "{script}");
    let mut tar = Command::new("tar");
    tar.args(["-acvP", "--acls", "--atime-preserve", "-f"]).arg(&archive).arg("-C").arg(made).args(options);
    let output = tar.args(["_date.control", "vcap"]).output().expect("tar runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    archive.display().to_string()
}

#[test]
fn files_that_are_damaged_or_not_meant_stop_and_replace_nothing() {
    let Some(scene) = Scene::start() else { return };
    scene.run(&["--online", "backup"], 0);
    let name = scene.out().into_iter().find(|name| name.ends_with(".gz")).expect("an archive");
    let archive = scene.at("out").join(name);
    let manifest = PathBuf::from(format!("{}.manifest.json", archive.display()));
    let [whole, told] = [&archive, &manifest].map(|path| fs::read(path).expect("read"));
    let (jobs, before) = (scene.jobs(), scene.tree("store/blobstore"));
    let fails = |arguments: &[&str], code: i32, words: &str| {
        let said = scene.run(&[&["restore", "--files", "--yes"], arguments].concat(), code);
        assert!(said.err.contains(words), "{words:?} is not in {}", said.err);
        assert!(said.err.contains("hint: "), "{}", said.err);
    };
    let blobs = ["--path", "store/blobstore"];

    fails(&[], 1, "was copied while its server ran");
    fails(&["--path", "store/nosuch"], 3, "nothing comes back as");
    fails(&["--path", "store/nosuch/x"], 3, "there is no folder");
    fails(&["--path", "../etc"], 2, "is no path below");
    fs::write(&archive, &whole[..whole.len() / 2]).expect("written");
    fails(&blobs, 4, "the archive");
    fs::write(&archive, &whole).expect("as it was");
    let text = String::from_utf8(told.clone()).expect("text");
    for (from, to, code, words) in [
        ("vcap@", "vcap@other-", 2, "--other-director"),
        ("\"owners\": true", "\"owners\": false", 1, "does not have the owners"),
        ("\"list\": \"", "\"list\": \"- \\n", 2, "cannot be meant"),
    ] {
        assert!(text.contains(from), "{from} is not in {text}");
        fs::write(&manifest, text.replace(from, to)).expect("written");
        fails(&blobs, code, words);
    }
    fs::write(&manifest, &told).expect("as it was");

    // Archives without a manifest, made to reach elsewhere.
    let seed = |script: &str, options: &[&str], code: i32, words: &str| {
        fails(&[&blobs[..], &[&seed_written(&scene, script, options)]].concat(), code, words);
    };
    seed("echo x >vcap/store/blobstore/x", &["--transform=s,blobstore/x,../../../etc/x,"], 4, "leads out of it");
    seed(
        "cd vcap/store/blobstore; ln -s /etc a; echo x >b",
        &["--transform=s,blobstore/b,blobstore/a/x,"],
        4,
        "does not follow the folder",
    );
    seed("cd vcap/store/blobstore; mkdir pg; echo 9.6 >pg/PG_VERSION", &[], 2, "files of PostgreSQL 9.6 come back");

    // A full disk, and a user who may not.
    let stat = "/usr/local/bin/stat";
    scene.director.sh(&format!("mkdir -p /usr/local/bin; printf '#!/bin/sh\\necho 1 4096\\n' >{stat}; chmod 755 {stat}"));
    fails(&blobs, 1, "has 4096 bytes left");
    scene.director.sh(&format!("rm {stat}"));
    let programs = "/var/vcap/bosh/bin/monit, /usr/bin/sv, /usr/bin/find, /bin/tar, /usr/bin/tar, /bin/kill";
    scene.director.sh(&format!(
        "cp /etc/sudoers /root/; sed -i '/^vcap/d' /etc/sudoers; echo 'vcap ALL=(root) NOPASSWD: {programs}' >>/etc/sudoers"
    ));
    fails(&blobs, 1, "sudo does not let sh run");
    scene.director.sh("cat /root/sudoers >/etc/sudoers");

    // What tar there makes otherwise than it was told.
    let tar = "/var/vcap/bosh/bin/tar";
    scene.director.sh(&format!(
        "printf '%s\\n' '#!/bin/sh' '/bin/tar \"$@\" || exit' 'chmod 777 /var/vcap/store/.bosh-backup-restore/new/vcap/store/blobstore/a/blob 2>/dev/null' 'exit 0' >{tar}; chmod 755 {tar}"
    ));
    fails(&blobs, 6, "was not unpacked as it is in the archive");
    scene.director.sh(&format!("rm {tar}"));
    assert_eq!((scene.jobs(), scene.tree("store/blobstore")), (jobs, before), "nothing was stopped or replaced");
    assert_eq!((scene.traces(), scene.director.sh(WORK)), (String::new(), String::new()));

    // One of the seed that is whole: what it does not have stays where the list was not told.
    let seed = seed_written(&scene, "echo seed >vcap/store/blobstore/x", &[]);
    scene.run(&["restore", "--files", "--yes", "--path", "store/blobstore", &seed], 0);
    assert_eq!(scene.director.sh("cd /var/vcap/store; cat blobstore/x; ls blobstore"), "seed\nx");
    assert!(Path::new(&archive).exists());
}

/// From here on the first rename of a place on the director is done, and then this.
fn after_one_rename(scene: &Scene, then: &str) {
    let script = format!(
        r#"#!/bin/sh
/bin/mv "$@" || exit
[ "$1" = -T ] && rm /run/once 2>/dev/null || exit 0
{then}
"#
    );
    let mv = "/var/vcap/bosh/bin/mv";
    scene.director.sh(&format!("printf '%s' '{script}' >{mv}; chmod 755 {mv}; : >/run/once"));
}

/// Whether that rename was done.
fn one_was_done(scene: &Scene) -> bool {
    scene.director.sh("ls /run/once 2>/dev/null || :").is_empty()
}

/// Kills a restore with SIGKILL once the first rename was done, and waits until all runs that did.
fn killed_within_renames(scene: &Scene, arguments: &[&str]) {
    // On a machine that has much to do so short a lease may run out before.
    for lease in ["10", "60", "180"] {
        let mut program = scene.program(arguments);
        program.env("BOSH_BACKUP_LEASE", lease).stdout(Stdio::null()).stderr(Stdio::null());
        let mut run = program.spawn().expect("it runs");
        while !one_was_done(scene) && run.try_wait().expect("it is looked at").is_none() {
            std::thread::sleep(Duration::from_millis(50));
        }
        run.kill().expect("it is killed");
        run.wait().expect("it is gone");
        if one_was_done(scene) {
            return scene.wait_until_up(&["agent", "director", "postgres"]);
        }
    }
    panic!("no run came to the renames");
}

#[test]
fn files_are_all_as_they_were_or_all_as_they_come_back_whatever_breaks_off() {
    let Some(scene) = Scene::start() else { return };
    scene.stopped_before("nats");
    scene.backed_up();
    scene.director.sh("cd /var/vcap/store; mkdir more; echo old >more/x; echo old >blobstore/a/blob");
    let restore = ["--json", "restore", "--files", "--yes", "--path", "store/blobstore", "--path", "bosh/settings.json"];
    let files = "store/blobstore store/more bosh/settings.json";
    scene.director.sh("echo old >/var/vcap/bosh/settings.json");
    let old = scene.tree(files);

    // A rename that fails after others were done.
    after_one_rename(&scene, "exit 1");
    let said = scene.run(&restore, 1);
    assert!(said.err.contains("put files in their place"), "{}", said.err);
    assert!(one_was_done(&scene));
    assert_eq!((scene.tree(files), scene.director.sh(WORK)), (old.clone(), String::new()));
    assert_eq!(scene.up(), ["agent", "director", "postgres"]);

    // A kill between two of them: the guard puts back what was there before it starts anything.
    after_one_rename(&scene, "sleep 600");
    killed_within_renames(&scene, &restore);
    assert_eq!(scene.tree(files), old);

    // The next one finds out, and what the killed one has left goes.
    scene.director.sh("rm /var/vcap/bosh/bin/mv");
    let said = scene.run(&restore, 0);
    assert!(said.err.contains("what a restore that died had left"), "{}", said.err);
    assert_eq!(scene.director.sh("cd /var/vcap; cat bosh/settings.json; wc -c <store/blobstore/a/blob"), "{}\n300000");
    assert_eq!((scene.traces(), scene.director.sh(WORK)), (String::new(), String::new()));
    assert_eq!(scene.run(&["resume"], 0).out.trim(), "nothing was left stopped");
    assert_eq!(scene.up(), ["agent", "director", "postgres"], "what was stopped before stays so");
}

#[test]
#[ignore = "minutes: one of the long tests"]
fn a_restore_of_files_that_is_killed_at_any_step_leaves_nothing_down_and_no_half() {
    let Some(scene) = Scene::start() else { return };
    scene.stopped_before("nats");
    scene.backed_up();
    let restore = ["--json", "restore", "--files", "--yes", "--path", "store/blobstore"];
    let new = scene.tree("store/blobstore");
    for step in [
        "unpack files beside those that are there",
        "compare what was unpacked",
        "stop services, then the agent",
        "put files in their place",
        "start services, then the agent",
        "remove what was replaced",
    ] {
        scene.director.sh("echo old >/var/vcap/store/blobstore/old");
        let old = scene.tree("store/blobstore");
        killed_at(&scene, &restore, step, Some(Duration::from_secs(60)));
        let is = scene.tree("store/blobstore");
        assert!(is == old || is == new, "{step}: {is}");
    }
    scene.run(&restore, 0);
    assert_eq!(scene.tree("store/blobstore"), new);
    assert_eq!((scene.traces(), scene.director.sh(WORK)), (String::new(), String::new()));
}

#[test]
#[ignore = "minutes: one of the long tests"]
fn what_was_there_is_put_back_where_services_do_not_start_on_what_came_back() {
    let Some(scene) = Scene::start() else { return };
    let conf = fs::read_to_string(scene.at("director.conf")).expect("read");
    fs::write(scene.at("director.conf"), conf.replace("PROCESS_TIME_LIMIT=60", "PROCESS_TIME_LIMIT=10")).expect("written");
    scene.run(&["backup"], 0);
    // In the cache the server's configuration is none, with all else as it was.
    fs::write(scene.at("cache/vcap/store/postgres/postgresql.conf"), "what = is = this\n").expect("written");
    scene.psql("bosh", "DELETE FROM instances WHERE id > 10");
    let said = scene.run(&["restore", "--files", "--cache", "--path", "store/postgres", "--yes"], 1);
    assert!(said.err.contains("what was there is back, and runs"), "{}", said.err);
    scene.wait_until_up(&["agent", "director", "nats", "postgres"]);
    assert_eq!(scene.psql("bosh", "SELECT count(*) FROM instances"), "10");
    assert_eq!((scene.traces(), scene.director.sh(WORK)), (String::new(), String::new()));
    assert_eq!(scene.run(&["resume"], 0).out.trim(), "nothing was left stopped");
}
