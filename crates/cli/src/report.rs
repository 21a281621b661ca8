//! Results on standard output, errors on standard error.

use std::io::{self, Write};

use backup_core::{BackupId, Checked, Difference, Error, Manifest, Records, Restored, State, Verdict};
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

    /// That something was done to a backup: `deleted`, `pinned`.
    pub fn done(&self, id: BackupId, what: &str) -> io::Result<()> {
        self.result(&format!("{what} {id}"), &json!({"id": id, "done": what}))
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
            let line = format!("{}  {state:<7}  {size:>11}  {} {why}", record.id, marks.join(", "));
            self.result(one_line(&line).trim_end(), record)?;
        }
        Ok(())
    }

    /// What a backup holds.
    pub fn show(&self, manifest: &Manifest, records: Option<&Records>) -> io::Result<()> {
        if self.json {
            return self.result("", &json!({"manifest": manifest, "records": records}));
        }
        let mut out = io::stdout().lock();
        // None of it is ours: it must not move the cursor.
        let mut line = |text: String| writeln!(out, "{}", one_line(&text));
        let (origin, seal) = (&manifest.origin, &manifest.seal);
        line(format!("backup     {} of job {}", manifest.id, manifest.job))?;
        line(format!("taken by   {} in {:#}", manifest.program, manifest.finished.duration_since(manifest.started)))?;
        line(format!("source     {} {} ({})", origin.kind, origin.version, origin.identity))?;
        let encryption: String = seal.encryption.iter().map(|by| format!(", {by}")).collect();
        line(format!("sealed     {}{encryption}", seal.compression))?;
        line(format!("stored     {} files, {}", manifest.files.len() + 1, size(manifest.stored_size())))?;
        if let Some(records) = records {
            let when = |time: Option<jiff::Timestamp>| time.map_or_else(|| "never".to_owned(), |time| time.to_string());
            line(format!("verified   {}", when(records.verified)))?;
            line(format!("proven     {}", when(records.proven)))?;
            if records.pinned {
                line(format!("pinned     {}", records.pin.as_deref().unwrap_or("without a word why")))?;
            }
        }
        for part in &manifest.parts {
            line(format!("{:>11}  {}", size(part.size), part.name))?;
        }
        out.flush()
    }

    /// What a prune decided of a backup.
    pub fn verdict(&self, verdict: &Verdict) -> io::Result<()> {
        let reasons: Vec<String> = verdict.reasons.iter().map(ToString::to_string).collect();
        let text = format!("{}  {:<5}  {}", verdict.id, if verdict.keep { "keep" } else { "prune" }, reasons.join(", "));
        self.result(&text, &json!({"id": verdict.id, "keep": verdict.keep, "reasons": reasons}))
    }

    /// What a restore brought back.
    pub fn restored(&self, id: BackupId, restored: &Restored) -> io::Result<()> {
        let counts: Vec<String> = restored.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        let text = format!("restored {id}: {} ({})", restored.what.join(", "), counts.join(", "));
        self.result(&one_line(&text), &json!({"id": id, "restored": restored}))
    }

    /// A place in which what was restored is not what was backed up.
    pub fn difference(&self, difference: &Difference) -> io::Result<()> {
        let Difference { what, expected, found } = difference;
        self.result(&one_line(&format!("{what}: {expected} in the backup, {found} restored")), difference)
    }

    /// What was compared and is equal: a proof if it is the whole backup.
    pub fn equal(&self, id: BackupId, checked: &Checked) -> io::Result<()> {
        let counts: Vec<String> = checked.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        let what = if checked.is_proof() { "proven" } else { "compared" };
        let text = format!("{what} {id}: equal in {}", counts.join(", "));
        self.result(&one_line(&text), &json!({"id": id, "checked": checked}))
    }

    /// An error: what failed and then what to do, each on a line of its own.
    pub fn error(&self, error: &Error, code: u8) {
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

/// `text` with what could move the cursor or turn the line around written out: `\n`, `\u{202e}`.
pub fn escaped(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().fold(String::with_capacity(text.len()), |mut line, c| {
        if c.is_control() || turns(c) {
            line.extend(c.escape_default())
        } else {
            line.push(c)
        }
        line
    })
}

/// `text` without control characters: what comes from outside must not move the cursor.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_move_the_cursor_is_written_out() {
        assert_eq!(escaped("a b/ä\n\u{1b}[2J\u{9b}\u{202e}x"), r"a b/ä\n\u{1b}[2J\u{9b}\u{202e}x");
    }
}
