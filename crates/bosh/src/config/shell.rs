//! What the statements of files come to: variables, and the lines that the lists print.

use std::collections::{BTreeMap, BTreeSet};

use backup_core::{Doing, Error, Kind, Result};
use jiff::Zoned;

use super::date::date;
use super::script::{LISTS, Line, Statement, parse};
use super::word::{Piece, Word, wrong};

/// The most bytes that a value may have: each can be made of many others.
const LONGEST: usize = 64 << 10;

/// What files are read in.
pub struct Surroundings<'a> {
    /// The value of a variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// When the program started, in the time zone of the machine: `$(date …)` says that, wherever it stands.
    pub now: Zoned,
}

/// A value and where it was assigned.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) text: Vec<u8>,
    /// `line 3 of FILE`.
    pub(super) place: String,
}

/// The variables and lists of the files that were read so far; the last assignment counts.
pub(super) struct Shell<'a> {
    around: &'a Surroundings<'a>,
    variables: BTreeMap<String, Value>,
    /// With the file that it stands in.
    lists: BTreeMap<String, (Vec<Line>, String)>,
    /// The names of variables that values were made of.
    used: BTreeSet<String>,
    /// The file whose words are expanded.
    file: String,
    pub(super) warnings: Vec<String>,
}

impl<'a> Shell<'a> {
    pub(super) fn new(around: &'a Surroundings<'a>) -> Self {
        let (variables, lists) = (BTreeMap::new(), BTreeMap::new());
        Self { around, variables, lists, used: BTreeSet::new(), file: String::new(), warnings: Vec::new() }
    }

    /// Reads `file`, whose text is `text`, on top of what was read.
    pub(super) fn read(&mut self, file: &str, text: &[u8]) -> Result<()> {
        file.clone_into(&mut self.file);
        for statement in parse(text).doing(|| format!("read {file}"))? {
            match statement {
                Statement::Assignment { name, value, line } => {
                    let text = self.expand(&value).doing(|| format!("read {file}"))?;
                    self.variables.insert(name, Value { text, place: format!("line {line} of {file}") });
                }
                Statement::List { name, lines } => drop(self.lists.insert(name, (lines, file.to_owned()))),
            }
        }
        Ok(())
    }

    /// The value that was assigned to `name`, if it is not empty.
    pub(super) fn value(&self, name: &str) -> Result<Option<(String, &str)>> {
        let Some(value) = self.variables.get(name).filter(|value| !value.text.is_empty()) else { return Ok(None) };
        let text = String::from_utf8(value.text.clone());
        let text = text.map_err(|_| Error::usage(format!("{} gives {name} a value that is not UTF-8", value.place)))?;
        Ok(Some((text, &value.place)))
    }

    /// The bytes that were assigned to `name`.
    #[cfg(test)]
    pub(super) fn assigned(&self, name: &str) -> Option<&[u8]> {
        self.variables.get(name).map(|value| value.text.as_slice())
    }

    /// Warns of what was assigned but is neither one of `known` nor used in a value.
    pub(super) fn warn_of_others(&mut self, known: &[&str]) {
        let others = self.variables.iter().filter(|(name, _)| !known.contains(&name.as_str()) && !self.used.contains(*name));
        // Never the value, which may be a password.
        self.warnings.extend(others.map(|(name, value)| format!("{} assigns {name}, which means nothing here", value.place)));
    }

    /// What the function `name` prints, without the lines that are comments; `None` if there is no such function.
    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        debug_assert!(LISTS.contains(&name), "only these are read");
        let Some((lines, file)) = self.lists.get(name).cloned() else { return Ok(None) };
        self.file.clone_from(&file);
        let mut printed = Vec::new();
        for line in &lines {
            let text = match line {
                Line::Here(word) => self.expand(word),
                Line::Echo(words) => self.echo(words),
            };
            printed.extend(text.doing(|| format!("read {file}"))?);
            printed.push(b'\n');
        }
        let is_comment = |line: &&[u8]| line.iter().find(|byte| !matches!(byte, b' ' | b'\t')) == Some(&b'#');
        Ok(Some(printed.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_comment(line)).collect::<Vec<_>>().concat()))
    }

    /// What `echo` would print of `words`.
    fn echo(&mut self, words: &[Word]) -> Result<Vec<u8>> {
        let texts = words.iter().map(|word| self.expand(word)).collect::<Result<Vec<_>>>()?;
        let is_option =
            |text: &[u8]| text.len() > 1 && text.starts_with(b"-") && text.iter().skip(1).all(|byte| b"neE".contains(byte));
        if let (Some(first), Some(word)) = (texts.first(), words.first())
            && is_option(first)
        {
            return Err(wrong(word.line, "has an option of echo, which differs from shell to shell: write cat <<EOF"));
        }
        Ok(texts.join(&b' '))
    }

    fn expand(&mut self, word: &Word) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        for piece in &word.pieces {
            match piece {
                Piece::Text(bytes) => text.extend_from_slice(bytes),
                Piece::Home => {
                    let home = self.variable("HOME").filter(|home| !home.is_empty());
                    text.extend(home.ok_or_else(|| wrong(word.line, "has a ~, and HOME is not set"))?);
                }
                Piece::Variable { name, splits } => {
                    let value = self.variable(name).unwrap_or_else(|| {
                        let place = format!("line {} of {}", word.line, self.file);
                        self.warnings.push(format!("{place} uses ${name}, which is not set and so is empty"));
                        Vec::new()
                    });
                    text.extend(whole(value, *splits, word.line)?);
                }
                Piece::Date { arguments, splits } => {
                    let arguments = arguments.iter().map(|word| self.expand(word)).collect::<Result<Vec<_>>>()?;
                    let value = date(&arguments, &self.around.now).map_err(|what| wrong(word.line, &what))?;
                    text.extend(whole(value.into_bytes(), *splits, word.line)?);
                }
            }
            if text.len() > LONGEST {
                return Err(wrong(word.line, "makes a value of more than 64 KiB"));
            }
        }
        Ok(text)
    }

    fn variable(&mut self, name: &str) -> Option<Vec<u8>> {
        self.used.insert(name.to_owned());
        let assigned = self.variables.get(name).map(|value| value.text.clone());
        assigned.or_else(|| (self.around.variable)(name).map(String::into_bytes))
    }
}

/// `value`, unless a shell would make of it several words or none.
fn whole(value: Vec<u8>, splits: bool, line: usize) -> Result<Vec<u8>> {
    if splits && (value.is_empty() || value.iter().any(|byte| b" \t\n*?[\\".contains(byte))) {
        return Err(wrong(line, "has a $ without quotes whose value a shell would split: put it in double quotes"));
    }
    Ok(value)
}

/// A value of `name` that cannot be meant.
pub(super) fn unmeant(place: &str, name: &str, should: &str) -> Error {
    Error::new(Kind::Usage, format!("{place} gives {name} a value that is not {should}"))
}
