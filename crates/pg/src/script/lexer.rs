//! Where a statement ends, resumable at any byte.
//!
//! Follows the rules of psql's lexer, `src/fe_utils/psqlscan.l`, which are the server's (`src/backend/parser/scan.l`) plus
//! parentheses and routine bodies. It differs in one place: of the words `BEGIN` in a routine only `BEGIN ATOMIC` counts
//! (no other is SQL), so that a routine or column called `begin` does not swallow what follows.

use memchr::{memchr, memchr2, memmem};

/// How many tokens of a statement its head has.
const HEAD: u32 = 24;

/// Why the lexer stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It needs bytes behind those it has seen.
    More,
    /// It stands behind a semicolon that ends the statement.
    Semicolon,
    /// It stands at a backslash outside of quotes and comments.
    Backslash,
}

/// The state inside of one statement; every offset counts from the statement's first byte, blanks included.
#[derive(Debug, Default)]
pub(super) struct Lexer {
    /// Backslashes escape in plain strings: `standard_conforming_strings` is off.
    pub(super) escapes: bool,
    /// The next byte to look at.
    pub(super) pos: usize,
    /// The first byte that is neither blank nor comment.
    pub(super) start: Option<usize>,
    /// The first tokens, see [`Statement::head`](super::Statement::head).
    pub(super) head: String,
    state: State,
    /// The semicolon was seen.
    ended: bool,
    /// Where the open word, quote or comment began.
    opened: usize,
    tokens: u32,
    parens: usize,
    /// How many BEGIN ATOMIC and, inside of one, CASE are open.
    bodies: usize,
    /// The last token was BEGIN.
    begin: bool,
    /// How many words there were, and the initials of CREATE, OR, REPLACE, FUNCTION, PROCEDURE among the first four.
    words: usize,
    initials: [u8; 4],
    /// The string that a further one continues (after a newline) under the same rules.
    continued: Option<Continued>,
    copy: Copying,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Plain,
    Word,
    /// A dollar and what may become the tag of a dollar quote.
    Tag,
    LineComment,
    /// A comment and how many others it is in.
    Comment(usize),
    Text {
        escapes: bool,
    },
    Name,
    /// A dollar-quoted string and the delimiter that ends it.
    Dollar(Vec<u8>),
}

#[derive(Debug, Clone, Copy)]
struct Continued {
    escapes: bool,
    newline: bool,
}

/// How much of `COPY … FROM stdin` was seen.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Copying {
    #[default]
    No,
    Copy,
    From,
    /// All of it; the offset behind `stdin`.
    Stdin(usize),
}

impl Lexer {
    /// Forgets the statement that ended.
    pub(super) fn reset(&mut self) {
        *self = Self { escapes: self.escapes, ..Self::default() };
    }

