//! Words as sh reads them: quotes, `~`, `$NAME` and `$(date …)`. Anything else that a shell would act on is an error.

use backup_core::{Error, Result};

/// How deep a `$(date …)` may lie in another.
const DEEPEST: usize = 4;

/// A word, before anything in it is replaced.
#[derive(Debug, Clone, Default)]
pub(super) struct Word {
    pub(super) pieces: Vec<Piece>,
    /// The line that it begins in.
    pub(super) line: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Piece {
    Text(Vec<u8>),
    /// `~`.
    Home,
    /// `$NAME`; a shell makes several words of its value if it `splits`.
    Variable {
        name: String,
        splits: bool,
    },
    /// `$(date …)` and its arguments.
    Date {
        arguments: Vec<Word>,
        splits: bool,
    },
}

/// Where a word stands, which decides what of it has a meaning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// `~` means something behind a `:` too.
    is_list: bool,
    splits: bool,
    /// What a shell would expand here; without quotes it is an error.
    refused: &'static [u8],
}

impl Place {
    /// Whether it is behind `NAME=` alone.
    pub(super) fn is_plain(self) -> bool {
        self.refused.is_empty()
    }

    /// Behind `NAME=`.
    pub(super) const VALUE: Self = Self { is_list: true, splits: false, refused: b"" };
    /// Behind `export NAME=`.
    pub(super) const EXPORTED: Self = Self { is_list: true, splits: false, refused: b"{" };
    /// An argument of `echo` or `date`.
    pub(super) const ARGUMENT: Self = Self { is_list: false, splits: true, refused: b"~*?[{" };
}

/// Text that is read from its beginning.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    pub(super) line: usize,
    depth: usize,
}

/// Says that `line` is wrong.
pub(super) fn wrong(line: usize, what: &str) -> Error {
    Error::usage(format!("line {line} {what}"))
        .with_hint("a configuration has lines NAME=value, ADD_LIST() and RSYNC_LIST(), and is not run as a program")
}

/// Says that `line` asks for something to be run.
pub(super) fn code(line: usize) -> Error {
    wrong(line, "is neither an assignment nor one of the two lists")
}

