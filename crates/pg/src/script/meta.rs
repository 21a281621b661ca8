//! The few backslash commands that a dump has; every other one is refused, as psql's can run programs.
//!
//! Arguments are read by the rules of `src/bin/psql/psqlscanslash.l`, connection strings by those of libpq's
//! `conninfo_parse` and `conninfo_uri_parse`.

use std::iter::Peekable;
use std::slice::Iter;

/// What a backslash command says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetaCommand {
    /// `\connect`, `\c`: what follows is meant for another database; `None` for the same one again.
    Connect {
        /// The database's name as bytes: the script need not be UTF-8.
        database: Option<Vec<u8>>,
    },
    /// `\encoding`: the encoding of what follows.
    Encoding(String),
    /// `\restrict`: no backslash command until the same key stands in an `\unrestrict`.
    Restrict(Vec<u8>),
    /// `\unrestrict`.
    Unrestrict(Vec<u8>),
}

/// Reads a command from the text behind its backslash up to the end of the line, or says why it cannot.
pub(super) fn parse(text: &[u8]) -> Result<MetaCommand, String> {
    let end = text.iter().position(|&byte| byte == b'\\' || is_space(byte)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let shown: String = String::from_utf8_lossy(name).chars().take(30).collect();
    match name {
        b"connect" | b"c" => connect(arguments(rest)?),
        b"encoding" => match arguments(rest)?.as_slice() {
            [argument] => Ok(MetaCommand::Encoding(String::from_utf8_lossy(&argument.value).into_owned())),
            _ => Err("\\encoding takes one argument".to_owned()),
        },
        b"restrict" | b"unrestrict" => match arguments(rest)?.as_slice() {
            [key] if name == b"restrict" => Ok(MetaCommand::Restrict(key.value.clone())),
            [key] => Ok(MetaCommand::Unrestrict(key.value.clone())),
            _ => Err(format!("\\{shown} takes one argument")),
        },
        _ => Err(format!("the command {:?} is none that a dump has", format!("\\{shown}"))),
    }
}

/// One argument and whether any of it was quoted.
struct Argument {
    value: Vec<u8>,
    quoted: bool,
}

fn arguments(text: &[u8]) -> Result<Vec<Argument>, String> {
    let mut bytes = text.iter().peekable();
    let mut arguments = Vec::new();
    loop {
        while bytes.next_if(|&&byte| is_space(byte)).is_some() {}
        if bytes.peek().is_none() {
            return Ok(arguments);
        }
        if let Some(argument) = argument(&mut bytes)? {
            arguments.push(argument);
        }
    }
}

fn argument(bytes: &mut Peekable<Iter<'_, u8>>) -> Result<Option<Argument>, String> {
    let (mut value, mut quoted, mut bare) = (Vec::new(), false, 0_usize);
    while let Some(&byte) = bytes.next_if(|&&byte| !is_space(byte)) {
        match byte {
            b'\\' => return Err("a backslash stands behind the command".to_owned()),
            b'`' => return Err("a backquote would run a program".to_owned()),
            b':' if bytes
                .peek()
                .is_some_and(|&&next| next.is_ascii_alphanumeric() || next >= 0x80 || b"_'\"{".contains(&next)) =>
            {
                return Err("a variable stands in an argument".to_owned());
            }
            b'\'' => {
                single(bytes, &mut value)?;
                (quoted, bare) = (true, 0);
            }
            b'"' => {
                double(bytes, &mut value)?;
                (quoted, bare) = (true, 0);
            }
            _ => {
                value.push(byte);
                bare += 1;
            }
        }
    }
    // As psql does: semicolons at the end are no part of the argument.
    while bare > 0 && value.last() == Some(&b';') {
        value.pop();
        bare -= 1;
    }
    Ok((quoted || !value.is_empty()).then_some(Argument { value, quoted }))
}

fn single(bytes: &mut Peekable<Iter<'_, u8>>, value: &mut Vec<u8>) -> Result<(), String> {
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\'' if bytes.next_if(|&&next| next == b'\'').is_none() => return Ok(()),
            b'\\' => match bytes.next() {
                Some(b'n') => value.push(b'\n'),
                Some(b't') => value.push(b'\t'),
                Some(b'b') => value.push(0x08),
                Some(b'r') => value.push(b'\r'),
                Some(b'f') => value.push(0x0c),
                Some(&digit @ b'0'..=b'7') => value.push(number(bytes, u32::from(digit - b'0'), 8, 2)),
                Some(b'x') if bytes.peek().is_some_and(|next| next.is_ascii_hexdigit()) => value.push(number(bytes, 0, 16, 2)),
                Some(&other) => value.push(other),
                None => break,
            },
            byte => value.push(byte),
        }
    }
    Err("a quote is not closed".to_owned())
}