    /// Goes on in `buf`, which holds the statement from its first byte; `eof` says that nothing follows `buf`.
    pub(super) fn run(&mut self, buf: &[u8], eof: bool) -> Step {
        if self.ended {
            return Step::Semicolon;
        }
        while let Some((&byte, rest)) = buf.get(self.pos..).and_then(|rest| rest.split_first()) {
            match &self.state {
                State::Plain => match self.plain(byte, rest.first().copied(), eof) {
                    Some(step) => return step,
                    None => continue,
                },
                State::Word => {
                    self.pos += ident(buf.get(self.pos..).unwrap_or_default(), true);
                    if self.pos == buf.len() && !eof || !self.end_word(buf, eof) {
                        return Step::More;
                    }
                }
                State::Tag => {
                    self.pos += ident(buf.get(self.pos..).unwrap_or_default(), false);
                    match buf.get(self.pos) {
                        None if !eof => return Step::More,
                        Some(b'$') => {
                            self.pos += 1;
                            self.state = State::Dollar(buf.get(self.opened..self.pos).unwrap_or_default().to_vec());
                        }
                        _ => {
                            // No dollar quote: the text behind the dollar is read again.
                            self.pos = self.opened + 1;
                            self.state = State::Plain;
                        }
                    }
                }
                State::LineComment => match memchr2(b'\n', b'\r', buf.get(self.pos..).unwrap_or_default()) {
                    Some(at) => {
                        self.pos += at;
                        self.state = State::Plain;
                    }
                    None => self.pos = buf.len(),
                },
                State::Comment(depth) => {
                    let depth = *depth;
                    let Some(at) = memchr2(b'*', b'/', buf.get(self.pos..).unwrap_or_default()) else {
                        self.pos = buf.len();
                        continue;
                    };
                    self.pos += at;
                    match (buf.get(self.pos), buf.get(self.pos + 1)) {
                        (_, None) if !eof => return Step::More,
                        (Some(b'/'), Some(b'*')) => {
                            self.pos += 2;
                            self.state = State::Comment(depth + 1);
                        }
                        (Some(b'*'), Some(b'/')) => {
                            self.pos += 2;
                            self.state = depth.checked_sub(1).map_or(State::Plain, State::Comment);
                        }
                        _ => self.pos += 1,
                    }
                }
                State::Text { escapes } => {
                    let escapes = *escapes;
                    let text = buf.get(self.pos..).unwrap_or_default();
                    let found = if escapes { memchr2(b'\'', b'\\', text) } else { memchr(b'\'', text) };
                    let Some(at) = found else {
                        self.pos = buf.len();
                        continue;
                    };
                    self.pos += at;
                    match (buf.get(self.pos), buf.get(self.pos + 1)) {
                        (_, None) if !eof => return Step::More,
                        (Some(b'\\'), next) => self.pos += 1 + usize::from(next.is_some()),
                        (_, Some(b'\'')) => self.pos += 2,
                        _ => {
                            self.pos += 1;
                            self.state = State::Plain;
                            self.continued = Some(Continued { escapes, newline: false });
                        }
                    }
                }
                // A doubled quote ends the name and begins another: the same to us.
                State::Name => match memchr(b'"', buf.get(self.pos..).unwrap_or_default()) {
                    Some(at) => {
                        self.pos += at + 1;
                        self.state = State::Plain;
                    }
                    None => self.pos = buf.len(),
                },
                State::Dollar(delimiter) => {
                    let text = buf.get(self.pos..).unwrap_or_default();
                    match memmem::find(text, delimiter) {
                        Some(at) => {
                            self.pos += at + delimiter.len();
                            self.state = State::Plain;
                        }
                        None if eof => self.pos = buf.len(),
                        None => {
                            // The delimiter can be cut by the end of what is here.
                            self.pos += text.len().saturating_sub(delimiter.len() - 1);
                            return Step::More;
                        }
                    }
                }
            }
        }
        Step::More
    }

    /// What is open at the end of input and where it began.
    pub(super) fn open(&self) -> Option<(&'static str, usize)> {
        let what = match self.state {
            State::Text { .. } => "string",
            State::Name => "quoted name",
            State::Dollar(_) => "dollar-quoted string",
            State::Comment(_) => "comment",
            _ => return self.start.map(|start| ("statement", start)),
        };
        Some((what, self.opened))
    }

    /// If the statement is `COPY … FROM stdin`, the offset behind these words.
    pub(super) fn copy(&self) -> Option<usize> {
        match self.copy {
            Copying::Stdin(at) => Some(at),
            _ => None,
        }
    }

