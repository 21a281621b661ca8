//! The statements of a configuration file: assignments, and functions that print a list.

use backup_core::Result;

use super::word::{Cursor, Place, Word, code, wrong};

/// What a file says, in its order.
#[derive(Debug, Clone)]
pub(super) enum Statement {
    Assignment { name: String, value: Word, line: usize },
    List { name: String, lines: Vec<Line> },
}

/// A line that a function prints.
#[derive(Debug, Clone)]
pub(super) enum Line {
    /// The arguments of an `echo`.
    Echo(Vec<Word>),
    /// One of a here-document.
    Here(Word),
}

/// The functions that a file may have.
pub(super) const LISTS: [&str; 2] = ["ADD_LIST", "RSYNC_LIST"];

/// Reads a file. Nothing is replaced yet; what is neither an assignment nor a list is an error that names its line.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Statement>> {
    if let Some(at) = text.iter().position(|byte| matches!(byte, b'\r' | 0)) {
        let line = 1 + text.iter().take(at).filter(|byte| **byte == b'\n').count();
        return Err(wrong(line, "has a carriage return or a zero byte: save the file as text with Unix line ends"));
    }
    let mut cursor = Cursor::new(text);
    let mut statements = Vec::new();
    loop {
        skip_lines(&mut cursor);
        if cursor.peek().is_none() {
            return Ok(statements);
        }
        statement(&mut cursor, &mut statements)?;
        end(&mut cursor)?;
    }
}

/// Skips empty lines and those that are comments.
fn skip_lines(cursor: &mut Cursor<'_>) {
    loop {
        cursor.skip_blanks();
        match cursor.peek() {
            Some(b'\n' | b'#') => drop(cursor.take_line()),
            _ => return,
        }
    }
}

/// The end of a statement: `;`, or that of the line, maybe behind a comment.
fn end(cursor: &mut Cursor<'_>) -> Result<()> {
    let line = cursor.line;
    cursor.skip_blanks();
    match cursor.peek() {
        None => Ok(()),
        Some(b'\n' | b'#') => {
            cursor.take_line();
            Ok(())
        }
        Some(b';') => {
            cursor.take();
            Ok(())
        }
        Some(_) => Err(code(line)),
    }
}

fn statement(cursor: &mut Cursor<'_>, statements: &mut Vec<Statement>) -> Result<()> {
    let line = cursor.line;
    let name = cursor.name();
    let next = cursor.peek();
    let has_words = matches!(next, Some(b' ' | b'\t'));
    match (name.as_str(), next) {
        ("", _) => Err(code(line)),
        (_, Some(b'=')) => assignments(cursor, name, Place::VALUE, statements),
        ("export", _) if has_words => {
            cursor.skip_blanks();
            let name = cursor.name();
            assignments(cursor, name, Place::EXPORTED, statements)
        }
        ("function", _) if has_words => {
            cursor.skip_blanks();
            let name = cursor.name();
            cursor.skip_blanks();
            if cursor.peek() == Some(b'(') {
                brackets(cursor)?;
            }
            function(cursor, name, line, statements)
        }
        _ => {
            brackets(cursor)?;
            function(cursor, name, line, statements)
        }
    }
}

/// `=value` behind `name`, and more of that in the same line.
fn assignments(cursor: &mut Cursor<'_>, mut name: String, place: Place, statements: &mut Vec<Statement>) -> Result<()> {
    loop {
        let line = cursor.line;
        if name.is_empty() {
            return Err(code(line));
        }
        // `export NAME` changes nothing that is read from the file.
        let is_export = !place.is_plain() && is_apart(cursor);
        if !is_export {
            if !cursor.take_if(b'=') {
                return Err(code(line));
            }
            let value = cursor.word(place)?;
            statements.push(Statement::Assignment { name, value, line });
        }
        cursor.skip_blanks();
        if matches!(cursor.peek(), None | Some(b'\n' | b';' | b'#')) {
            return Ok(());
        }
        name = cursor.name();
    }
}

/// Whether what was taken last is a word of its own.
fn is_apart(cursor: &mut Cursor<'_>) -> bool {
    matches!(cursor.peek(), None | Some(b' ' | b'\t' | b'\n' | b';'))
}

