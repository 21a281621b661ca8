//! Values of a TOML table, each of the type that is wanted, each error with its line.

use std::path::PathBuf;

use backup_core::{Error, Result};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Secret;
use super::file::File;
use super::nearest::nearest;
use crate::Schedule;

/// A table that has known keys only.
pub(super) struct Table<'a> {
    file: &'a File<'a>,
    /// What it is called, a dot between tables.
    pub(super) path: String,
    at: usize,
    values: Option<&'a DeTable<'a>>,
}

/// One value, and where it stands.
pub(super) struct Entry<'a> {
    file: &'a File<'a>,
    path: String,
    at: usize,
    value: &'a DeValue<'a>,
}

impl<'a> Table<'a> {
    /// The file itself.
    pub(super) fn root(file: &'a File<'a>, values: &'a DeTable<'a>, keys: &[&str]) -> Result<Self> {
        Self::known(Self { file, path: String::new(), at: 0, values: Some(values) }, keys)
    }

    /// The table if all of its keys are among `keys`; else the error names the first that is not.
    fn known(self, keys: &[&str]) -> Result<Self> {
        let strangers = self.values.into_iter().flat_map(|values| values.keys());
        let strangers = strangers.filter(|key| !keys.contains(&key.get_ref().as_ref()));
        let Some(stranger) = strangers.min_by_key(|key| key.span().start) else { return Ok(self) };
        let (place, key) = (self.file.place(stranger.span().start), stranger.get_ref());
        let hint = match nearest(key, keys) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("there are {}", keys.join(", ")),
        };
        let within = if self.path.is_empty() { String::new() } else { format!(" in {}", self.path) };
        Err(Error::usage(format!("{place}: {key:?} is no key that is known{within}")).with_hint(hint))
    }

    fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// What `key` says, if it is there.
    pub(super) fn entry(&self, key: &str) -> Option<Entry<'a>> {
        let value = self.values?.get(key)?;
        Some(Entry { file: self.file, path: self.name(key), at: value.span().start, value: value.get_ref() })
    }

    /// An error about the table as a whole.
    pub(super) fn wrong(&self, what: &str, hint: impl Into<String>) -> Error {
        Error::usage(format!("{}: {}: {what}", self.file.place(self.at), self.path)).with_hint(hint.into())
    }

    /// Notes that `key` says nothing, so that it is `value`.
    pub(super) fn default(&self, key: &str, value: impl std::fmt::Display) {
        self.file.note(&self.name(key), value, "the default".into());
    }

    /// The table under `key`; one without values if it is not there.
    pub(super) fn table_or_none(&self, key: &str, keys: &[&str]) -> Result<Table<'a>> {
        match self.entry(key) {
            Some(entry) => entry.table(keys),
            None => Ok(Self { file: self.file, path: self.name(key), at: self.at, values: None }),
        }
    }

    /// The tables under `key`: `[[key]]`, in their order.
    pub(super) fn tables(&self, key: &str) -> Result<Vec<Entry<'a>>> {
        let Some(entry) = self.entry(key) else { return Ok(Vec::new()) };
        let Entry { file, value, .. } = &entry;
        let DeValue::Array(values) = value else { return Err(entry.is_not(&format!("tables, each under [[{}]]", entry.path))) };
        let entry = |value: &'a Spanned<DeValue<'a>>| Entry {
            file,
            path: self.name(key),
            at: value.span().start,
            value: value.get_ref(),
        };
        Ok(values.iter().map(entry).collect())
    }

    /// Text that `parse` understands.
    pub(super) fn with<T>(&self, key: &str, parse: impl FnOnce(&str) -> Result<T>) -> Result<Option<T>> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        let text = entry.text()?;
        let parsed = parse(text).map_err(|error| entry.explain(&error))?;
        entry.note(text);
        Ok(Some(parsed))
    }

    /// Text.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        self.with(key, |text| Ok(text.to_owned()))
    }

    /// The path of a file or a folder.
    pub(super) fn path(&self, key: &str) -> Result<Option<PathBuf>> {
        self.with(key, |text| Ok(PathBuf::from(text)))
    }

    /// What one of some words means, or `default`, which is among them.
    pub(super) fn choice_or<T: Copy + PartialEq>(&self, key: &str, default: T, choices: &[(&str, T)]) -> Result<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let chosen = self.with(key, |text| {
            let chosen = choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
            chosen.ok_or_else(|| {
                Error::usage(format!("{text:?} is not known")).with_hint(format!("write {}", words.join(" or ")))
            })
        })?;
        Ok(chosen.unwrap_or_else(|| {
            let word = choices.iter().find(|(_, choice)| *choice == default).map_or("", |(word, _)| *word);
            self.default(key, word);
            default
        }))
    }

    /// Each text of a list, or one text in place of a list of it.
    pub(super) fn each_text(&self, key: &str) -> Result<Vec<(Entry<'a>, &'a str)>> {
        let Some(entry) = self.entry(key) else { return Ok(Vec::new()) };
        let DeValue::Array(values) = entry.value else {
            let text = entry.text()?;
            entry.note(text);
            return Ok(vec![(entry, text)]);
        };
        let one = |value: &'a Spanned<DeValue<'a>>| {
            let one = Entry { file: self.file, path: self.name(key), at: value.span().start, value: value.get_ref() };
            one.text().map(|text| (one, text))
        };
        let all = values.iter().map(one).collect::<Result<Vec<_>>>()?;
        let texts: Vec<&str> = all.iter().map(|(_, text)| *text).collect();
        entry.note(&texts.join(", "));
        Ok(all)
    }

    /// A list of texts, or one text in place of a list of it; `None` if it is not there.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<String>>> {
        let texts = self.each_text(key)?.into_iter().map(|(_, text)| text.to_owned()).collect();
        Ok(self.entry(key).map(|_| texts))
    }

    /// Cron expressions in local time of `zone`, one or a list; `None` if it is not there.
    pub(super) fn crons(&self, key: &str, zone: &TimeZone) -> Result<Option<Vec<Schedule>>> {
        let cron = |(entry, text): (Entry<'a>, &str)| Schedule::cron(text, zone.clone()).map_err(|error| entry.explain(&error));
        let crons = self.each_text(key)?.into_iter().map(cron).collect::<Result<_>>()?;
        Ok(self.entry(key).map(|_| crons))
    }

    /// A whole number within `from..=to`.
    pub(super) fn number(&self, key: &str, from: u32, to: u32) -> Result<Option<u32>> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        let wanted = format!("a whole number from {from} to {to}");
        let DeValue::Integer(digits) = entry.value else { return Err(entry.is_not(&wanted)) };
        let number = u32::from_str_radix(digits.as_str(), digits.radix()).ok().filter(|number| (from..=to).contains(number));
        let number = number.ok_or_else(|| entry.wrong("it is a number that it cannot be", format!("write {wanted}")))?;
        entry.note(&number.to_string());
        Ok(Some(number))
    }

    /// A whole number within `from..=to`, or `default`.
    pub(super) fn number_or(&self, key: &str, default: u32, from: u32, to: u32) -> Result<u32> {
        Ok(self.number(key, from, to)?.unwrap_or_else(|| {
            self.default(key, default);
            default
        }))
    }

    /// `true` or `false`, or `default`.
    pub(super) fn flag_or(&self, key: &str, default: bool) -> Result<bool> {
        let Some(entry) = self.entry(key) else {
            self.default(key, default);
            return Ok(default);
        };
        let DeValue::Boolean(flag) = entry.value else { return Err(entry.is_not("true or false, without quotes")) };
        entry.note(&flag.to_string());
        Ok(*flag)
    }

    /// A time such as `90m`, or `default`, which is one too.
    pub(super) fn duration_or(&self, key: &str, default: &str) -> Result<SignedDuration> {
        match self.with(key, duration)? {
            Some(duration) => Ok(duration),
            None => {
                self.default(key, default);
                duration(default)
            }
        }
    }

    /// A secret, from where the value says: `{ file = "PATH" }` or `{ env = "NAME" }`. `parse` shows nothing of it.
    pub(super) fn secret_with<T>(&self, key: &str, parse: impl FnOnce(&str) -> Result<T>) -> Result<Option<T>> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        let hint = format!("write {key} = {{ file = \"PATH\" }}, or {{ env = \"NAME\" }} for a variable of the environment");
        if !matches!(entry.value, DeValue::Table(_)) {
            return Err(entry.wrong("it is a secret, and none is written out in this file", hint));
        }
        let from = entry.table(&["env", "file"])?;
        let (file, env) = (from.entry("file"), from.entry("env"));
        let (secret, place) = match (file, env) {
            (Some(file), None) => {
                let path = file.text()?;
                let text = (file.file.outside.file)(path.as_ref()).map_err(|error| file.explain(&error))?;
                let text = zeroize::Zeroizing::new(text);
                let line = text.strip_suffix('\n').unwrap_or(&text);
                (Secret::from(line.strip_suffix('\r').unwrap_or(line)), format!("the file {path}"))
            }
            (None, Some(env)) => {
                let name = env.text()?;
                let unset = || env.wrong(&format!("the variable {name} is not set"), "set it, or name a file");
                let value = (env.file.outside.variable)(name).filter(|value| !value.is_empty()).ok_or_else(unset)?;
                (Secret::from(value.as_str()), format!("the variable {name}"))
            }
            _ => return Err(entry.wrong("a secret comes from one place", hint)),
        };
        let empty = || entry.wrong(&format!("{place} says nothing"), "write the secret there");
        let secret = Some(secret).filter(|secret| !secret.expose().is_empty()).ok_or_else(empty)?;
        let parsed = parse(secret.expose()).map_err(|error| entry.explain(&error))?;
        self.file.note(&entry.path, "(a secret)", format!("{}, {place}", self.file.place(entry.at)));
        Ok(Some(parsed))
    }

    /// A secret as it is.
    pub(super) fn secret(&self, key: &str) -> Result<Option<Secret>> {
        self.secret_with(key, |text| Ok(Secret::from(text)))
    }

    /// What the program says of text of its own.
    pub(super) fn checked(&self, key: &str, check: &dyn Fn(&str) -> Result<()>) -> Result<Option<String>> {
        self.with(key, |text| check(text).map(|()| text.to_owned()))
    }

    /// What only the program knows.
    pub(super) fn outside(&self) -> &'a super::Outside<'a> {
        self.file.outside
    }
}

