//! Ids in the rows of a dump that become others: those of machines and disks, of which a director's database tells.

use std::str::FromStr;
use std::sync::Arc;

use backup_core::{Error, Result};

/// An id, and what it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replacement {
    pub(crate) old: String,
    new: String,
}

/// What an id is made of. None of it is escaped in a dump, and none of it separates values or rows there.
fn is_of_id(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._:/@+-".contains(c)
}

/// What an id goes on with: where one of these is beside it, it is part of a longer one.
fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

impl FromStr for Replacement {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |what: &str| {
            Error::usage(format!("{text:?} {what}"))
                .with_hint("write OLD=NEW, two ids as they stand in the database: letters, digits and . _ : / @ + -")
        };
        let (old, new) = text.split_once('=').ok_or_else(|| bad("is no pair of ids"))?;
        match [old, new].iter().all(|id| !id.is_empty() && id.chars().all(is_of_id)) && old != new {
            true => Ok(Self { old: old.to_owned(), new: new.to_owned() }),
            false => Err(bad("does not say which id becomes which")),
        }
    }
}

/// Replaces whole ids in the rows of a COPY that pass, in whatever pieces they come, all at once: `a=b` and `b=a` swap two. It counts them,
/// and takes as much memory as a piece.
#[derive(Debug)]
pub(crate) struct Replacer {
    /// The longest first: one may be the beginning of another.
    pairs: Arc<[Replacement]>,
    /// How often each stood there.
    pub(crate) counts: Vec<u64>,
    /// What cannot be decided yet.
    rest: Vec<u8>,
    /// Whether the byte before that goes on.
    in_word: bool,
    /// Whether it is a backslash that has its effect on the next one.
    escaped: bool,
}

impl Replacer {
    pub(crate) fn new(pairs: Arc<[Replacement]>) -> Self {
        Self { counts: vec![0; pairs.len()], pairs, rest: Vec::new(), in_word: false, escaped: false }
    }

    /// What goes on of `rows`.
    pub(crate) fn feed(&mut self, rows: &[u8]) -> Vec<u8> {
        if self.pairs.is_empty() {
            return rows.to_vec();
        }
        // An id, and the byte behind it.
        let ahead = self.pairs.iter().map(|pair| pair.old.len() + 1).max().unwrap_or_default();
        self.pass(rows, ahead)
    }

    /// What goes on at the end of the rows.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        self.pass(&[], 1)
    }

    /// What can be decided as long as so many bytes are ahead.
    fn pass(&mut self, rows: &[u8], ahead: usize) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.extend_from_slice(rows);
        let pairs = Arc::clone(&self.pairs);
        let (mut passed, mut at) = (Vec::with_capacity(bytes.len()), 0);
        while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= ahead) {
            let Some(byte) = rest.first().copied() else { break };
            let found = if self.in_word || self.escaped { None } else { begun(&pairs, rest) };
            if let Some((nth, pair)) = found {
                passed.extend_from_slice(pair.new.as_bytes());
                at += pair.old.len();
                self.in_word = pair.old.bytes().next_back().is_some_and(is_of_word);
                if let Some(count) = self.counts.get_mut(nth) {
                    *count += 1;
                }
                continue;
            }
            // The letter of `\n` is none.
            self.in_word = !self.escaped && is_of_word(byte);
            self.escaped = !self.escaped && byte == b'\\';
            passed.push(byte);
            at += 1;
        }
        self.rest = bytes.split_off(at);
        passed
    }
}

/// The id that `bytes` begin with, and that ends there.
fn begun<'a>(pairs: &'a [Replacement], bytes: &[u8]) -> Option<(usize, &'a Replacement)> {
    let ends = |pair: &Replacement| bytes.get(pair.old.len()).is_none_or(|byte| !is_of_word(*byte));
    pairs.iter().enumerate().find(|(_, pair)| bytes.starts_with(pair.old.as_bytes()) && ends(pair))
}

/// `pairs` as a [`Replacer`] has them. One that says of an id twice what it becomes is [`Kind::Usage`](backup_core::Kind::Usage).
pub(crate) fn ordered(mut pairs: Vec<Replacement>) -> Result<Arc<[Replacement]>> {
    pairs.sort_by(|one, other| (other.old.len(), &one.old).cmp(&(one.old.len(), &other.old)));
    match pairs.windows(2).find(|pair| matches!(pair, [one, other] if one.old == other.old)) {
        Some([one, _]) => Err(Error::usage(format!("--replace says twice what {} becomes", one.old)).with_hint("say it once")),
        _ => Ok(pairs.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(pairs: &[&str], pieces: &[&[u8]]) -> (String, Vec<u64>) {
        let pairs = pairs.iter().map(|pair| pair.parse().expect("a pair")).collect();
        let mut replacer = Replacer::new(ordered(pairs).expect("pairs"));
        let mut all: Vec<u8> = pieces.iter().flat_map(|piece| replacer.feed(piece)).collect();
        all.extend(replacer.finish());
        (String::from_utf8(all).expect("text"), replacer.counts)
    }

    #[test]
    fn whole_ids_become_others_and_nothing_else() {
        let rows =
            b"1\tvm-1\tvm-12\n2\txvm-1\tvm-1_\tvm-1-a\n3\t{\"cid\":\"vm-1\"}\tvm-1\n\\N\t/dev/sdb/\\\\vm-1\tvm-1\\n\\nvm-1:\n";
        let is =
            "1\tvm-9\tvm-12\n2\txvm-1\tvm-1_\tvm-1-a\n3\t{\"cid\":\"vm-9\"}\tvm-9\n\\N\t/dev/sdb/\\\\vm-9\tvm-9\\n\\nvm-9:\n";
        assert_eq!(replaced(&["vm-1=vm-9"], &[rows]), (is.to_owned(), vec![6]));
        // Cut anywhere, and in single bytes.
        for at in 0..rows.len() {
            assert_eq!(replaced(&["vm-1=vm-9"], &[&rows[..at], &rows[at..]]).0, is, "{at}");
        }
        let single: Vec<&[u8]> = rows.chunks(1).collect();
        assert_eq!(replaced(&["vm-1=vm-9"], &single), (is.to_owned(), vec![6]));
    }

    #[test]
    fn several_change_at_once() {
        assert_eq!(replaced(&["a=b", "b=a"], &[b"a\tb\ta\n"]), ("b\ta\tb\n".to_owned(), vec![2, 1]));
        let paths = ["/dev/sd=/dev/x", "/dev/sd/1=/dev/y"];
        assert_eq!(replaced(&paths, &[b"/dev/sd/1 /dev/sd /dev/sdb\n"]), ("/dev/y /dev/x /dev/sdb\n".to_owned(), vec![1, 1]));
        assert_eq!(replaced(&[], &[b"a\n"]), ("a\n".to_owned(), vec![]));
        assert_eq!(replaced(&["vm-1=vm-2"], &[b"no end: vm-1"]).0, "no end: vm-2");
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        for bad in ["", "a", "=", "a=", "=b", "a=a", "a=b=c", "a b=c", "a=b\\n", "a\tb=c", "ä=b"] {
            assert!(bad.parse::<Replacement>().is_err(), "{bad}");
        }
        assert!(ordered(vec!["a=b".parse().expect("a pair"), "a=c".parse().expect("a pair")]).is_err());
    }
}
