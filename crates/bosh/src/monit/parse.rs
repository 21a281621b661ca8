//! The text of `monit summary` and `monit status`: lines and blocks of `Kind 'name'`, or a table.

use backup_core::{Error, Result};

use super::{Service, ServiceKind, State};

/// What monit says instead of a status, at the end of a line.
const NO_DAEMON: [&str; 3] =
    ["the monit daemon is not running", "error connecting to the monit daemon", "cannot read status from the monit daemon"];

/// What a service that is well is called, by kind and version.
const RUNNING: [&str; 9] = [
    "OK",
    "running",
    "Running",
    "accessible",
    "Accessible",
    "online with all services",
    "Online with all services",
    "Status ok",
    "status ok",
];

const KINDS: [(&str, ServiceKind); 9] = [
    ("Process", ServiceKind::Process),
    ("System", ServiceKind::System),
    ("File", ServiceKind::File),
    ("Directory", ServiceKind::Directory),
    ("Filesystem", ServiceKind::Filesystem),
    ("Fifo", ServiceKind::Fifo),
    ("Remote Host", ServiceKind::RemoteHost),
    ("Program", ServiceKind::Program),
    ("Network", ServiceKind::Network),
];

/// The services in `text`; `None` if there is no daemon.
pub(super) fn parse(text: &str) -> Result<Option<Vec<Service>>> {
    if let Some(line) = text.lines().find(|line| line.chars().any(char::is_control)) {
        return Err(strange(line));
    }
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let Some(first) = lines.next() else { return Err(Error::failed("monit has said nothing")) };
    if NO_DAEMON.iter().any(|words| first.trim_end().ends_with(words)) && lines.next().is_none() {
        return Ok(None);
    }
    // `The Monit daemon 5.2.5 uptime: 0m`, `Monit 5.33.0 uptime: 0m`
    let version = first.strip_prefix("The Monit daemon ").or_else(|| first.strip_prefix("Monit "));
    if !version.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains(" uptime: ")) {
        return Err(strange(first));
    }
    if !text.ends_with('\n') {
        return Err(Error::failed("what monit says breaks off"));
    }
    let mut lines = lines.peekable();
    match lines.next_if(|line| line.starts_with(" Service Name ")) {
        Some(head) => table(head, lines).map(Some),
        None => blocks(lines).map(Some),
    }
}

/// Lines `Process 'name'   status`, or blocks that begin without the status and have it in a line of its own.
fn blocks<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<Service>> {
    let mut services = Vec::new();
    // The service whose block this is, its status once that was told, and the number of its process.
    let mut open: Option<(ServiceKind, &str, Option<&str>, Option<u32>)> = None;
    let close = |open: Option<_>, services: &mut Vec<Service>| {
        let Some((kind, name, status, pid)) = open else { return Ok(()) };
        let Some(status) = status else { return Err(Error::failed(format!("monit does not say how {name:?} is"))) };
        services.push(Service { pid, ..service(kind, name, status) });
        Ok(())
    };
    for line in lines {
        if let (Some(told), Some((_, _, status, pid))) = (line.strip_prefix("  "), &mut open) {
            if let Some(value) = told.strip_prefix("pid ") {
                *pid = value.trim().parse().ok();
            }
            if let Some(value) = told.strip_prefix("status ")
                && status.replace(value.trim()).is_some()
            {
                return Err(strange(line));
            }
            continue;
        }
        close(open.take(), &mut services)?;
        let (kind, rest) = line.split_once(" '").ok_or_else(|| strange(line))?;
        // No status has a quote in it.
        let (name, rest) = rest.rsplit_once('\'').filter(|(name, _)| !name.is_empty()).ok_or_else(|| strange(line))?;
        let kind = kind_of(kind).ok_or_else(|| strange(line))?;
        match rest.trim() {
            "" => open = Some((kind, name, None, None)),
            status if rest.starts_with(' ') => services.push(service(kind, name, status)),
            _ => return Err(strange(line)),
        }
    }
    close(open, &mut services)?;
    Ok(services)
}

/// Rows under ` Service Name   Status   Type`: each cell begins where its title does.
fn table<'a>(head: &str, rows: impl Iterator<Item = &'a str>) -> Result<Vec<Service>> {
    let (Some(status), Some(kind)) = (head.find(" Status "), head.find(" Type")) else { return Err(strange(head)) };
    if status >= kind {
        return Err(strange(head));
    }
    let row = |row: &str| {
        let cells: Vec<char> = row.chars().collect();
        let (whole, rest) = (cells.get(..kind)?, cells.get(kind..)?);
        let (name, state) = (whole.get(..status)?, whole.get(status..)?);
        // A blank stands before each cell, and nothing of the one before it.
        if ![name, state, rest].iter().all(|cell| cell.first() == Some(&' ') && cell.get(1).is_some_and(|c| *c != ' ')) {
            return None;
        }
        let [name, state, rest] = [name, state, rest].map(String::from_iter);
        Some(service(kind_of(rest.trim())?, name.trim(), state.trim()))
    };
    rows.map(|line| row(line).ok_or_else(|| strange(line))).collect()
}

fn kind_of(word: &str) -> Option<ServiceKind> {
    KINDS.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind)
}

/// A service whose status reads `running - stop pending`.
fn service(kind: ServiceKind, name: &str, status: &str) -> Service {
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let pending = status.strip_suffix(" pending").and_then(|rest| rest.rsplit_once(" - ")).filter(|(_, word)| is_word(word));
    let (text, pending) = pending.map_or((status, None), |(text, action)| (text, Some(action.to_owned())));
    let state = match text {
        "not monitored" | "Not monitored" => State::NotMonitored,
        "initializing" | "Initializing" => State::Initializing,
        text if RUNNING.contains(&text) => State::Running,
        text => State::Other(text.to_owned()),
    };
    Service { kind, name: name.to_owned(), state, pending, pid: None }
}

fn strange(line: &str) -> Error {
    let start: String = line.chars().take(80).collect();
    Error::failed(format!("monit says what cannot be understood: {start:?}"))
        .with_hint("run `monit summary` on the host and see what it prints")
}