    /// One byte outside of everything.
    fn plain(&mut self, byte: u8, next: Option<u8>, eof: bool) -> Option<Step> {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => {
                if let Some(continued) = &mut self.continued {
                    continued.newline |= matches!(byte, b'\n' | b'\r');
                }
                self.pos += 1;
                return None;
            }
            b'-' | b'/' | b'$' if next.is_none() && !eof => return Some(Step::More),
            b'-' if next == Some(b'-') => {
                self.open_at(2, State::LineComment);
                return None;
            }
            b'/' if next == Some(b'*') => {
                self.continued = None;
                self.open_at(2, State::Comment(0));
                return None;
            }
            b'\\' => return Some(Step::Backslash),
            _ => {}
        }
        self.start.get_or_insert(self.pos);
        let continued = self.continued.take();
        match byte {
            b'\'' => {
                let escapes =
                    continued.filter(|continued| continued.newline).map_or(self.escapes, |continued| continued.escapes);
                self.token("''");
                self.open_at(1, State::Text { escapes });
            }
            b'"' => {
                self.token("\"\"");
                self.open_at(1, State::Name);
            }
            b'$' => {
                self.token("$");
                match next {
                    Some(b'$') => self.open_at(2, State::Dollar(b"$$".to_vec())),
                    Some(next) if is_ident_start(next) => self.open_at(1, State::Tag),
                    _ => self.pos += 1,
                }
            }
            byte if is_ident_start(byte) => self.open_at(1, State::Word),
            byte => {
                match byte {
                    b'(' => self.parens += 1,
                    b')' => self.parens = self.parens.saturating_sub(1),
                    _ => {}
                }
                self.token(str::from_utf8(&[byte]).unwrap_or("?"));
                self.pos += 1;
                if byte == b';' && self.parens == 0 && self.bodies == 0 {
                    self.ended = true;
                    return Some(Step::Semicolon);
                }
            }
        }
        None
    }

    fn open_at(&mut self, length: usize, state: State) {
        self.opened = self.pos;
        self.pos += length;
        self.state = state;
    }

    /// The word from `opened` to `pos` is over; false if it takes more bytes to tell what follows it.
    fn end_word(&mut self, buf: &[u8], eof: bool) -> bool {
        let word = buf.get(self.opened..self.pos).unwrap_or_default();
        let after = buf.get(self.pos..).unwrap_or_default();
        // A letter right before a quote belongs to it.
        match (word, after) {
            ([b'u' | b'U'], [b'&']) if !eof => return false,
            ([b'u' | b'U'], [b'&', b'\'', ..]) => {
                self.token("''");
                self.pos += 2;
                self.state = State::Text { escapes: false };
                return true;
            }
            ([b'u' | b'U'], [b'&', b'"', ..]) => {
                self.token("\"\"");
                self.pos += 2;
                self.state = State::Name;
                return true;
            }
            ([b'b' | b'B' | b'x' | b'X' | b'e' | b'E'], [b'\'', ..]) => {
                self.token("''");
                self.pos += 1;
                self.state = State::Text { escapes: matches!(word, [b'e' | b'E']) };
                return true;
            }
            _ => {}
        }
        self.state = State::Plain;
        // Longer words are no keywords of ours.
        let word = match word.len() {
            0..=63 => String::from_utf8_lossy(word).to_ascii_lowercase(),
            _ => "?".to_owned(),
        };
        self.word(&word);
        true
    }

    fn word(&mut self, word: &str) {
        let (after_begin, copying) = (self.begin, self.copy);
        let first = self.tokens == 0;
        self.token(word);
        self.copy = match (copying, word) {
            (Copying::No, "copy") if first => Copying::Copy,
            (Copying::Copy, "from") if self.parens == 0 => Copying::From,
            // The grammar takes either: the direction says which is meant.
            (Copying::From, "stdin" | "stdout") => Copying::Stdin(self.pos),
            (Copying::From, _) => Copying::No,
            (copying, _) => copying,
        };
        if let Some(initial) = self.initials.get_mut(self.words)
            && matches!(word, "create" | "or" | "replace" | "function" | "procedure")
        {
            *initial = word.as_bytes().first().copied().unwrap_or_default();
        }
        self.words += 1;
        if self.parens == 0 && matches!(self.initials, [b'c', b'f' | b'p', ..] | [b'c', b'o', b'r', b'f' | b'p']) {
            match word {
                "begin" => self.begin = true,
                "atomic" if after_begin => self.bodies += 1,
                "case" if self.bodies > 0 => self.bodies += 1,
                "end" => self.bodies = self.bodies.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn token(&mut self, token: &str) {
        self.begin = false;
        if self.copy == Copying::From {
            self.copy = Copying::No;
        }
        if self.tokens < HEAD {
            if self.tokens > 0 {
                self.head.push(' ');
            }
            self.head.push_str(token);
            self.tokens += 1;
        }
    }
}

fn is_ident_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// How many bytes from the start of `bytes` go on with an identifier, or without dollars: with a tag.
fn ident(bytes: &[u8], dollars: bool) -> usize {
    let goes_on = |&byte: &u8| is_ident_start(byte) || byte.is_ascii_digit() || dollars && byte == b'$';
    bytes.iter().position(|byte| !goes_on(byte)).unwrap_or(bytes.len())
}
