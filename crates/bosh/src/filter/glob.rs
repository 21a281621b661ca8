//! Wildcards as rsync has them, compared in time that grows with pattern times path, whatever they are.

/// A text with wildcards.
#[derive(Debug, Clone)]
pub(super) enum Glob {
    /// These bytes.
    Exactly(Vec<u8>),
    /// One after the other.
    Tokens(Vec<Token>),
    /// Nothing at all: it has a set that does not end.
    Nothing,
}

/// What of a text is compared at once.
#[derive(Debug, Clone)]
pub(super) enum Token {
    Byte(u8),
    /// Any byte but `/`.
    Any,
    /// One of these bytes, never `/`.
    Set(Box<[bool; 256]>),
    /// Any number of bytes; of `/` too, if so.
    Run(bool),
}

impl Glob {
    /// `text` without a meaning of its characters.
    pub(super) fn exactly(text: &[u8]) -> Self {
        Self::Exactly(text.to_owned())
    }

    /// `text` with `*`, `**`, `?`, `[set]` and `\`.
    pub(super) fn new(text: &[u8]) -> Self {
        tokens(text).map_or(Self::Nothing, Self::Tokens)
    }

    /// Whether it fits all of `text`, which comes in pieces.
    pub(super) fn fits(&self, text: &[&[u8]]) -> bool {
        let bytes = text.iter().copied().flatten().copied();
        match self {
            Self::Exactly(exactly) => bytes.eq(exactly.iter().copied()),
            Self::Tokens(tokens) => fits(tokens, bytes),
            Self::Nothing => false,
        }
    }
}

fn fits(tokens: &[Token], text: impl Iterator<Item = u8>) -> bool {
    // Which tokens may be next, so far; the last place is behind all of them.
    let mut places = vec![false; tokens.len() + 1];
    places[0] = true;
    for byte in text {
        let mut next = vec![false; tokens.len() + 1];
        for (at, token) in tokens.iter().enumerate() {
            if !places[at] {
                continue;
            }
            match token {
                Token::Run(crosses) => {
                    // It may be over already.
                    places[at + 1] = true;
                    next[at] |= *crosses || byte != b'/';
                }
                Token::Byte(one) => next[at + 1] |= *one == byte,
                Token::Any => next[at + 1] |= byte != b'/',
                Token::Set(set) => next[at + 1] |= byte != b'/' && set[usize::from(byte)],
            }
        }
        if !next.contains(&true) {
            return false;
        }
        places = next;
    }
    let runs_at_the_end = tokens.iter().rev().take_while(|token| matches!(token, Token::Run(_))).count();
    places.iter().rev().take(runs_at_the_end + 1).any(|place| *place)
}

/// `None` if there is a set that does not end, or that names a class that there is not.
fn tokens(mut text: &[u8]) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    while let [first, rest @ ..] = text {
        text = rest;
        tokens.push(match (first, rest) {
            (b'*', _) => {
                let more = rest.iter().take_while(|byte| **byte == b'*').count();
                text = rest.get(more..)?;
                Token::Run(more > 0)
            }
            (b'?', _) => Token::Any,
            (b'[', _) => {
                let (set, rest) = set(rest)?;
                text = rest;
                Token::Set(set)
            }
            (b'\\', [next, rest @ ..]) => {
                text = rest;
                Token::Byte(*next)
            }
            (b'\\', []) => return None,
            (byte, _) => Token::Byte(*byte),
        });
    }
    Some(tokens)
}

/// The set behind a `[`, and what is behind the set.
fn set(text: &[u8]) -> Option<(Box<[bool; 256]>, &[u8])> {
    let (negated, mut text) = match text {
        [b'!' | b'^', rest @ ..] => (true, rest),
        text => (false, text),
    };
    let mut set = Box::new([negated; 256]);
    let mut add = |byte: u8| set[usize::from(byte)] = !negated;
    // What a range may begin with.
    let mut before: Option<u8> = None;
    let mut is_first = true;
    loop {
        let (byte, rest) = text.split_first()?;
        match (byte, before, rest) {
            (b']', _, _) if !is_first => return Some((set, rest)),
            (b'\\', _, _) => {
                let (escaped, rest) = rest.split_first()?;
                add(*escaped);
                (before, text) = (Some(*escaped), rest);
            }
            (b'-', Some(from), [next, ..]) if *next != b']' => {
                let (to, rest) = rest.strip_prefix(b"\\").unwrap_or(rest).split_first()?;
                (from..=*to).for_each(&mut add);
                (before, text) = (None, rest);
            }
            (b'[', _, [b':', name @ ..]) => {
                let end = name.iter().position(|byte| *byte == b']')?;
                match name.get(..end)?.strip_suffix(b":") {
                    Some(name) => {
                        let class = class(name)?;
                        (0..=u8::MAX).filter(class).for_each(&mut add);
                        (before, text) = (None, rest.get(end + 2..)?);
                    }
                    None => {
                        add(b'[');
                        (before, text) = (Some(b'['), rest);
                    }
                }
            }
            (byte, _, _) => {
                add(*byte);
                (before, text) = (Some(*byte), rest);
            }
        }
        is_first = false;
    }
}

/// The bytes of a class like `digit`.
fn class(name: &[u8]) -> Option<fn(&u8) -> bool> {
    Some(match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |byte| matches!(byte, b' '..=b'~'),
        b"punct" => u8::is_ascii_punctuation,
        b"space" => |byte| matches!(byte, b' ' | b'\t'..=b'\r'),
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}
