//! The ids of a director, its machines and disks: what its host and the file of its deployment tell of them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use backup_core::{Context, Doing, Error, Kind as Failure, Result};
use backup_host::Command;
use serde_json::Value;

use crate::Director;
use crate::copy::{extract, read_blocking};

/// The most that is read of a file with ids, in bytes.
const LONGEST: u64 = 16 << 20;

/// The most ids that are kept.
const MOST: usize = 100_000;

/// The folder and the name of the file in which an agent keeps what it was told of its machine.
const SETTINGS: [&str; 2] = ["/var/vcap/bosh", "settings.json"];

/// What an id is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A director: its uuid.
    Director,
    /// An agent.
    Agent,
    /// A machine: its name in the cloud, or what the cloud calls it.
    Machine,
    /// A disk.
    Disk,
    /// A stemcell.
    Stemcell,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Director => "director",
            Self::Agent => "agent",
            Self::Machine => "machine",
            Self::Disk => "disk",
            Self::Stemcell => "stemcell",
        })
    }
}

/// Ids, each once, a disk's with its path where one is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids(pub BTreeMap<(Kind, String), Option<String>>);

impl Ids {
    /// Adds an id; one that is empty is none.
    pub fn add(&mut self, kind: Kind, id: &str, path: Option<&str>) -> Result<()> {
        if id.is_empty() {
            return Ok(());
        }
        let known = self.0.entry((kind, id.to_owned())).or_default();
        if known.is_none() {
            *known = path.map(str::to_owned);
        }
        match self.0.len() > MOST {
            true => {
                Err(Error::failed(format!("there are more than {MOST} ids")).with_hint("look into the dump with other means"))
            }
            false => Ok(()),
        }
    }

    /// Adds what the settings of an agent tell: those on a machine, and those in a registry.
    pub fn add_settings(&mut self, settings: &Value) -> Result<()> {
        let text = |value: &Value| value.as_str().map(str::to_owned).unwrap_or_default();
        self.add(Kind::Agent, &text(&settings["agent_id"]), None)?;
        for name in ["name", "id"] {
            self.add(Kind::Machine, &text(&settings["vm"][name]), None)?;
        }
        for (id, disk) in settings["disks"]["persistent"].as_object().into_iter().flatten() {
            let path = disk.as_str().or_else(|| disk["path"].as_str());
            self.add(Kind::Disk, id, path)?;
        }
        Ok(())
    }
}

/// What `bosh-deployments.yml` of a micro BOSH tells, as its deployer writes it: a line for each key. One that tells no id is
/// [`Kind::Usage`](Failure::Usage).
pub fn of_deployments(file: &Path) -> Result<Ids> {
    let doing = || format!("read {}", file.display());
    let size = file.metadata().doing(doing)?.len();
    if size > LONGEST {
        return Err(Error::usage(format!("{} is too long for a file of deployments", file.display()))
            .with_hint("name bosh-deployments.yml"));
    }
    let text = std::fs::read_to_string(file).doing(doing)?;
    let ids = deployments(&text)?;
    match ids.0.is_empty() {
        true => Err(Error::usage(format!("{} tells no id", file.display()))
            .with_hint("name bosh-deployments.yml, as bosh micro deploy writes it")),
        false => Ok(ids),
    }
}

fn deployments(text: &str) -> Result<Ids> {
    let mut ids = Ids::default();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim_start().trim_start_matches("- ").trim_start();
        let Some((key, value)) = line.split_once(": ") else { continue };
        let mut value = value.trim().to_owned();
        // What is too long for a line goes on in the next one.
        while value.starts_with('\'') && (value.len() == 1 || value.matches('\'').count() % 2 == 1) {
            let Some(more) = lines.next() else { break };
            value = format!("{value} {}", more.trim());
        }
        let value = plain(&value);
        match key.trim_matches([':', '"', '\'']) {
            "uuid" => ids.add(Kind::Agent, &value, None)?,
            "vm_cid" => ids.add(Kind::Machine, &value, None)?,
            "instance_id" => ids.add(Kind::Machine, &value, None)?,
            "disk_cid" => ids.add(Kind::Disk, &value, None)?,
            "stemcell_cid" => ids.add(Kind::Stemcell, &value, None)?,
            "settings" => {
                let settings = serde_json::from_str(&value).map_err(|error| {
                    Error::usage("the file has settings of a machine that cannot be understood").with_source(error)
                });
                ids.add_settings(&settings.map_err(|error| error.with_hint("name bosh-deployments.yml as it was written"))?)?;
            }
            _ => {}
        }
    }
    Ok(ids)
}