impl<'a> Entry<'a> {
    /// The value as a table with `keys`.
    pub(super) fn table(&self, keys: &[&str]) -> Result<Table<'a>> {
        let DeValue::Table(values) = self.value else { return Err(self.is_not("a table")) };
        Table { file: self.file, path: self.path.clone(), at: self.at, values: Some(values) }.known(keys)
    }

    /// The value as text, which is never empty and has no NUL.
    fn text(&self) -> Result<&'a str> {
        let DeValue::String(text) = self.value else { return Err(self.is_not("text in quotes")) };
        match text.as_ref() {
            "" => Err(self.wrong("it is empty", "leave it out, or write what is meant")),
            text if text.contains('\0') => Err(self.wrong("it has a NUL in it", "leave that out")),
            text => Ok(text),
        }
    }

    /// An error about the value.
    pub(super) fn wrong(&self, what: &str, hint: impl Into<String>) -> Error {
        Error::usage(format!("{}: {}: {what}", self.file.place(self.at), self.path)).with_hint(hint.into())
    }

    fn is_not(&self, wanted: &str) -> Error {
        let is = match self.value {
            DeValue::String(_) => "text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or a time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.wrong(&format!("it is {is}, which it cannot be"), format!("write {wanted}"))
    }

    /// `error` with its place.
    pub(super) fn explain(&self, error: &Error) -> Error {
        let told = Error::new(error.kind(), format!("{}: {}: {}", self.file.place(self.at), self.path, error.chain()));
        match error.hint() {
            Some(hint) => told.with_hint(hint.to_owned()),
            None => told,
        }
    }

    fn note(&self, shown: &str) {
        self.file.note(&self.path, shown, self.file.place(self.at));
    }
}

/// A time with its unit: `30s`, `90m`, `6h`, `1d 12h`, `PT6H`. A day has 24 hours here, and a week seven of them.
pub(super) fn duration(text: &str) -> Result<SignedDuration> {
    let wrong =
        || Error::usage(format!("{text:?} is no time")).with_hint("write a number and its unit, such as 30s, 90m, 6h or 1d");
    let span: Span = text.parse().map_err(|error: jiff::Error| wrong().with_source(error))?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|error| wrong().with_source(error))?;
    if duration.is_negative() { Err(wrong()) } else { Ok(duration) }
}
