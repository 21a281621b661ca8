//! What somebody gives to the program, and whether the program knows all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};

use serde_json::Value;

/// What a container or a unit gives to the program.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// Its whole environment.
    pub(crate) variables: BTreeMap<String, String>,
    /// The files that are mounted for it, by their paths.
    pub(crate) files: BTreeMap<String, String>,
}

fn run(arguments: &[String], variables: &BTreeMap<String, String>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pg-backup"));
    command.args(arguments).env_clear().envs(variables).output().expect("the program runs")
}

impl Given {
    /// Fails if the program does not know an argument or a variable, if a file that a variable names is not mounted, or if
    /// `config check` finds anything wrong.
    pub(crate) fn is_known(&self) -> Result<(), String> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut variables = self.variables.clone();
        for (index, (path, content)) in self.files.iter().enumerate() {
            let copy = folder.path().join(index.to_string());
            std::fs::write(&copy, content).expect("a file");
            for value in variables.values_mut().filter(|value| *value == path) {
                *value = copy.to_string_lossy().into_owned();
            }
        }
        for (name, value) in variables.iter().filter(|(name, _)| name.ends_with("_FILE") || *name == "BACKUP_CONF") {
            if !value.starts_with(&*folder.path().to_string_lossy()) {
                return Err(format!("{name} names {value}, which is mounted nowhere"));
            }
        }
        let help = [&self.arguments[..], &["--help".to_owned()]].concat();
        let help = run(&help, &BTreeMap::new());
        if !help.status.success() {
            return Err(String::from_utf8_lossy(&help.stderr).into_owned());
        }
        let check = run(&["--json", "config", "check"].map(str::to_owned), &variables);
        if !check.status.success() {
            return Err(String::from_utf8_lossy(&check.stderr).into_owned());
        }
        let mut known: BTreeSet<String> = String::from_utf8_lossy(&help.stdout)
            .split("[env: ")
            .skip(1)
            .filter_map(|rest| rest.split(['=', ']']).next().map(str::to_owned))
            .collect();
        for line in String::from_utf8_lossy(&check.stdout).lines() {
            let found: Value = serde_json::from_str(line).expect("a line of JSON");
            let from = found["from"].as_str().expect("where it is from");
            if let Some(name) = from.strip_prefix("the variable ") {
                known.insert(name.to_owned());
            } else if let Some(path) = from.strip_prefix("the file ") {
                known.extend(variables.iter().filter(|(_, value)| *value == path).map(|(name, _)| name.clone()));
            }
        }
        match variables.keys().find(|name| !known.contains(*name)) {
            Some(name) => Err(format!("the program does not know the variable {name}")),
            None => Ok(()),
        }
    }

    /// Fails the test unless the program knows all of it, and does not once a variable or an option is misspelt.
    pub(crate) fn is_known_to_the_letter(&self) {
        assert_eq!(self.is_known(), Ok(()), "{self:?}");
        for name in self.variables.keys() {
            let mut variables = self.variables.clone();
            let value = variables.remove(name).unwrap_or_default();
            variables.insert(format!("{name}X"), value);
            let other = Self { variables, arguments: self.arguments.clone(), files: self.files.clone() };
            assert!(other.is_known().is_err(), "nobody sees that {name} is misspelt");
        }
        for index in 0..self.arguments.len() {
            let mut arguments = self.arguments.clone();
            arguments[index].push('x');
            let other = Self { arguments, variables: self.variables.clone(), files: self.files.clone() };
            assert!(other.is_known().is_err(), "nobody sees that {:?} is misspelt", self.arguments[index]);
        }
    }
}
