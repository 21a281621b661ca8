//! `deploy/systemd`: read by systemd-analyze, without a systemd that runs.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::given::Given;

const UNITS: [&str; 3] = ["pg-backup.service", "pg-backup-once.service", "pg-backup-once.timer"];
const SERVICES: [&str; 2] = ["pg-backup.service", "pg-backup-once.service"];

/// How exposed a service may be, in tenths, as `systemd-analyze security` counts it: 0 is not at all, 100 is all of it.
const EXPOSURE: &str = "15";

/// A root of its own with `units` in it, and with the units that every machine has.
fn root(units: &[(&str, String)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("etc/systemd/system");
    std::fs::create_dir_all(&folder).expect("a folder");
    for unit in ["sysinit", "basic", "shutdown", "multi-user", "timers", "time-set", "time-sync", "network-online"] {
        std::fs::write(folder.join(format!("{unit}.target")), "[Unit]\nDescription=There\n").expect("a unit");
    }
    for (name, text) in units {
        std::fs::write(folder.join(name), text).expect("a unit");
    }
    let bin = root.path().join("usr/local/bin");
    std::fs::create_dir_all(&bin).expect("a folder");
    // Something that can be run: more is not looked at.
    std::fs::write(bin.join("pg-backup"), "#!/bin/sh\n").expect("a program");
    std::fs::set_permissions(bin.join("pg-backup"), Permissions::from_mode(0o755)).expect("rights");
    root
}

/// What `systemd-analyze verify` has to say of units in a root.
fn verify(root: &Path, units: &[&str]) -> String {
    let root = format!("--root={}", root.display());
    let mut command = Command::new("systemd-analyze");
    let output = command.args(["verify", "--man=no", &root]).args(units).output().expect("ci/install installs systemd-analyze");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(unit: &str) -> String {
    crate::text(&format!("systemd/{unit}"))
}

/// The settings of a unit, by their names, in order.
fn settings(unit: &str) -> Vec<(String, String)> {
    let text = text(unit);
    let lines = text.lines().filter(|line| !line.starts_with(['#', '[']));
    lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn every_setting_is_one_of_systemd() {
    let units = UNITS.map(|unit| (unit, text(unit)));
    assert_eq!(verify(root(&units).path(), &UNITS), "");
    for unit in UNITS {
        // All are misspelt at once but what is run: without that nothing else is looked at.
        let mut wrong = 0;
        let misspell = |line: &str| match line.split_once('=') {
            Some((name, value)) if !line.starts_with('#') && !["ExecStart", "Type"].contains(&name) => {
                wrong += 1;
                format!("{name}x={value}\n")
            }
            _ => format!("{line}\n"),
        };
        let misspelt: String = text(unit).lines().map(misspell).collect();
        let mut all = units.clone();
        all.iter_mut().filter(|(name, _)| *name == unit).for_each(|(_, text)| text.clone_from(&misspelt));
        let said = verify(root(&all).path(), &[unit]);
        assert!(wrong > 3 && said.matches("Unknown key").count() == wrong, "{wrong} settings are misspelt: {said}");
    }
}

#[test]
fn a_service_is_not_exposed() {
    for unit in SERVICES {
        let exposed = |text: String| {
            let root = root(&[(unit, text)]);
            let mut command = Command::new("systemd-analyze");
            command.args(["security", "--offline=true", "--no-pager"]).arg(format!("--root={}", root.path().display()));
            let output = command.args([&format!("--threshold={EXPOSURE}"), unit]).output().expect("systemd-analyze runs");
            let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(out.contains("Overall exposure level"), "{out}{err}");
            (!output.status.success()).then(|| out.lines().last().unwrap_or_default().to_owned())
        };
        assert_eq!(exposed(text(unit)), None);
        assert!(exposed(text(unit).replace("CapabilityBoundingSet=\n", "")).is_some());
    }
}

#[test]
fn the_program_knows_what_the_units_give_it() {
    for unit in SERVICES {
        let mut given = Given::default();
        let mut credentials = Vec::new();
        for (name, value) in settings(unit) {
            match name.as_str() {
                "ExecStart" => {
                    let mut words = value.split(' ');
                    assert_eq!(words.next(), Some("/usr/local/bin/pg-backup"));
                    given.arguments.extend(words.map(str::to_owned));
                }
                "Environment" => {
                    let (name, value) = value.split_once('=').expect("a variable");
                    given.variables.insert(name.into(), value.replace("%S", "/var/lib"));
                }
                "EnvironmentFile" => {
                    assert_eq!(value, "/etc/pg-backup/environment");
                    let text = text("environment");
                    let lines = text.lines().filter(|line| !line.starts_with('#'));
                    let pairs = lines.map(|line| line.split_once('=').expect("a variable"));
                    given.variables.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
                }
                "LoadCredential" => credentials.push(value.split(':').next().unwrap_or_default().to_owned()),
                _ => {}
            }
        }
        given.files.extend(credentials.iter().map(|name| (format!("%d/{name}"), "a secret".to_owned())));
        assert_eq!(given.files.len(), 1);
        assert_eq!(given.arguments.contains(&"--once".to_owned()), unit == "pg-backup-once.service");
        given.is_known_to_the_letter();
    }
}