/// A value of YAML on one line: in single quotes, in double ones, or bare.
fn plain(value: &str) -> String {
    if let Some(quoted) = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return quoted.replace("''", "'");
    }
    if value.starts_with('"')
        && let Ok(text) = serde_json::from_str(value)
    {
        return text;
    }
    let bare = value.split(" #").next().unwrap_or_default().trim_end();
    if matches!(bare, "~" | "null" | "nil") { String::new() } else { bare.to_owned() }
}

impl Director {
    /// What the agent on the director keeps of its machine; `None` where it keeps nothing.
    pub async fn ids(&self, cx: &Context) -> Result<Option<Ids>> {
        let [folder, name] = SETTINGS;
        let command = Command::new("tar").args(["--create", "--file=-", "--format=pax", "--directory", folder, "--", name]);
        let body = self.host.run(&command.sudo(), None).await?;
        let read = read_blocking(body, move |reader| {
            let mut text = Vec::new();
            let is_there = extract(reader, name.as_bytes(), |piece| {
                text.extend_from_slice(piece);
                if text.len() as u64 > LONGEST { Err(std::io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
            })?;
            Ok(is_there.then_some(text))
        });
        let doing = || format!("read {folder}/{name} on {}", self.host.name());
        let text = match cx.unless_cancelled(read).await {
            Err(error) if error.chain().contains("No such file or directory") => None,
            text => text.doing(doing)?,
        };
        let Some(text) = text else { return Ok(None) };
        let settings = serde_json::from_slice(&text).map_err(|error| {
            Error::new(Failure::Failed, format!("{folder}/{name} is no JSON")).with_source(error).with_hint("look at it there")
        })?;
        let mut ids = Ids::default();
        ids.add_settings(&settings)?;
        Ok(Some(ids))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ids: &Ids) -> Vec<String> {
        let one = |((kind, id), path): (&(Kind, String), &Option<String>)| {
            path.as_ref().map_or(format!("{kind} {id}"), |path| format!("{kind} {id} {path}"))
        };
        ids.0.iter().map(one).collect()
    }

    #[test]
    fn a_file_of_deployments_tells_its_ids() {
        let text = r#"---
instances:
- :id: 1
  :name: microbosh
  :uuid: bm-5ab9
  :stemcell_cid: ami-1
  :stemcell_sha1: 9b2d
  :vm_cid: i-1f0c # it runs
  :disk_cid: "vol-77"
disks: []
registry_instances:
- :id: 3
  :instance_id: i-1f0c
  :settings: '{"vm":{"name":"vm-it''s"},"agent_id":"bm-5ab9",
    "disks":{"system":"/dev/sda","persistent":{"vol-77":"/dev/sdf","vol-78":{"path":"/dev/sdg","volume_id":"2"}}}}'
- :disk_cid: 
- :vm_cid: ~
"#;
        let is = [
            "agent bm-5ab9",
            "machine i-1f0c",
            "machine vm-it's",
            "disk vol-77 /dev/sdf",
            "disk vol-78 /dev/sdg",
            "stemcell ami-1",
        ];
        assert_eq!(told(&deployments(text).expect("read")), is);
    }

    #[test]
    fn what_tells_no_ids_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.yml");
        for text in ["", "instances: []\n", "- :settings: '{\"vm\":'\n", "- :settings: 'never ends\n"] {
            std::fs::write(&file, text).expect("written");
            let error = of_deployments(&file).expect_err(text);
            assert!(error.kind() == Failure::Usage && error.hint().is_some(), "{error:?}");
        }
        assert!(of_deployments(&folder.path().join("none")).is_err());
    }

    #[test]
    fn no_list_of_ids_takes_all_memory() {
        let mut ids = Ids::default();
        assert!((0..=MOST).try_for_each(|number| ids.add(Kind::Disk, &number.to_string(), None)).is_err());
    }
}