/// `()`.
fn brackets(cursor: &mut Cursor<'_>) -> Result<()> {
    let line = cursor.line;
    cursor.skip_blanks();
    let opens = cursor.take_if(b'(');
    cursor.skip_blanks();
    if opens && cursor.take_if(b')') { Ok(()) } else { Err(code(line)) }
}

/// `{ … }` of the function `name`.
fn function(cursor: &mut Cursor<'_>, name: String, line: usize, statements: &mut Vec<Statement>) -> Result<()> {
    if !LISTS.contains(&name.as_str()) {
        return Err(wrong(line, "defines a function that is not one of the two lists"));
    }
    skip_lines(cursor);
    if !cursor.take_if(b'{') || !matches!(cursor.peek(), Some(b' ' | b'\t' | b'\n')) {
        return Err(code(cursor.line));
    }
    let mut lines = Vec::new();
    loop {
        skip_lines(cursor);
        match cursor.peek() {
            None => return Err(wrong(line, "begins a function that does not end")),
            Some(b'}') => break,
            Some(_) => prints(cursor, &mut lines)?,
        }
    }
    cursor.take();
    if !is_apart(cursor) {
        return Err(code(cursor.line));
    }
    statements.push(Statement::List { name, lines });
    Ok(())
}

/// A command in a function: one that prints, or `:` and `true`.
fn prints(cursor: &mut Cursor<'_>, lines: &mut Vec<Line>) -> Result<()> {
    let line = cursor.line;
    let name = cursor.name();
    let refused = || wrong(line, "is a command in a list, where only echo and cat <<EOF are known");
    match name.as_str() {
        "echo" if is_apart(cursor) => {
            let mut words = Vec::new();
            loop {
                cursor.skip_blanks();
                match cursor.peek() {
                    None | Some(b'\n' | b';' | b'#') => break,
                    Some(b'&' | b'|' | b'<' | b'>' | b'(' | b')') => return Err(refused()),
                    Some(_) => words.push(cursor.word(Place::ARGUMENT)?),
                }
            }
            lines.push(Line::Echo(words));
            end(cursor)
        }
        "cat" => {
            cursor.skip_blanks();
            if !(cursor.take_if(b'<') && cursor.take_if(b'<')) {
                return Err(refused());
            }
            here(cursor, lines)
        }
        "true" if is_apart(cursor) => end(cursor),
        "" if cursor.take_if(b':') && is_apart(cursor) => end(cursor),
        _ => Err(refused()),
    }
}

/// What is behind `cat <<`: the rest of the line, and the document.
fn here(cursor: &mut Cursor<'_>, lines: &mut Vec<Line>) -> Result<()> {
    let line = cursor.line;
    let wrong_end = || wrong(line, "has a here-document whose end is not one word, behind which nothing stands");
    let without_tabs = cursor.take_if(b'-');
    cursor.skip_blanks();
    let rest = cursor.take_line().ok_or_else(wrong_end)?;
    let words: Vec<&[u8]> = rest.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty()).collect();
    let (word, behind) = words.split_first().ok_or_else(wrong_end)?;
    let is_comment = |word: &&[u8]| word.starts_with(b"#");
    if !behind.first().is_none_or(is_comment) {
        return Err(wrong_end());
    }
    let (end, is_quoted) = match word {
        [b'\'', end @ .., b'\''] | [b'"', end @ .., b'"'] | [b'\\', end @ ..] => (end, true),
        end => (*end, false),
    };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-+%@:,!".contains(byte);
    if end.is_empty() || !end.iter().all(is_name) {
        return Err(wrong_end());
    }
    loop {
        let at = cursor.line;
        let text = cursor.take_line().ok_or_else(|| wrong(line, "has a here-document that does not end"))?;
        let tabs = text.iter().take_while(|byte| without_tabs && **byte == b'\t').count();
        let text = text.get(tabs..).unwrap_or_default();
        if text == end {
            return Ok(());
        }
        lines.push(Line::Here(if is_quoted {
            let mut word = Word { line: at, ..Word::default() };
            word.add(text);
            word
        } else {
            Cursor::here(text, at)?
        }));
    }
}