/// Whether `byte` ends a word.
fn is_end(byte: u8) -> bool {
    b" \t\n;&|<>()".contains(&byte)
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { rest: text, line: 1, depth: 0 }
    }

    /// The next byte, where a backslash at the end of a line joins it with the next one.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let [b'\\', b'\n', rest @ ..] = self.rest {
            self.rest = rest;
            self.line += 1;
        }
        self.rest.first().copied()
    }

    /// Takes the next byte, whatever it is.
    pub(super) fn take(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.line += usize::from(*byte == b'\n');
        Some(*byte)
    }

    /// Takes the next byte if it is `byte`.
    pub(super) fn take_if(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        is && self.take().is_some()
    }

    /// Takes what comes before the next `end`, and that too; nothing if there is none.
    fn take_until(&mut self, end: u8) -> Option<&'a [u8]> {
        let length = self.rest.iter().position(|byte| *byte == end)?;
        let (text, rest) = (self.rest.get(..length)?, self.rest.get(length + 1..)?);
        self.line += self.rest.iter().take(length + 1).filter(|byte| **byte == b'\n').count();
        self.rest = rest;
        Some(text)
    }

    /// Takes the rest of the line without its end; nothing at the end of the text.
    pub(super) fn take_line(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.take_until(b'\n').or_else(|| Some(std::mem::take(&mut self.rest)))
    }

    pub(super) fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.take();
        }
    }

    /// Takes a name, as variables have it; an empty one if none is next.
    pub(super) fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(byte) = self.peek() {
            if !(byte == b'_' || byte.is_ascii_alphabetic() || (byte.is_ascii_digit() && !name.is_empty())) {
                break;
            }
            name.push(char::from(byte));
            self.take();
        }
        name
    }

    /// Takes a word; it is empty where something stands that ends one.
    pub(super) fn word(&mut self, place: Place) -> Result<Word> {
        let line = self.line;
        let mut word = Word { pieces: Vec::new(), line };
        let mut may_be_home = true;
        while let Some(byte) = self.peek().filter(|byte| !is_end(*byte)) {
            self.take();
            let is_home = std::mem::replace(&mut may_be_home, byte == b':' && place.is_list);
            match byte {
                b'\'' => word.add(self.take_until(b'\'').ok_or_else(|| unclosed(line))?),
                b'"' => self.quoted(&mut word)?,
                b'\\' => word.add(&[self.take().ok_or_else(|| unclosed(line))?]),
                b'$' => self.dollar(&mut word, place.splits, false)?,
                b'`' => self.backquoted(&mut word, place.splits)?,
                b'~' if is_home => match self.peek() {
                    Some(next) if next != b'/' && !is_end(next) && !(next == b':' && place.is_list) => {
                        return Err(wrong(self.line, "names somebody's home folder with ~: write its path"));
                    }
                    _ => word.pieces.push(Piece::Home),
                },
                byte if place.refused.contains(&byte) => {
                    let what = format!("has a {} that a shell would expand: put it in quotes", char::from(byte));
                    return Err(wrong(self.line, &what));
                }
                byte => word.add(&[byte]),
            }
        }
        Ok(word)
    }

    /// What is between double quotes, behind the first.
    fn quoted(&mut self, word: &mut Word) -> Result<()> {
        let line = self.line;
        loop {
            match self.take().ok_or_else(|| unclosed(line))? {
                b'"' => return Ok(()),
                b'\\' => self.escaped(word, b"$`\"\\"),
                b'$' => self.dollar(word, false, true)?,
                b'`' => self.backquoted(word, false)?,
                byte => word.add(&[byte]),
            }
        }
    }

    /// A line of a here-document whose end is not in quotes.
    pub(super) fn here(text: &'a [u8], line: usize) -> Result<Word> {
        let mut cursor = Self { rest: text, line, depth: 0 };
        let mut word = Word { pieces: Vec::new(), line };
        while let Some(byte) = cursor.take() {
            match byte {
                b'\\' if cursor.rest.is_empty() => {
                    return Err(wrong(line, "of a here-document ends in a backslash: write it as one"));
                }
                b'\\' => cursor.escaped(&mut word, b"$`\\"),
                b'$' => cursor.dollar(&mut word, false, true)?,
                b'`' => cursor.backquoted(&mut word, false)?,
                byte => word.add(&[byte]),
            }
        }
        Ok(word)
    }

    /// What is behind a backslash that has a meaning before `these` alone, and before the end of a line.
    fn escaped(&mut self, word: &mut Word, these: &[u8]) {
        match self.rest.first() {
            Some(b'\n') => drop(self.take()),
            Some(byte) if these.contains(byte) => {
                word.add(&[*byte]);
                self.take();
            }
            _ => word.add(b"\\"),
        }
    }

    /// What is behind a `$`.
    fn dollar(&mut self, word: &mut Word, splits: bool, is_quoted: bool) -> Result<()> {
        let line = self.line;
        match self.peek() {
            Some(b'(') => {
                self.take();
                let piece = self.date(Some(b')'), splits)?;
                word.pieces.push(piece);
            }
            Some(b'{') => {
                self.take();
                let name = self.name();
                if name.is_empty() || !self.take_if(b'}') {
                    return Err(wrong(line, "has a ${…} that is not the name of a variable alone"));
                }
                word.pieces.push(Piece::Variable { name, splits });
            }
            Some(byte) if byte == b'_' || byte.is_ascii_alphabetic() => {
                let name = self.name();
                word.pieces.push(Piece::Variable { name, splits });
            }
            Some(byte) if b"0123456789@*#?-$![".contains(&byte) || (!is_quoted && matches!(byte, b'\'' | b'"')) => {
                return Err(wrong(line, "has a $ that is not before the name of a variable"));
            }
            _ => word.add(b"$"),
        }
        Ok(())
    }

    /// What is behind a backquote.
    fn backquoted(&mut self, word: &mut Word, splits: bool) -> Result<()> {
        let (line, depth) = (self.line, self.depth);
        let text = self.take_until(b'`').ok_or_else(|| unclosed(line))?;
        if text.contains(&b'\\') {
            return Err(wrong(line, "has a backslash between backquotes: write $(…) instead"));
        }
        word.pieces.push(Cursor { rest: text, line, depth }.date(None, splits)?);
        Ok(())
    }

    /// `date` and its arguments up to `end`.
    fn date(&mut self, end: Option<u8>, splits: bool) -> Result<Piece> {
        let line = self.line;
        if self.depth == DEEPEST {
            return Err(wrong(line, "is nested too deep"));
        }
        self.depth += 1;
        let mut words = Vec::new();
        loop {
            self.skip_blanks();
            match self.peek() {
                next if next == end => break,
                None => return Err(unclosed(line)),
                Some(byte) if is_end(byte) || byte == b'#' => return Err(no_date(line)),
                Some(_) => words.push(self.word(Place::ARGUMENT)?),
            }
        }
        self.take();
        self.depth -= 1;
        if !words.first().is_some_and(|word| matches!(word.pieces.as_slice(), [Piece::Text(text)] if text == b"date")) {
            return Err(no_date(line));
        }
        Ok(Piece::Date { arguments: words.split_off(1), splits })
    }
}

impl Word {
    /// Adds bytes that mean themselves.
    pub(super) fn add(&mut self, text: &[u8]) {
        match self.pieces.last_mut() {
            Some(Piece::Text(last)) => last.extend_from_slice(text),
            _ => self.pieces.push(Piece::Text(text.to_owned())),
        }
    }
}

fn unclosed(line: usize) -> Error {
    wrong(line, "has a quote or a bracket that is not closed")
}

fn no_date(line: usize) -> Error {
    wrong(line, "runs a command, and of all commands only date is known in $(…)")
}