/// Up to `most` further digits; what does not fit a byte loses its high bits, as in psql.
fn number(bytes: &mut Peekable<Iter<'_, u8>>, mut number: u32, radix: u32, most: usize) -> u8 {
    for _ in 0..most {
        let Some(digit) = bytes.peek().and_then(|&&byte| char::from(byte).to_digit(radix)) else { break };
        bytes.next();
        number = number * radix + digit;
    }
    number.to_le_bytes()[0]
}

fn double(bytes: &mut Peekable<Iter<'_, u8>>, value: &mut Vec<u8>) -> Result<(), String> {
    while let Some(&byte) = bytes.next() {
        if byte == b'"' && bytes.next_if(|&&next| next == b'"').is_none() {
            return Ok(());
        }
        value.push(byte);
    }
    Err("a quote is not closed".to_owned())
}

fn connect(arguments: Vec<Argument>) -> Result<MetaCommand, String> {
    let mut arguments = arguments.into_iter().skip_while(|argument| argument.value.starts_with(b"-reuse-previous="));
    let Some(Argument { value, quoted }) = arguments.next() else {
        return Ok(MetaCommand::Connect { database: None });
    };
    let database = if value.starts_with(b"postgresql://") || value.starts_with(b"postgres://") {
        from_uri(&value)?
    } else if value.contains(&b'=') {
        from_conninfo(&value)?
    } else {
        (quoted || value != b"-").then_some(value)
    };
    Ok(MetaCommand::Connect { database })
}

/// The `dbname` of `keyword = value` pairs.
fn from_conninfo(text: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut bytes = text.iter().peekable();
    let mut database = None;
    loop {
        while bytes.next_if(|&&byte| is_space(byte)).is_some() {}
        if bytes.peek().is_none() {
            return Ok(database);
        }
        let mut keyword = Vec::new();
        while let Some(&byte) = bytes.next_if(|&&byte| byte != b'=' && !is_space(byte)) {
            keyword.push(byte);
        }
        while bytes.next_if(|&&byte| is_space(byte)).is_some() {}
        if bytes.next() != Some(&b'=') {
            return Err("an = is missing in the connection string".to_owned());
        }
        while bytes.next_if(|&&byte| is_space(byte)).is_some() {}
        let quoted = bytes.next_if(|&&byte| byte == b'\'').is_some();
        let mut value = Vec::new();
        loop {
            match bytes.next() {
                Some(b'\\') => value.extend(bytes.next()),
                Some(b'\'') if quoted => break,
                Some(&byte) if !quoted && is_space(byte) => break,
                Some(&byte) => value.push(byte),
                None if quoted => return Err("a quote in the connection string is not closed".to_owned()),
                None => break,
            }
        }
        if keyword == b"dbname" {
            database = Some(value);
        }
    }
}

/// The database of `postgresql://[user[:password]@][host][:port][/database][?parameters]`.
fn from_uri(text: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let after = memchr::memmem::find(text, b"://").map_or(0, |at| at + 3);
    let rest = text.get(after..).unwrap_or_default();
    let (rest, parameters) = match rest.iter().position(|&byte| byte == b'?') {
        Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..).unwrap_or_default()),
        None => (rest, &[][..]),
    };
    let path = rest.iter().position(|&byte| byte == b'/').and_then(|at| rest.get(at + 1..)).filter(|path| !path.is_empty());
    let parameter = parameters.split(|&byte| byte == b'&').filter_map(|pair| pair.strip_prefix(b"dbname=")).next_back();
    parameter.or(path).map(percent_decoded).transpose()
}

fn percent_decoded(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut decoded = Vec::new();
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(*bytes.next()?).to_digit(16);
                let (high, low) =
                    digit().zip(digit()).ok_or("a percent sign in the connection URI is not followed by two digits")?;
                (high * 16 + low).to_le_bytes()[0]
            }
            byte => byte,
        });
    }
    Ok(decoded)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}
