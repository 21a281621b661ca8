//! Statements in a form in which those that mean the same are the same, though the server has deparsed one of them once more.
//!
//! What a server deparses it parses again in a restore, and deparses then with other parentheses and casts:
//! `(ARRAY['a'::varchar])::text[]` comes back as `ARRAY[('a'::varchar)::text]`. So these are left out. Names, values, words and
//! the bodies of functions stay as they are.

/// Words that can follow the first word of a type.
const FURTHER: [&[u8]; 14] = [
    b"varying",
    b"precision",
    b"with",
    b"without",
    b"time",
    b"zone",
    b"year",
    b"to",
    b"month",
    b"day",
    b"hour",
    b"minute",
    b"second",
    b"local",
];

/// The first words of types that have further ones.
const OF_SEVERAL: [&[u8]; 6] = [b"character", b"bit", b"double", b"time", b"timestamp", b"interval"];

/// `sql` without parentheses, casts and more than one blank in a row, where it is not quoted.
pub(super) fn normal(sql: &[u8]) -> Vec<u8> {
    let mut text = Text { left: sql };
    let mut normal = Vec::with_capacity(sql.len());
    while let Some(token) = text.token() {
        match token {
            b"(" | b")" => {}
            b"::" => text.skip_type(),
            token => {
                normal.extend_from_slice(token);
                normal.push(b' ');
            }
        }
    }
    normal
}

struct Text<'a> {
    left: &'a [u8],
}

impl<'a> Text<'a> {
    /// What comes next: a word or number, something quoted, `::`, or any other character.
    fn token(&mut self) -> Option<&'a [u8]> {
        let blank = self.left.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.left = self.left.get(blank..)?;
        let length = match self.left {
            [] => return None,
            [b'\'', ..] => quoted(self.left, b'\'', false),
            [b'E', b'\'', ..] => 1 + quoted(self.left.get(1..)?, b'\'', true),
            [b'"', ..] => quoted(self.left, b'"', false),
            [b':', b':', ..] => 2,
            [b'$', ..] => dollar_quoted(self.left),
            [first, ..] if is_word(*first) => self.left.iter().take_while(|byte| is_word(**byte)).count(),
            _ => 1,
        };
        let (token, left) = self.left.split_at_checked(length).unwrap_or((self.left, &[]));
        self.left = left;
        Some(token)
    }

    /// The next token, if it is one of which this holds.
    fn next_if(&mut self, is: impl Fn(&[u8]) -> bool) -> Option<&'a [u8]> {
        let before = self.left;
        let token = self.token().filter(|token| is(token));
        if token.is_none() {
            self.left = before;
        }
        token
    }

    /// The name of a type: `pg_catalog.numeric(10,2)[]`, `timestamp(3) without time zone`.
    fn skip_type(&mut self) {
        let Some(mut name) = self.next_if(is_name) else { return };
        while self.next_if(|token| token == b".").is_some() {
            name = self.next_if(is_name).unwrap_or_default();
        }
        let several = OF_SEVERAL.contains(&name);
        loop {
            let word = several && self.next_if(|token| FURTHER.contains(&token)).is_some();
            let before = self.left;
            if self.next_if(|token| token == b"(").is_some() {
                while self
                    .next_if(|token| token == b"," || token == b"-" || token.first().is_some_and(u8::is_ascii_digit))
                    .is_some()
                {}
                if self.next_if(|token| token == b")").is_some() {
                    continue;
                }
                self.left = before;
            }
            if !word {
                break;
            }
        }
        while self.next_if(|token| token == b"[").is_some() {
            self.next_if(|token| token == b"]");
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn is_name(token: &[u8]) -> bool {
    token.first().is_some_and(|first| *first == b'"' || is_word(*first))
}

/// The length of what begins with a quote, which stands for itself where it is doubled.
fn quoted(text: &[u8], quote: u8, escapes: bool) -> usize {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        at += 1;
        if *byte == b'\\' && escapes {
            at += 1;
        } else if *byte == quote {
            if text.get(at) != Some(&quote) {
                return at;
            }
            at += 1;
        }
    }
    text.len()
}

/// The length of what begins with a dollar quote, or of the dollar if it is none.
fn dollar_quoted(text: &[u8]) -> usize {
    let tag = text.iter().skip(1).take_while(|byte| is_word(**byte)).count() + 2;
    let Some(delimiter) = text.get(..tag).filter(|delimiter| delimiter.ends_with(b"$")) else { return 1 };
    let end = text.get(tag..).and_then(|body| memchr::memmem::find(body, delimiter));
    end.map_or(text.len(), |end| tag + end + tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &str, other: &str) -> bool {
        normal(one.as_bytes()) == normal(other.as_bytes())
    }

    #[test]
    fn what_is_deparsed_twice_is_the_same() {
        for (once, twice) in [
            (
                "CHECK (((a)::text = ANY ((ARRAY['x'::character varying, 'y'::character varying])::text[])))",
                "CHECK (((a)::text = ANY (ARRAY[('x'::character varying)::text, ('y'::character varying)::text])))",
            ),
            ("(((a > 1) AND (a < 2)) AND b)", "((a > 1) AND (a < 2) AND b)"),
            ("(x)::numeric(10,2)", "x::app.\"my type\"[]"),
            ("(x)::timestamp(3) without time zone AND y", "(x)::time with time zone AND y"),
            ("x::interval day to second(3), y", "x::interval(0), y"),
            ("x::double precision > 1", "x > 1"),
        ] {
            assert!(same(once, twice), "{once}: {}", String::from_utf8_lossy(&normal(once.as_bytes())));
        }
    }

    #[test]
    fn whatever_else_is_another() {
        for (one, other) in [
            ("a int NOT NULL", "a int"),
            ("DEFAULT 'a b'", "DEFAULT 'a  b'"),
            ("DEFAULT '(a)'", "DEFAULT 'a'"),
            ("DEFAULT '''::text'", "DEFAULT ''''"),
            ("DEFAULT E'\\\\' || 'a::text'", "DEFAULT E'\\\\' || 'a'"),
            ("\"a(b\"", "\"ab\""),
            ("AS $f$ SELECT (1) $f$ x", "AS $f$ SELECT 1 $f$ x"),
            ("$1 + (2)::int", "$1 + 3"),
            ("x::int with y", "x::int y"),
            ("GRANT SELECT ON t TO a", "GRANT SELECT ON t TO b"),
            ("a b", "ab"),
        ] {
            assert!(!same(one, other), "{one}");
        }
    }

    #[test]
    fn what_breaks_off_is_read_to_its_end() {
        for text in ["'a", "E'\\", "\"", "$a$ b", "$", "x::", "x::numeric(", "x::int[", ""] {
            normal(text.as_bytes());
        }
        assert!(!same("'a", "'b"));
    }
}
