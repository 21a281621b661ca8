//! Results on standard output, errors on standard error.

use std::io::{self, Write};

use backup_core::{BackupId, Checked, Error, Manifest, Records, Restored, State, Verdict};
use serde::Serialize;
use serde_json::json;

use crate::progress::size;

/// Prints results: for people, or as JSON lines.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// Whether as JSON.
    pub json: bool,
}

impl Report {
    /// A result as `text` for people, as `value` for programs.
    pub fn result(&self, text: &str, value: &impl Serialize) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            let line = serde_json::to_string(value)?;
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{text}")?;
        }
        out.flush()
    }

    /// The ID of a backup that was taken: the last line of standard output.
    pub fn taken(&self, manifest: &Manifest) -> io::Result<()> {
        let Manifest { id, job, parts, .. } = manifest;
        let value = json!({"id": id, "job": job, "parts": parts.len(), "bytes": manifest.stored_size()});
        self.result(&id.to_string(), &value)
    }

    /// A line for each backup and attempt.
    pub fn list(&self, records: &[Records]) -> io::Result<()> {
        for record in records {
            let marks = [
                (record.verified.is_some(), "verified"),
                (record.proven.is_some(), "proven"),
                (record.damaged, "damaged"),
                (record.unreadable, "unreadable"),
                (record.pinned, "pinned"),
            ];
            let marks: Vec<&str> = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
            let state = match record.state {
                State::Listed => "backup",
                State::Running => "running",
                State::Failed => "failed",
            };
            let size = record.size.map(size).unwrap_or_default();
            let why = record.why.as_deref().unwrap_or_default();
            let line = format!("{}  {state:<7}  {size:>11}  {} {}", record.id, marks.join(", "), one_line(why));
            self.result(line.trim_end(), record)?;
        }
        Ok(())
    }

    /// What a backup holds.
    pub fn show(&self, manifest: &Manifest, records: Option<&Records>) -> io::Result<()> {
        if self.json {
            return self.result("", &json!({"manifest": manifest, "records": records}));
        }
        let mut out = io::stdout().lock();
        writeln!(out, "backup     {} of job {}", manifest.id, one_line(manifest.job.as_str()))?;
        writeln!(out, "taken by   {} in {:#}", manifest.program, manifest.finished.duration_since(manifest.started))?;
        writeln!(out, "source     {} {} ({})", manifest.origin.kind, manifest.origin.version, manifest.origin.identity)?;
        writeln!(
            out,
            "sealed     {}{}",
            manifest.seal.compression,
            manifest.seal.encryption.iter().map(|by| format!(", {by}")).collect::<String>()
        )?;
        writeln!(out, "stored     {} files, {}", manifest.files.len() + 1, size(manifest.stored_size()))?;
        if let Some(records) = records {
            let when = |time: Option<jiff::Timestamp>| time.map_or_else(|| "never".to_owned(), |time| time.to_string());
            writeln!(out, "verified   {}", when(records.verified))?;
            writeln!(out, "proven     {}", when(records.proven))?;
        }
        for part in &manifest.parts {
            writeln!(out, "{:>11}  {}", size(part.size), one_line(part.name.as_str()))?;
        }
        out.flush()
    }

    /// What a prune decided, a line each.
    pub fn verdicts(&self, verdicts: &[Verdict]) -> io::Result<()> {
        for verdict in verdicts {
            let reasons: Vec<String> = verdict.reasons.iter().map(ToString::to_string).collect();
            let text = format!("{}  {:<5}  {}", verdict.id, if verdict.keep { "keep" } else { "prune" }, reasons.join(", "));
            self.result(&text, &json!({"id": verdict.id, "keep": verdict.keep, "reasons": reasons}))?;
        }
        Ok(())
    }

    /// What a restore brought back.
    pub fn restored(&self, id: BackupId, restored: &Restored) -> io::Result<()> {
        let counts: Vec<String> = restored.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        let what: Vec<String> = restored.what.iter().map(|what| one_line(what)).collect();
        let text = format!("restored {id}: {} ({})", what.join(", "), counts.join(", "));
        self.result(&text, &json!({"id": id, "restored": restored}))
    }

    /// What a comparison found.
    pub fn checked(&self, id: BackupId, checked: &Checked) -> io::Result<()> {
        let counts: Vec<String> = checked.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        for difference in &checked.differences {
            let text = format!("{}: expected {}, found {}", one_line(&difference.what), difference.expected, difference.found);
            self.result(&text, difference)?;
        }
        let text = match checked.differences.len() {
            0 => format!("proven {id}: equal in {}", counts.join(", ")),
            several => format!("{id} differs in {several} places of {}", counts.join(", ")),
        };
        self.result(&text, &json!({"id": id, "checked": checked}))
    }

    /// An error: what failed and then what to do, each on a line of its own.
    pub(crate) fn error(&self, error: &Error, code: u8) {
        let mut err = io::stderr().lock();
        // Nobody is left to tell if these fail.
        if self.json {
            let _ = writeln!(err, "{}", json!({"event": "error", "error": error.chain(), "hint": error.hint(), "exit": code}));
            return;
        }
        let _ = writeln!(err, "error: {}", error.chain());
        if let Some(hint) = error.hint() {
            let _ = writeln!(err, "hint: {}", one_line(hint));
        }
    }
}

/// `text` without control characters: names from outside must not move the cursor.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
